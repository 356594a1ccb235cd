"""`explain`: what the parts of a trained model say of cells, as tables and a picture."""

from __future__ import annotations

from typing import Annotated

import typer

from cytosol import cli
from virtualcell.verbs import common

PICTURE = "explained.png"


def explain(
    *,
    directory: common.Model,
    data: common.Data,
    out: common.Folder,
    cells: Annotated[
        int, typer.Option("--cells", min=1, help="Cells that are looked at, drawn at random.")
    ] = 256,
    by: Annotated[
        str | None, typer.Option("--by", metavar="KEY", help="Column of obs: means within its labels too.")
    ] = None,
    layer: common.Layer = None,
    seed: cli.Seed = None,
    device: cli.Device = "auto",
    force: cli.Force = False,
) -> None:
    """Attention by pathway, memory use, resources, split of noise, times and scales: CSV files and a picture."""
    from cytosol.device import pick_device
    from cytosol.figures import save
    from virtualcell.explain import explain as tell
    from virtualcell.explain_plots import plot_explained
    from virtualcell.saving import load_embedding

    cli.refuse_existing(out, force=force)
    model = load_embedding(directory).to(pick_device(device))
    source = common.cells_of(data, layer=layer)
    tables = tell(model, source, cells=cells, by=by, seed=0 if seed is None else seed)
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(out / f"{name}.csv")
        typer.echo(f"{out / name}.csv: {len(table)} rows of {', '.join(map(str, table.columns[:6]))}")
    title = f"{model.config.model}: what its parts say of {data.stem}"
    typer.echo(str(save(plot_explained(tables, title=title), out / PICTURE)))
