"""`embed`: cells as vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cytosol import cli
from virtualcell.names import EMBEDDING
from virtualcell.verbs import common

if TYPE_CHECKING:
    from pathlib import Path as Folder

    from anndata import AnnData


def embed(
    *,
    directory: common.Model,
    data: common.Data,
    out: common.Out,
    layer: common.Layer = None,
    device: cli.Device = "auto",
    force: cli.Force = False,
) -> None:
    """Embed cells: obsm['X_virtualcell'], uns['virtualcell']; cells, their order and all else are kept."""
    from cytosol.device import pick_device
    from virtualcell.saving import load_embedding
    from virtualcell.writing import with_embedding, write_cells

    common.writable(out, ".h5ad", ".zarr")
    cli.refuse_existing(out, force=force)
    model = load_embedding(directory).to(pick_device(device))
    source = common.cells_of(data, layer=layer)
    found = model.embed(source)
    how = {"model": model.config.model, "directory": str(directory), "seed": model.config.seed}
    write_cells(with_embedding(_read(data), found, how=how), out, force=force)
    typer.echo(f"{out}: {len(found)} cells, obsm['{EMBEDDING}'] of {found.shape[1]} numbers")


def _read(file: Folder) -> AnnData:
    import anndata

    return anndata.read_zarr(file) if file.suffix == ".zarr" else anndata.read_h5ad(file)
