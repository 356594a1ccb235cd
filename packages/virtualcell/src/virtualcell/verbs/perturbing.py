"""`perturb`: cells at rest as a perturbation leaves them."""

from __future__ import annotations

from typing import Annotated

import typer

from cytosol import cli
from virtualcell.names import PERTURBATION
from virtualcell.verbs import common


def perturb(
    *,
    directory: common.Model,
    data: common.Data,
    perturbation: Annotated[
        str, typer.Option("--perturbation", metavar="P", help="What is done, A+B for several at once.")
    ],
    out: common.Out,
    dose: Annotated[float | None, typer.Option("--dose", min=0, metavar="D", help="As in training.")] = None,
    context: Annotated[
        str | None, typer.Option("--context", metavar="C", help="Cell type, line, replicate of the cells.")
    ] = None,
    cells: Annotated[
        int | None,
        typer.Option("--cells", min=1, metavar="N", help="Cells to make; twice as many as given without."),
    ] = None,
    controls: Annotated[
        bool, typer.Option(help="Write the untouched cells too, for tools that compare the two.")
    ] = True,
    layer: common.Layer = None,
    seed: cli.Seed = None,
    force: cli.Force = False,
) -> None:
    """Predict perturbed cells from untouched ones of one context: X, layers['counts'], obs['perturbation']."""
    from virtualcell.response_files import load_responder
    from virtualcell.writing import write_cells

    common.writable(out, ".h5ad", ".zarr")
    cli.refuse_existing(out, force=force)
    model = load_responder(directory)
    source = common.cells_of(data, layer=layer)
    made = model.perturb(
        source, perturbation, dose=dose, context=context, cells=cells, controls=controls, seed=seed or 0
    )
    common.say_all(made.uns["virtualcell"]["notes"])
    write_cells(made, out, force=force)
    number = int((made.obs[PERTURBATION] == made.obs[PERTURBATION].iloc[0]).sum())
    typer.echo(f"{out}: {number} cells after {made.obs[PERTURBATION].iloc[0]}, {made.n_vars} genes")
