"""What verbs share: options, recipes, what may be written, what is said.

Nothing heavy is imported before a verb runs.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cytosol.config import load as load_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from virtualcell.comparison import Keys
    from virtualcell.sources import CellSource

    Compared = tuple[CellSource, CellSource, CellSource | None, Keys]

Options = TypeVar("Options")

CELLS = "F.h5ad|F.zarr"  # what `cells_of` reads
Data = Annotated[Path, typer.Option("--data", metavar=CELLS, help="Cells as AnnData.")]
Out = Annotated[Path, typer.Option("--out", metavar=CELLS, help="AnnData to write.")]
Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Directory to write.")]
Model = Annotated[Path, typer.Argument(metavar="DIR", help="A trained model.")]
ControlWord = Annotated[
    str, typer.Option("--control-word", metavar="WORD", help="Control cells in the condition key.")
]
Cells = Path | None
Truth = Annotated[
    Cells, typer.Option("--truth", metavar=CELLS, help="Real cells, beside which predicted ones are held.")
]
Control = Annotated[
    Cells, typer.Option("--control", metavar=CELLS, help="Control cells; else those of --truth.")
]
ConditionKey = Annotated[
    str | None,
    typer.Option(
        "--condition-key",
        metavar="KEY",
        help="Column of obs: what was done to a cell, A+B for both; without it, condition, else perturbation.",
    ),
]
ContextKey = Annotated[
    str, typer.Option("--context-key", metavar="KEY", help="Column of obs: cell type, line, replicate.")
]
Layer = Annotated[str | None, typer.Option("--layer", metavar="NAME", help="Of `layers`, instead of X.")]
Pathways = Annotated[
    Path | None, typer.Option("--pathways", metavar="G.gmt", help="Gene sets: GMT, or a table pathway, gene.")
]
Network = Annotated[
    Path | None,
    typer.Option("--network", metavar="N.tsv", help="Regulators: a table tf, target, mode or mor."),
]
Compartments = Annotated[
    Path | None, typer.Option("--compartments", metavar="C.tsv", help="Places: a table gene, compartment.")
]


def say(text: str) -> None:
    """One line to stderr: notes and progress, never results."""
    typer.echo(text, err=True)


def say_all(notes: Iterable[str]) -> None:
    """Notes, one a line."""
    for note in notes:
        say(f"note: {note}")


def recipe(options: type[Options], file: Path | None, keys: list[str], *, seed: int | None) -> Options:
    """Settings with a field `seed`: defaults, the recipe's file, the `key=value` words, --seed."""
    config: Any = load_config(options, file=file, overrides=keys)
    return config if seed is None else replace(config, seed=seed)


def writable(file: Path, *suffixes: str) -> None:
    """Refuse, before any work, a file that has another suffix, or whose folder is not there."""
    if file.suffix.lower() not in suffixes:
        msg = f"{file}: expected a file ending in {' or '.join(suffixes)}, got {file.name!r}"
        raise ValueError(msg)
    if file.exists() and file.is_dir() != (file.suffix.lower() == ".zarr"):
        is_, not_ = ("folder", "file") if file.is_dir() else ("file", "folder")
        msg = f"{file}: expected a {not_}, there is a {is_} of this name: give another"
        raise ValueError(msg)
    if not file.parent.is_dir():
        msg = f"{file}: expected a folder to write into, {file.parent} does not exist"
        raise ValueError(msg)


def cells_of(file: Path, *, layer: str | None = None) -> CellSource:
    """The cells of a file, from disk where they are many; what was recognised is said."""
    from virtualcell.sources import open_cells

    source = open_cells(file, layer=layer)
    say_all(source.notes)
    return source


def condition_key(source: CellSource, given: str | None) -> str:
    """The column that says what was done to a cell: the one given, else one of the usual names, which is said."""
    from virtualcell.populations import condition_column

    found = condition_column(source.about, given)
    if given is None:
        say(
            f"note: {source.about.name}: obs[{found!r}] is what was done to a cell; else give --condition-key"
        )
    return found


def compared(files: Sequence[Path], key: str | None, context_key: str, control_word: str) -> Compared:
    """Predicted, real and (where there is a third file) control cells, with the columns that name what they are."""
    from virtualcell.comparison import Keys

    if len(files) > 2 and files[2].suffix not in (".h5ad", ".zarr"):
        msg = f"--control: expected a file of control cells, {CELLS}, got {files[2]}; their word is --control-word"
        raise ValueError(msg)
    predicted, truth, *control = (cells_of(file) for file in files)
    keys = Keys(condition_key(truth, key), context_key, control_word)
    return predicted, truth, control[0] if control else None, keys


def unused(words: Mapping[str, object], with_: str) -> None:
    """Refuse words that what is done does not look at: nothing is given and ignored."""
    for name, value in words.items():
        if value not in (None, []):
            msg = f"{name}: is not used with {with_}"
            raise ValueError(msg)


def untold(context: typer.Context, names: Iterable[str], with_: str) -> None:
    """The same of options that have a default: those that were given. names: of the verb's parameters."""
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            msg = f"{parameter.opts[0]}: is not used with {with_}"
            raise ValueError(msg)


def meta(files: Iterable[Path], seed: int) -> dict[str, object]:
    """What was compared, for whoever reads the numbers later: files by name, or by path where two have one name."""
    from virtualcell import __version__

    listed = list(files)
    same = {file.name for file in listed if sum(other.name == file.name for other in listed) > 1}
    seen = {file.as_posix() if file.name in same else file.name: _sha256(file) for file in listed}
    return {"package": "virtualcell", "version": __version__, "files": seen, "seed": seed}


def _sha256(file: Path) -> str:
    """Of a file, or of all files of a zarr folder with their names."""
    made = hashlib.sha256()
    for part in sorted(file.rglob("*")) if file.is_dir() else [file]:
        if part.is_file():
            made.update(part.relative_to(file).as_posix().encode() if file.is_dir() else b"")
            with part.open("rb") as stream:
                while chunk := stream.read(2**20):
                    made.update(chunk)
    return made.hexdigest()
