"""What verbs share: options, recipes, what may be written, what is said.

Nothing heavy is imported before a verb runs.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cytosol.config import load as load_config

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anndata import AnnData

    from stedm import place
    from stedm.config import Config
    from stedm.tissue import Tissue

CELLS = "F.h5ad|F.zarr"  # what `read` reads
Data = Annotated[Path, typer.Option("--data", metavar=CELLS, help="Cells as AnnData or SpatialData.")]
Out = Annotated[Path, typer.Option("--out", metavar="F.h5ad", help="AnnData to write.")]
SpatialKey = Annotated[str, typer.Option("--spatial-key", metavar="KEY", help="Coordinates in obsm.")]
Model = Annotated[Path, typer.Argument(metavar="DIR", help="A trained model.")]
Kind = Annotated[
    Literal["mean", "sample"],
    typer.Option("--estimate", help="mean: the posterior mean, best in neighbours. sample: one draw of it."),
]
Draws = Annotated[
    int | None, typer.Option("--draws", min=1, help="Draws that a mean averages, or that a sample keeps.")
]
Dim = Annotated[int, typer.Option("--dim", min=2, max=3, help="Dimensions of the coordinates.")]


def say(text: str) -> None:
    """One line to stderr: notes and progress, never results."""
    typer.echo(text, err=True)


def say_all(notes: Iterable[str]) -> None:
    """Notes, one a line."""
    for note in notes:
        say(f"note: {note}")


def recipe(
    file: Path | None,
    keys: list[str],
    *,
    seed: int | None,
    device: str | None = None,
    simulates: bool = False,
) -> Config:
    """The configuration of a verb: defaults, the recipe's file, the `key=value` words, --seed and --device.

    simulates: the verb reads `simulation` and not what `train` reads; ValueError for words that it would ignore.
    """
    from stedm.config import Config

    sections = [field.name for field in fields(Config) if field.name != "simulation"]
    reads = ["seed", "simulation"] if simulates else sections
    config = load_config(Config, file=file, overrides=keys, reads=reads)
    if device not in (None, "auto"):
        config = replace(config, trainer=replace(config.trainer, device=device))
    return config if seed is None else replace(config, seed=seed)


def writable(file: Path, suffix: str) -> None:
    """Refuse, before any work, a file that has another suffix, or whose folder is not there."""
    if file.suffix != suffix:
        hint = "; results are AnnData, also those of a SpatialData store" if file.suffix == ".zarr" else ""
        msg = f"{file}: expected a file ending in {suffix}, got {file.name!r}{hint}"
        raise ValueError(msg)
    if not file.parent.is_dir():
        msg = f"{file}: expected a folder to write into, {file.parent} does not exist"
        raise ValueError(msg)


def read(file: Path, key: str | None = None) -> AnnData:
    """The cells of an AnnData file, or of a table of a SpatialData store, where what was noted is said.

    key: the coordinates in obsm that will be asked for.
    """
    if file.suffix != ".zarr" and (file.parent.name, file.parent.parent.suffix) != ("tables", ".zarr"):
        from stedm import h5ad

        return h5ad.read(file)
    from stedm import spatial

    data, notes = spatial.read(file, key)
    say_all(f"{file.name}: {note}" for note in notes)
    return data


def cells_of(
    file: Path, *, spatial_key: str = "spatial", dim: int = 2, coordinates: bool = True
) -> tuple[AnnData, Tissue]:
    """The AnnData of a file and its tissue; what was noted is said."""
    from stedm import h5ad

    data = read(file, spatial_key if coordinates else None)
    tissue = h5ad.tissue_of(data, name=file.name, spatial_key=spatial_key, dim=dim, coordinates=coordinates)
    say_all(f"{file.name}: {note}" for note in tissue.notes)
    return data, tissue


def model_of(directory: Path, device: str) -> place.Model:
    """A trained model, its networks on a device."""
    from cytosol.device import pick_device
    from stedm import saving

    return saving.load(directory).to(pick_device(device))


def teaching(tissue: Tissue, dim: int) -> Tissue:
    """The sections with places that something can be learned from; what is left out is said."""
    from stedm.tissue import check_teaches

    found = check_teaches(tissue, dim)
    say_all(f"{tissue.name}: {note}" for note in found.notes[len(tissue.notes) :])
    return found


def known_cells(model: place.Model, tissue: Tissue) -> tuple[Tissue, str]:
    """A tissue with the model's genes, in its order, and a note of what was dropped; what is odd is said."""
    from stedm.tissue import Tissue, shared_genes

    kind = model.regression.components.kind
    if tissue.kind != kind:
        hint = "give raw counts if you have them: " if kind == "counts" else ""
        say(f"note: the model learned from {kind}, these are {tissue.kind}: {hint}places may be worse")
    _, shared, note = shared_genes(Tissue((), model.genes, tissue.kind, "the model"), tissue)
    say(f"note: {note}")
    return shared.spread_to(model.genes), note
