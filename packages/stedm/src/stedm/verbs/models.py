"""`train` and `reconstruct`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytosol import cli
from stedm.verbs import common

if TYPE_CHECKING:
    from stedm.place import Model
    from stedm.tissue import Tissue

RECIPE = "config.yaml"


def train(
    *,
    data: common.Data,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Directory for the model.")],
    val_section: Annotated[
        str | None,
        typer.Option("--val-section", metavar="S", help="Left out of training and scored at the end."),
    ] = None,
    spatial_key: common.SpatialKey = "spatial",
    dim: common.Dim = 2,
    config: cli.ConfigFile = None,
    seed: cli.Seed = None,
    force: cli.Force = False,
    overrides: cli.Overrides,
) -> None:
    """Learn places from sections with coordinates, for instance: train --data ref.h5ad --out DIR base.genes=500."""
    from cytosol.config import save as save_config
    from stedm import place, saving

    cli.refuse_existing(out, force=force)
    chosen = common.recipe(config, overrides, seed=seed)
    _, tissue = common.cells_of(data, spatial_key=spatial_key, dim=dim)
    learned = tissue if val_section is None else tissue.without([val_section])
    model = place.fit(learned, chosen, dim=dim)
    saving.save(model, out, force=force)
    save_config(chosen, out / RECIPE)
    _tell(model)
    typer.echo(f"{out}: {len(learned.sections)} sections, {len(learned)} cells, {len(model.genes)} genes")
    if val_section is not None:
        _validate(model, tissue.only([val_section]), chosen.seed)


def _tell(model: Model) -> None:
    """What the training sections were found to be."""
    for label in model.facts["mirrored"]:
        common.say(f"note: section {label} was mirrored to agree with {model.facts['sections'][0]}")
    common.say(
        f"note: {model.regression.count} components a view chosen on held-out sections; "
        f"RMSE there {model.facts['held_out_rmse']:.3f} RMS radii"
    )


def _validate(model: Model, tissue: Tissue, seed: int) -> None:
    """The scores of the section left out."""
    import pandas as pd

    from stedm.evaluation import report, row

    rows = []
    for section in tissue.sections:
        made = model.predict(section)
        rows.append(row("stedm", section, made.coordinates, made.sd, seed=seed))
    typer.echo(report(pd.DataFrame(rows)))


def reconstruct(
    *,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A trained model.")],
    data: common.Data,
    out: common.Out,
    seed: cli.Seed = None,
    force: cli.Force = False,
) -> None:
    """Place cells: obsm['X_stedm'], obs['stedm_sd'], uns['stedm']; cells, their order and names are kept."""
    import numpy as np

    from stedm import h5ad, saving
    from stedm.tissue import Tissue, shared_genes

    cli.refuse_existing(out, force=force)
    common.writable(out, ".h5ad")
    model = saving.load(directory)
    cells, tissue = common.cells_of(data, coordinates=False)
    if tissue.kind != model.regression.components.kind:
        common.say(
            f"note: the model learned from {model.regression.components.kind}, these are {tissue.kind}"
        )
    known = Tissue((), model.genes, tissue.kind, "the model")
    _, shared, note = shared_genes(known, tissue)
    tissue = shared.spread_to(model.genes)
    common.say(f"note: {note}")
    places = np.zeros((cells.n_obs, model.regression.coefficients.shape[1]))
    sd = np.zeros(cells.n_obs)
    for section, rows in zip(tissue.sections, h5ad.rows_by_section(cells, tissue), strict=True):
        made = model.predict(section, seed=seed)
        places[rows], sd[rows] = made.coordinates, made.sd
    cells.obsm["X_stedm"], cells.obs["stedm_sd"] = places, sd
    cells.uns["stedm"] = _how(model, directory, note)
    h5ad.write(cells, out)
    typer.echo(f"{out}: {cells.n_obs} cells of {len(tissue.sections)} sections placed")


def _how(model: Model, directory: Path, note: str) -> dict[str, object]:
    """How the coordinates were made, for whoever reads the file later."""
    from cytosol.config import show
    from stedm import __version__

    return {
        "version": __version__,
        "model": directory.name,
        "estimate": "mean",
        "unit": "that of the training coordinates",
        "training_sections": ", ".join(map(str, model.facts["sections"])),
        "held_out_rmse": float(model.facts["held_out_rmse"]),
        "genes": note,
        "config": show(model.config),
    }
