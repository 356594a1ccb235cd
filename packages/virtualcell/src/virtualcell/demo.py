"""Cells in two minutes: simulated, perturbed ones hidden and predicted by simple methods, embedded, and explained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from virtualcell import baselines, evaluation
from virtualcell.config import EmbeddingConfig
from virtualcell.embedding import EmbeddingModel, fit_embedding
from virtualcell.explain import explain
from virtualcell.explain_plots import plot_explained
from virtualcell.folds import EACH, hide_context
from virtualcell.metrics import knn_accuracy
from virtualcell.names import CONTROL
from virtualcell.plots import plot_deltas, plot_embedding, plot_methods, project
from virtualcell.populations import read_populations
from virtualcell.saving import save_embedding
from virtualcell.simulation import simulate
from virtualcell.simulation_options import SimulationOptions
from virtualcell.sources import open_cells
from virtualcell.writing import with_embedding, write_cells

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from virtualcell.populations import Populations
    from virtualcell.simulation import Simulated

WORLD = SimulationOptions(
    seed=3, cells=2400, genes=100, cell_types=4, hours=(6.0,), knockouts=4, stimuli=2, pairs=1
)
MODEL = "HierarchicalTemporalModel"
CONFIG = EmbeddingConfig(model=MODEL, genes=100)
CONFIG = replace(CONFIG, trainer=replace(CONFIG.trainer, max_steps=150, batch_size=64, max_minutes=1.0))
CELL_TYPE, PERTURBATION = "cell_type", "perturbation"
TESTED = 3  # every third cell is held out of what the neighbours know


def run(out: Path, options: SimulationOptions = WORLD, config: EmbeddingConfig = CONFIG) -> str:
    """Write cells, a model, tables and four pictures to `out`; what they show, as text."""
    from cytosol.figures import save

    out.mkdir(parents=True, exist_ok=True)
    world = simulate(options)
    world.write(out / "world")
    whole = read_populations(world.cells, context_key=CELL_TYPE)
    table = evaluation.of_baselines(whole, hide_context(whole, EACH))
    table.to_csv(out / "scores.csv", index=False)
    save(
        plot_methods(table, title="Perturbed cells of each cell type hidden: simple methods"),
        out / "scores.png",
    )
    changes = _changes(whole)
    save(
        plot_deltas(changes, whole.genes, title=f"Hidden: perturbed {changes[0].context} cells"),
        out / "changes.png",
    )
    model, accuracy = _embedded(world, config, out)
    tables = explain(model, world.cells, by=PERTURBATION)
    for name, one in tables.items():
        (out / "explained").mkdir(exist_ok=True)
        one.to_csv(out / "explained" / f"{name}.csv")
    save(plot_explained(tables, title=f"{config.model}: what its parts say"), out / "explained.png")
    return _text(world, table, accuracy, config, out)


def _changes(whole: Populations) -> list[evaluation.Predicted]:
    """What the mean of the other cell types says of the first one."""
    (fold,) = hide_context(whole, whole.context_names[0])
    made = []
    for context, done in fold.asked[-3:]:
        mean = baselines.run(fold.known, context, done)[baselines.SAME]
        at = whole.where(context, done)
        true = whole.mean[at], whole.control_of(context), int(whole.cells[at])
        made.append(evaluation.Predicted(context, done, baselines.SAME, mean, *true))
    return made


def _embedded(
    world: Simulated, config: EmbeddingConfig, out: Path
) -> tuple[EmbeddingModel, dict[str, float]]:
    """Train without any label, embed, draw; how many held-out cells have neighbours of their own kind."""
    from cytosol.figures import save

    files = {"pathways": out / "world" / "pathways.gmt", "compartments": out / "world" / "compartments.tsv"}
    model = fit_embedding(world.cells, config, out=out / "runs", annotations=files, force=True)
    save_embedding(model, out / "model", force=True)
    source = open_cells(world.cells)
    found = model.embed(source)
    write_cells(with_embedding(world.cells, found), out / "embedded.h5ad", force=True)
    columns = {key: source.about.labels(key) for key in (CELL_TYPE, PERTURBATION)}
    save(
        plot_embedding(project(found), columns, title=f"{config.model}: embedded cells"),
        out / "embedding.png",
    )
    asked = np.arange(len(found)) % TESTED == 0
    accuracy = {
        key: knn_accuracy(found[~asked], own[~asked], found[asked], own[asked])
        for key, own in columns.items()
    }
    return model, accuracy


def _text(
    world: Simulated, table: pd.DataFrame, accuracy: dict[str, float], config: EmbeddingConfig, out: Path
) -> str:
    """What was done and how well, in a few lines."""
    obs = world.cells.obs
    types, done = obs[CELL_TYPE].nunique(), obs[PERTURBATION].nunique() - 1
    largest = {key: float(obs[key].value_counts(normalize=True).iloc[0]) for key in accuracy}
    kinds = ", ".join(
        f"{key} {a:.2f} ({largest[key]:.2f} by the largest alone)" for key, a in accuracy.items()
    )
    names = ("scores.png", "changes.png", "embedding.png", "explained.png")
    return "\n".join(
        [
            f"{world.cells.n_obs} simulated cells of {types} types, {done} perturbations, and {CONTROL} cells.",
            "Perturbed cells of each type hidden in turn, and predicted from the other types by simple methods:",
            evaluation.report(table, most=0),
            f"{config.model}, trained without labels: of held-out cells the nearest others say the kind of",
            f"  {kinds}",
            f"Look at {', '.join(names)} in {out}; what each part of the model says is in {out / 'explained'}.",
        ]
    )
