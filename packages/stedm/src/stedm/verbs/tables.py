"""`simulate`: a tissue with known places."""

from __future__ import annotations

import typer

from cytosol import cli
from stedm.verbs import common


def simulate(
    *,
    out: common.Out,
    config: cli.ConfigFile = None,
    seed: cli.Seed = None,
    force: cli.Force = False,
    overrides: cli.Overrides,
) -> None:
    """Make sections of a tissue, for instance: simulate --out t.h5ad simulation.pattern=niches simulation.cells=800."""
    from stedm import h5ad
    from stedm.simulation import simulate as make

    cli.refuse_existing(out, force=force)
    common.writable(out, ".h5ad")
    chosen = common.recipe(config, overrides, seed=seed, simulates=True)
    cells = make(chosen.simulation, seed=chosen.seed)
    h5ad.write(cells, out)
    typer.echo(f"{out}: {cells.n_obs} cells of {chosen.simulation.sections} sections x {cells.n_vars} genes")
