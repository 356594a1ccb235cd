"""Cells in two minutes: simulated, perturbed ones hidden and predicted beside simple methods, embedded, explained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from virtualcell import baselines, evaluation
from virtualcell.config import EmbeddingConfig
from virtualcell.demo_story import CELL_TYPE, OWN, PERTURBATION, story
from virtualcell.embedding import EmbeddingModel, fit_embedding
from virtualcell.explain import explain
from virtualcell.explain_plots import plot_explained
from virtualcell.folds import hide_context
from virtualcell.metrics import knn_accuracy
from virtualcell.names import CONTROL
from virtualcell.plots import plot_deltas, plot_embedding, plot_methods, project
from virtualcell.populations import read_populations
from virtualcell.response import fit_responder
from virtualcell.response_config import ResponseConfig
from virtualcell.response_files import save_responder
from virtualcell.saving import save_embedding
from virtualcell.simulation import simulate
from virtualcell.simulation_options import SimulationOptions
from virtualcell.sources import open_cells
from virtualcell.writing import with_embedding, write_cells

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData

    from cytosol.story import Story
    from virtualcell.simulation import Simulated

WORLD = SimulationOptions(  # pathways and compartments vary little beside types and perturbations: a map shows these
    seed=3,
    cells=2400,
    genes=100,
    cell_types=4,
    hours=(6.0,),
    knockouts=4,
    stimuli=2,
    pairs=1,
    pathway_spread=0.2,
    compartment_spread=0.1,
)
MODEL = "HierarchicalTemporalModel"
CONFIG = EmbeddingConfig(model=MODEL, genes=100)
CONFIG = replace(  # gentle steps: counts of 100 genes tell less of types and perturbations than of pathways
    CONFIG,
    objective=replace(CONFIG.objective, learning_rate=1e-4),
    trainer=replace(CONFIG.trainer, max_steps=100, batch_size=64),
)
RESPONSE = ResponseConfig()
RESPONSE = replace(RESPONSE, trainer=replace(RESPONSE.trainer, max_steps=60))
TESTED = 3  # every third cell is held out of what the neighbours know


def run(
    out: Path,
    options: SimulationOptions = WORLD,
    config: EmbeddingConfig = CONFIG,
    response: ResponseConfig = RESPONSE,
) -> Story:
    """Write cells, models, tables and four pictures to `out`; what they show."""
    from cytosol.figures import save

    out.mkdir(parents=True, exist_ok=True)
    world = simulate(options)
    world.write(out / "world")
    whole = read_populations(world.cells, context_key=CELL_TYPE)
    context = whole.context_names[0]
    (fold,) = hide_context(whole, context)
    found = _predicted(world, context, [done for _, done in fold.asked], response, out)
    made = [
        (c, d, name, mean) for c, d in fold.asked for name, mean in baselines.run(fold.known, c, d).items()
    ]
    table = evaluation.of_means(whole, [*made, *((context, d, OWN, mean) for d, mean in found.items())])
    table.to_csv(out / "scores.csv", index=False)
    save(plot_methods(table, title=f"Perturbed {context} cells, hidden and predicted"), out / "scores.png")
    control = whole.control_of(context)
    shown = [
        evaluation.Predicted(context, d, OWN, found[d], whole.mean[whole.where(context, d)], control, 0)
        for d in list(found)[-3:]
    ]
    save(
        plot_deltas(shown, whole.genes, title=f"Perturbed {context} cells, hidden and predicted"),
        out / "changes.png",
    )
    model, accuracy = _embedded(world, config, out)
    (out / "explained").mkdir(exist_ok=True)
    tables = explain(model, world.cells, by=PERTURBATION)
    for name, one in tables.items():
        one.to_csv(out / "explained" / f"{name}.csv")
    save(plot_explained(tables, title=f"{config.model}: what its parts say"), out / "explained.png")
    gates = tables["parts"]["gate"].to_numpy(dtype=float)
    return story(world, context, table, accuracy, config, float(gates.max()), out)


def _predicted(
    world: Simulated, context: str, asked: list[str], config: ResponseConfig, out: Path
) -> dict[str, np.ndarray]:
    """The mean of the cells that are predicted for each hidden perturbation of a type, from its cells at rest."""
    obs = world.cells.obs
    rest = (obs[CELL_TYPE] == context) & (obs[PERTURBATION] == CONTROL)
    known = world.cells[(obs[CELL_TYPE] != context) | rest].copy()
    files = {"pathways": out / "world" / "pathways.gmt", "network": out / "world" / "network.tsv"}
    model = fit_responder(
        known, config, out=out / "runs" / "response", context_key=CELL_TYPE, annotations=files
    )
    save_responder(model, out / "response", force=True)
    still = open_cells(world.cells[rest].copy())
    found = {}
    for done in asked:
        cells = model.perturb(still, done, context=context)
        write_cells(cells, out / "predicted" / f"{done}.h5ad", force=True)
        found[done] = np.asarray(sparse.csr_matrix(cells.X).mean(axis=0), dtype=np.float64).ravel()
    return found


def _embedded(
    world: Simulated, config: EmbeddingConfig, out: Path
) -> tuple[EmbeddingModel, dict[str, tuple[float, ...]]]:
    """Train without any label, embed, draw; the share of held-out cells whose neighbours are of their own kind.

    Three shares a column of obs: in the embedding, in as many principal components, and in these by their angle.
    """
    from cytosol.figures import save

    files = {"pathways": out / "world" / "pathways.gmt", "compartments": out / "world" / "compartments.tsv"}
    model = fit_embedding(world.cells, config, out=out / "runs" / "embedding", annotations=files, force=True)
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
    simple = _components(world.cells, config.target_sum, found.shape[1])
    accuracy = {}
    spaces = (found, simple, simple / np.linalg.norm(simple, axis=1, keepdims=True))
    for key, own in columns.items():
        accuracy[key] = tuple(knn_accuracy(x[~asked], own[~asked], x[asked], own[asked]) for x in spaces)
    return model, accuracy


def _components(cells: AnnData, target_sum: float, count: int) -> np.ndarray:
    """The first principal components (n, count) of all genes' log values: what an embedding has to stand beside."""
    x = sparse.csr_matrix(cells.X).toarray().astype(np.float64)
    x = np.log1p(x * (target_sum / x.sum(axis=1, keepdims=True)))
    left, size, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    return left[:, :count] * size[:count]
