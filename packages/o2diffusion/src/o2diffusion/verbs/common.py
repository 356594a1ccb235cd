"""What verbs share: options, recipes, the model in use, what may be written, what is said.

Nothing heavy is imported before a verb runs: `--help` stays quick.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cytosol import cli
from cytosol.config import load as load_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from o2diffusion.conditions import Condition
    from o2diffusion.config import Config
    from o2diffusion.oxygen_model import OxygenModel

    AnyConfig = TypeVar("AnyConfig", bound=Config)
    Thing = TypeVar("Thing")

RECIPE = "config.yaml"  # written last: a directory that has it is complete
TABLE = "(.csv, .csv.gz, .parquet)"
Data = Annotated[Path, typer.Option("--data", metavar="T", help=f"Long table {TABLE}.")]
MaybeData = Annotated[Path | None, typer.Option("--data", metavar="T", help=f"Long table {TABLE}.")]
Events = Annotated[Path | None, typer.Option("--events", metavar="E", help=f"Events table {TABLE}.")]
Out = Annotated[Path, typer.Option("--out", metavar="F", help=f"Table to write {TABLE}.")]
Every = Annotated[
    float | None, typer.Option("--every", metavar="H", help="Also predict at multiples of H hours.")
]
Draws = Annotated[
    int | None,
    typer.Option("--draws", min=1, help="Joint draws; without it, the recipe's sampling.draws (100)."),
]
UnknownDrug = Annotated[
    bool,
    typer.Option("--unknown-drug", help="Give a drug the model has not met the average of those it has."),
]


def _with_rdkit(file: Path | None) -> Path | None:
    """The file of --smiles, refused before any work where nothing can read structures."""
    if file is not None and find_spec("rdkit") is None:
        msg = "--smiles: needs RDKit, which is not installed: pip install 'o2diffusion[chem]'"
        raise ValueError(msg)
    return file


Smiles = Annotated[
    Path | None,
    typer.Option(
        "--smiles",
        metavar="F",
        callback=_with_rdkit,
        help=f"Structures of drugs, columns drug and smiles {TABLE}; needs [chem].",
    ),
]
Words = Annotated[
    list[str],
    typer.Argument(
        metavar="DIR|KEY=VALUE",
        default_factory=list,
        show_default=False,
        help="A trained model (without it, the one of the package) and config keys to change.",
    ),
]


def say(text: str) -> None:
    """One line to stderr: notes and progress, never results."""
    typer.echo(text, err=True)


def say_all(notes: Iterable[str]) -> None:
    """The notes of a reader, one a line."""
    for note in notes:
        say(f"note: {note}")


def speaking(things: Iterable[Thing], notes: Callable[[], list[str]]) -> Iterator[Thing]:
    """The same things, with every note said as soon as it is there."""
    said = 0
    for thing in things:
        new = notes()[said:]
        said += len(new)
        say_all(new)
        yield thing
    say_all(notes()[said:])


# Which keys a verb reads: words for others would be ignored.
DRAWING = ("seed", "sampling")
LEARNING = ("seed", "model", "train", "trainer")
SIMULATING = ("seed", "simulation")


def model_and_keys(words: list[str]) -> tuple[Path | None, list[str]]:
    """The model directory among the words, if there is one, and the `key=value` words; ValueError for two of them."""
    directories = [word for word in words if "=" not in word or Path(word).is_dir()]
    if len(directories) > 1:
        msg = f"expected one model directory, got {', '.join(directories)}"
        raise ValueError(msg)
    keys = [word for word in words if word not in directories]
    return (Path(directories[0]) if directories else None), keys


def recipe(
    kind: type[AnyConfig],
    file: Path | None,
    keys: list[str],
    *,
    seed: int | None,
    device: str = "auto",
    reads: tuple[str, ...] = DRAWING,
) -> AnyConfig:
    """The configuration of a verb: defaults, the recipe's file, the `key=value` words, --seed and --device."""
    config = load_config(kind, file=file, overrides=keys, reads=reads)
    if seed is not None:
        config = replace(config, seed=seed)
    if device != "auto":
        config = replace(config, trainer=replace(config.trainer, device=device))
    return config


