"""`simulate` and `annotate`: cells with known biology, and annotations for the genes of a file."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cytosol import cli
from virtualcell.verbs import common

Form = Annotated[Literal["parquet", "npz"], typer.Option("--format", help="Of the tables that are written.")]


def simulate(
    *,
    out: common.Folder,
    config: cli.ConfigFile = None,
    seed: cli.Seed = None,
    force: cli.Force = False,
    overrides: cli.Overrides,
) -> None:
    """Make cells from a gene regulatory network, for instance: simulate --out DIR cells=2000 memory=3 knockouts=6.

    Writes cells.h5ad and what is true of them: network.tsv, pathways.gmt, compartments.tsv.
    """
    from virtualcell.simulation import simulate as make
    from virtualcell.simulation_options import SimulationOptions

    cli.refuse_existing(out, force=force)
    made = make(common.recipe(SimulationOptions, config, overrides, seed=seed))
    made.write(out)
    counted = f"{made.cells.n_obs} cells x {made.cells.n_vars} genes, {len(made.edges)} edges"
    typer.echo(f"{out}: {counted}, {len(made.pathways)} pathways")


def annotate(
    *,
    data: common.Data,
    pathways: common.Pathways = None,
    network: common.Network = None,
    compartments: common.Compartments = None,
    out: common.Folder,
    form: Form = "parquet",
    force: cli.Force = False,
) -> None:
    """Check annotations against the genes of a file, say what matches, and write what does, with the file's names.

    Writes pathways, network and compartments as tables that --pathways, --network and --compartments read, and
    genes.csv: how many of each a gene has.
    """
    from virtualcell.annotating import annotate as match

    cli.refuse_existing(out, force=force)
    found = match(common.cells_of(data).about, pathways, network, compartments)
    common.say_all(found.notes)
    found.write(out, form)
    for line in found.report():
        typer.echo(line)
