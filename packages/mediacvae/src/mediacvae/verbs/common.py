"""What verbs share: options, what may be written, what is said.

Nothing heavy is imported before a verb runs.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytosol import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    import pandas as pd

    from mediacvae.asking import Asked
    from mediacvae.conditions import Organism as OneOrganism
    from mediacvae.config import TrainConfig
    from mediacvae.predictor import MediaModel

DATABASE = "sqlite:///mediacvae.db"  # as db.DEFAULT_URL, which a `--help` does not load
Db = Annotated[
    str, typer.Option("--db", metavar="URL", help="Database: sqlite:///FILE or postgresql://USER@HOST/NAME.")
]
Force, Seed = cli.Force, cli.Seed
Out = Annotated[Path, typer.Option("--out", metavar="F", help="File to write.")]
OutDir = Annotated[Path, typer.Option("--out", metavar="DIR", help="Directory to write.")]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="NAME",
        help="kmer4, kmer6, kmer8 (with c: canonical), stats, codons, amino_acids.",
    ),
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes; without it, one a core.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


Model = Annotated[Path, typer.Argument(metavar="DIR", help="A trained model.")]
Table = Annotated[
    Path | None, typer.Option("--out", metavar="F.csv", help="File to write; without it, to stdout.")
]
Genome = Annotated[
    Path | None, typer.Option("--genome", metavar="F.fna.gz", help="The organism's genome as FASTA.")
]
Id = Annotated[
    str | None, typer.Option("--id", metavar="GENOME_ID", help="An organism of the database --db instead.")
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="'GENUS SPECIES'", help="Its name, where it is known.")
]
Lineage = Annotated[
    str | None,
    typer.Option("--lineage", metavar="'Bacteria;...'", help="Its lineage, where it is known."),
]
Organism = Annotated[
    str | None,
    typer.Option("--organism", metavar="TYPE", help="bacteria, archaea, fungi, protist or virus."),
]
Vector = Annotated[
    list[str] | None,
    typer.Option(
        "--vector",
        metavar="[METHOD=]F.npz",
        help="Features that another program made of the genome, for a model that reads such.",
    ),
]
Known = Annotated[
    Path | None,
    typer.Option(
        "--known", metavar="F.csv", help="Results of the organism: medium_id, growth (true or false)."
    ),
]


def say(text: str) -> None:
    """One line to stderr: notes and progress, never results."""
    typer.echo(text, err=True)


def say_all(notes: Iterable[str]) -> None:
    """Notes, one a line."""
    for note in notes:
        say(f"note: {note}")


def ticker(what: str) -> Callable[[int, int], None]:
    """A function that is told (done, of) and shows it on stderr: a line written over, or one every tenth in a log."""
    began, shown = time.monotonic(), [0.0, 0]
    live = sys.stderr.isatty()

    def tick(done: int, of: int) -> None:
        now = time.monotonic()
        tenth = 10 * done // max(of, 1)
        if live and (now - shown[0] >= 0.2 or done == of):
            shown[0] = now
            sys.stderr.write(f"\r{what} {done}/{of}  {done / max(now - began, 1e-9):.1f} a second ")
            sys.stderr.write("\n" if done == of else "")
            sys.stderr.flush()
        elif not live and tenth > shown[1] and now - began > 2.0:
            shown[1] = tenth
            say(f"{what} {done}/{of}")

    return tick


def recipe(file: Path | None, keys: list[str], *, seed: int | None, device: str = "auto") -> TrainConfig:
    """The configuration of a verb: defaults, the recipe's file, the `key=value` words, --seed and --device."""
    from cytosol.config import load
    from mediacvae.config import TrainConfig

    config = load(TrainConfig, file=file, overrides=keys)
    if device != "auto":
        config = replace(config, device=device)
    return config if seed is None else replace(config, seed=seed)


def folder_for(path: Path) -> None:
    """Refuse, before any work, what lies in a folder that is not there, or is a file where a directory will be."""
    if not path.resolve().parent.is_dir():
        msg = f"{path}: expected a folder to write into, {path.parent} does not exist"
        raise ValueError(msg)


def writable(file: Path | None, suffix: str, *, force: bool) -> None:
    """Refuse, before any work, a file that is there, has another suffix, or whose folder is not there."""
    if file is None:
        return
    if file.suffix.lower() != suffix or file.is_dir():
        msg = f"{file}: expected a file ending in {suffix}, got {file.name!r}"
        raise ValueError(msg)
    folder_for(file)
    cli.refuse_existing(file, force=force)


def put(table: pd.DataFrame, out: Path | None) -> None:
    """A table as CSV with six digits, to a file (wholly or not at all) or to stdout."""
    from cytosol.files import write_atomically

    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_atomically(out, text.encode())


def asked(
    genome: Path | None,
    genome_id: str | None,
    db: str,
    *,
    name: str | None = None,
    lineage: str | None = None,
    organism: str | None = None,
    vector: list[str] | None = None,
) -> Asked:
    """What a user gave of an organism. ValueError for a file or a method that is given twice."""
    from mediacvae.asking import Asked

    vectors: dict[str, Path] = {}
    for word in vector or ():
        method, equals, file = word.rpartition("=")
        if method in vectors or (equals and not method):
            msg = f"--vector: expected METHOD=F.npz, each method once, got {word!r}"
            raise ValueError(msg)
        vectors[method] = Path(file)
    return Asked(
        genome=genome, genome_id=genome_id, url=db, name=name, lineage=lineage, organism_type=organism, vectors=vectors,
    )  # fmt: skip


def who(model: MediaModel, given: Asked) -> tuple[OneOrganism, np.ndarray]:
    """The organism and its condition (1, d); what the model does not know and what it does not read is said."""
    from mediacvae import asking, notes

    one = asking.organism(given, model.conditioner)
    made = model.condition(one)
    say_all([*notes.unknown(one, model.conditioner), *notes.unread(given, model.conditioner)])
    say_all(notes.placed(model, one, made))
    return one, made


def known_results(model: MediaModel, file: Path | None) -> list[tuple[str, bool]]:
    """The results of a file, or none."""
    from mediacvae import asking

    if file is None:
        return []
    tried = model.growth.media if model.growth else ()
    return asking.read_known(file, {*tried, *model.library["medium_id"]})
