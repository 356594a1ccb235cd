"""`train`, `reconstruct` and `refine`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytosol import cli, ranks
from stedm.names import DRAWN, HOW, KIN, MADE, SD
from stedm.verbs import common

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from anndata import AnnData

    from stedm.place import Model, Place
    from stedm.tissue import Section, Tissue

RECIPE, HISTORY, CHECKPOINTS = "config.yaml", "history.csv", "runs"


@cli.resumable()
@ranks.only_first_speaks
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
    device: cli.Device = "auto",
    resume: cli.Resume = False,
    force: cli.Force = False,
    overrides: cli.Overrides,
) -> None:
    """Learn places from sections with coordinates, for instance: train --data ref.h5ad --out DIR base.genes=500."""
    from cytosol.config import save as save_config
    from stedm import learning, saving

    if ranks.first():
        cli.refuse_existing(out, force=force, resume=resume)
    chosen = common.recipe(config, overrides, seed=seed, device=device)
    _, tissue = common.cells_of(data, spatial_key=spatial_key, dim=dim)
    learned = tissue if val_section is None else tissue.without([val_section])
    learned = common.teaching(learned, dim)
    model = learning.fit(learned, chosen, dim=dim, out=out / CHECKPOINTS, resume=resume)
    if not ranks.first():
        return
    saving.save(model, out, force=force or resume)
    save_config(chosen, out / RECIPE)
    if model.history is not None:
        model.history.to_csv(out / HISTORY, index=False)
    _tell(model)
    typer.echo(f"{out}: {len(learned.sections)} sections, {len(learned)} cells, {len(model.genes)} genes")
    if val_section is not None:
        _validate(model, tissue.only([val_section]), chosen.seed)


def _tell(model: Model) -> None:
    """What the training sections were found to be, and what held-out cells say of the networks."""
    for label in model.facts["mirrored"]:
        common.say(f"note: section {label} was mirrored to agree with {model.facts['sections'][0]}")
    common.say(
        f"note: {model.regression.count} components a view chosen on held-out sections; "
        f"RMSE there {model.facts['held_out_rmse']:.3f} RMS radii"
    )
    if model.networks is None:
        return
    told = ", ".join(
        f"{name} {one['jaccard10']:.3f} / {one['rmse']:.3f}" for name, one in model.networks.held.items()
    )
    advice = "refine by default" if model.refines else "do not refine unless asked (--refine)"
    common.say(f"note: held-out Jaccard@10 / Procrustes RMSE: {told}: {advice}")


def _validate(model: Model, tissue: Tissue, seed: int) -> None:
    """The scores of the section left out, after each stage."""
    import pandas as pd

    from stedm.evaluation import report, row

    rows = []
    for section in tissue.sections:
        made = model.predict(section, refine=model.networks is not None)
        rows += [row(name, section, at, made.sd, seed=seed) for name, at in made.stages.items()]
    typer.echo(report(pd.DataFrame(rows)))


def reconstruct(
    *,
    directory: common.Model,
    data: common.Data,
    out: common.Out,
    estimate: common.Kind = "mean",
    draws: common.Draws = None,
    refine: Annotated[
        bool | None,
        typer.Option(
            "--refine/--no-refine",
            help="Let the networks correct the places; default: as held-out cells said.",
        ),
    ] = None,
    seed: cli.Seed = None,
    device: cli.Device = "auto",
    force: cli.Force = False,
) -> None:
    """Place cells: obsm['X_stedm'], obs['stedm_sd'], uns['stedm']; cells, their order and names are kept."""
    model = _prepared(directory, out, device, force=force)

    def place(section: Section, rows: np.ndarray, cells: AnnData) -> Place:
        if refine is None and model.refines and model.shallow(section):
            common.say(
                f"note: section {section.label} has less than half of the training sections' counts a cell: "
                "the networks leave it alone; --refine asks them all the same"
            )
        return model.predict(section, refine=refine, estimate=estimate, draws=draws, seed=seed)

    _write(model, directory, data, out, place, estimate)


def refine(
    *,
    directory: common.Model,
    data: common.Data,
    out: common.Out,
    key: Annotated[
        str,
        typer.Option("--key", metavar="KEY", help="Places in obsm to start from: stedm's or another tool's."),
    ] = MADE,
    estimate: common.Kind = "mean",
    draws: common.Draws = None,
    seed: cli.Seed = None,
    device: cli.Device = "auto",
    force: cli.Force = False,
) -> None:
    """Let the networks correct places that any tool has made, section by section; written as by `reconstruct`."""
    from stedm.h5ad import places_of

    model = _prepared(directory, out, device, force=force)

    def place(section: Section, rows: np.ndarray, cells: AnnData) -> Place:
        start = places_of(cells, data.name, key, model.regression.coefficients.shape[1])[rows]
        return model.refine(section, start, estimate=estimate, draws=draws, seed=seed)

    _write(model, directory, data, out, place, estimate)


def _prepared(directory: Path, out: Path, device: str, *, force: bool) -> Model:
    """The model, once it is clear that the result may be written."""
    common.writable(out, ".h5ad")  # first: who names the store itself is not to be told of --force
    cli.refuse_existing(out, force=force)
    return common.model_of(directory, device)


def _write(
    model: Model,
    directory: Path,
    data: Path,
    out: Path,
    place: Callable[[Section, np.ndarray, AnnData], Place],
    estimate: str,
) -> None:
    """Place the cells of every section and write them."""
    import numpy as np
    from scipy import sparse

    from stedm import h5ad

    cells, tissue = common.cells_of(data, coordinates=False)
    tissue, note = common.known_cells(model, tissue)
    dim = model.regression.coefficients.shape[1]
    places, sd, drawn, stages = np.zeros((cells.n_obs, dim)), np.zeros(cells.n_obs), [], []
    kin = sparse.coo_matrix((cells.n_obs, cells.n_obs))
    for section, rows in zip(tissue.sections, h5ad.rows_by_section(cells, tissue), strict=True):
        made = place(section, rows, cells)
        places[rows], sd[rows] = made.coordinates, made.sd
        kin = kin + made.neighbours(rows, cells.n_obs)
        if made.foreign:
            common.say(
                f"note: section {section.label} is unlike the training sections: placed by its probable "
                "neighbours alone, expect little; stedm_sd is too small"
            )
        stages += list(made.stages)[-1:]
        drawn.append((rows, made.draws))
    cells.obsm[MADE], cells.obs[SD], cells.obsp[KIN] = places, sd, sparse.csr_matrix(kin)
    count = min(len(d) for _, d in drawn)
    if estimate == "sample" and count > 1:
        kept = np.zeros((cells.n_obs, count * dim))
        for rows, d in drawn:
            kept[rows] = d[:count].transpose(1, 0, 2).reshape(len(rows), count * dim)
        cells.obsm[DRAWN] = kept
    last = ", ".join(dict.fromkeys(stages))  # sections may end at different ones
    cells.uns[HOW] = _how(model, directory, note, estimate, last)
    h5ad.write(cells, out)
    typer.echo(f"{out}: {cells.n_obs} cells of {len(tissue.sections)} sections placed ({last})")


def _how(model: Model, directory: Path, note: str, estimate: str, stage: str) -> dict[str, object]:
    """How the coordinates were made, for whoever reads the file later."""
    from cytosol.config import show
    from stedm import __version__

    return {
        "version": __version__,
        "model": directory.name,
        "estimate": estimate,
        "stage": stage,
        "unit": "that of the training coordinates",
        "training_sections": ", ".join(map(str, model.facts["sections"])),
        "held_out_rmse": float(model.facts["held_out_rmse"]),
        "genes": note,
        "config": show(model.config),
    }
