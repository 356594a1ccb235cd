"""What verbs share: options, recipes, what may be written, what is said.

Nothing heavy is imported before a verb runs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytosol.config import load as load_config

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anndata import AnnData

    from stedm.config import Config
    from stedm.tissue import Tissue

Data = Annotated[Path, typer.Option("--data", metavar="F.h5ad", help="Cells as AnnData.")]
Out = Annotated[Path, typer.Option("--out", metavar="F.h5ad", help="AnnData to write.")]
SpatialKey = Annotated[str, typer.Option("--spatial-key", metavar="KEY", help="Coordinates in obsm.")]
Dim = Annotated[int, typer.Option("--dim", min=2, max=3, help="Dimensions of the coordinates.")]


def say(text: str) -> None:
    """One line to stderr: notes and progress, never results."""
    typer.echo(text, err=True)


def say_all(notes: Iterable[str]) -> None:
    """Notes, one a line."""
    for note in notes:
        say(f"note: {note}")


def recipe(file: Path | None, keys: list[str], *, seed: int | None) -> Config:
    """The configuration of a verb: defaults, the recipe's file, the `key=value` words and --seed."""
    from stedm.config import Config

    config = load_config(Config, file=file, overrides=keys)
    return config if seed is None else replace(config, seed=seed)


def writable(file: Path, suffix: str) -> None:
    """Refuse, before any work, a file that has another suffix, or whose folder is not there."""
    if file.suffix != suffix:
        msg = f"{file}: expected a file ending in {suffix}, got {file.name!r}"
        raise ValueError(msg)
    if not file.parent.is_dir():
        msg = f"{file}: expected a folder to write into, {file.parent} does not exist"
        raise ValueError(msg)


def cells_of(
    file: Path, *, spatial_key: str = "spatial", dim: int = 2, coordinates: bool = True
) -> tuple[AnnData, Tissue]:
    """The AnnData of a file and its tissue; what was noted is said."""
    from stedm import h5ad

    data = h5ad.read(file)
    tissue = h5ad.tissue_of(data, name=file.name, spatial_key=spatial_key, dim=dim, coordinates=coordinates)
    say_all(f"{file.name}: {note}" for note in tissue.notes)
    return data, tissue