def writable(*files: Path | None, figure: Path | None = None, force: bool, resume: bool = False) -> bool:
    """Whether there is work to do: False where --resume finds every table and the figure, each whole or absent.

    Raises ValueError, before any work, for a file that exists or is given twice, that cannot be written to by its
    suffix, or whose folder is not there.
    """
    from o2diffusion.tables import suffix_of

    tables = [file for file in files if file is not None]
    asked = tables if figure is None else [*tables, figure]
    for file in asked:
        if asked.count(file) > 1:
            msg = f"{file}: expected a file of its own for each thing to write, got this one twice"
            raise ValueError(msg)
    if figure is not None:
        picture(figure, force=force, resume=resume)
    for file in tables:
        cli.refuse_existing(file, force=force, resume=resume)
        if file.is_dir():
            msg = f"{file}: expected a file to write, this is a directory"
            raise ValueError(msg)
        suffix_of(file)
        folder_of(file)
    if resume and all(file.exists() for file in asked):
        say(f"{asked[0]} is there and complete: nothing to do (--force makes it anew)")
        return False
    return True


def picture(file: Path, *, force: bool, resume: bool | None = None) -> None:
    """Refuse (ValueError), before any work, a picture that exists, of another suffix, or whose folder is not there."""
    from cytosol.figures import SUFFIXES

    cli.refuse_existing(file, force=force, resume=resume)
    if file.suffix.lower() not in SUFFIXES:
        msg = f"{file}: expected a picture ending in {', '.join(SUFFIXES)}, got {file.name!r}"
        raise ValueError(msg)
    folder_of(file)


def folder_of(file: Path) -> None:
    """Refuse (ValueError) a file whose folder does not exist."""
    if not file.parent.is_dir():
        msg = f"{file}: expected a folder to write into, {file.parent} does not exist"
        raise ValueError(msg)


def structures(file: Path | None) -> dict[str, str] | None:
    """The SMILES of drugs by name; None without a file. `DataError` for a row without one, or a drug given twice."""
    from o2diffusion.tables import DataError, suffix_of
    from o2diffusion.verbs.refill import read_table

    if file is None:
        return None
    table = read_table(file, ["drug", "smiles"])
    bad = table["drug"].isna() | table["smiles"].isna() | table["drug"].duplicated()
    if bad.any():
        row = int(bad.to_numpy().argmax())
        first = 1 if suffix_of(file) == ".parquet" else 2  # a text's header is its row 1
        msg = f"{file}: row {row + first}: expected a drug, once, and its SMILES, got {table['drug'].iloc[row]!r}"
        raise DataError(msg)
    return dict(zip(table["drug"].astype(str), table["smiles"].astype(str), strict=True))


def the_model(path: Path | None, device: str, smiles: Path | None = None) -> OxygenModel:
    """The model of a directory, or the one that comes with the package, on its device.

    smiles: a table of drugs to introduce to it by their structures. Raises ValueError where there is no such directory.
    """
    from o2diffusion import oxygen_model

    if path is not None and not path.is_dir():
        msg = f"{path}: expected the directory of a trained model (`o2diffusion train --out DIR` makes one)"
        raise ValueError(msg)
    if path is None and not oxygen_model.DEFAULT.is_dir():
        msg = "the package's own model is not installed: name the directory of a trained one"
        raise ValueError(msg)
    model = oxygen_model.load(path)
    if smiles is not None:
        model.meet(structures(smiles) or {})
    return model.to(device)


def conditions_of(data: Path, events: Path | None, seed: int) -> list[Condition]:
    """The conditions of a table (`DataError` where it is faulty); what the reader noted is said."""
    from o2diffusion.conditions import read_conditions

    notes: list[str] = []
    conditions = read_conditions(data, events, notes=notes, seed=seed)
    say_all(notes)
    return conditions
