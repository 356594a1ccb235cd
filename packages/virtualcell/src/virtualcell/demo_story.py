"""What the demo tells of its cells: question, answer, numbers and pictures, and the way with one's own file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytosol.story import Picture, Story, Table
from virtualcell import baselines, evaluation
from virtualcell.names import CONTROL

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from virtualcell.config import EmbeddingConfig
    from virtualcell.simulation import Simulated

OWN = "virtualcell"
CELL_TYPE, PERTURBATION = "cell_type", "perturbation"
SCORES = {
    "pearson_delta": "correlation",
    "mse": "error",
    "overlap50": "overlap",
    "discrimination": "discrimination",
}
BARELY = 0.1  # a gate that is not open further lets hardly anything through
QUESTION = "What would this perturbation do to cells of a type in which nobody has tried it?"
FORM = (
    "an AnnData file (.h5ad or .zarr) with counts or log values in X, and in obs what was done to a cell "
    "(condition, `control` where nothing was) and its type. It needs untouched and perturbed cells of three "
    "types or more; `--network F.tsv` with regulators and targets is optional."
)
COMMANDS = (
    "virtualcell train --data cells.h5ad --task perturbation --condition-key condition --control control "
    "--context-key cell_type --out model",
    "virtualcell perturb model --data cells.h5ad --context CD8T --perturbation stimulated "
    "--out predicted.h5ad",
    "virtualcell train --data cells.h5ad --task embedding --out embedder",
    "virtualcell embed embedder --data cells.h5ad --out embedded.h5ad",
    "virtualcell plot embedded.h5ad --color cell_type --out map.png",
)


def story(
    world: Simulated,
    context: str,
    table: pd.DataFrame,
    accuracy: dict[str, tuple[float, ...]],
    config: EmbeddingConfig,
    gate: float,
    out: Path,
) -> Story:
    """What was done and how well. accuracy: of the embedding and of principal components. gate: the widest open."""
    obs = world.cells.obs
    types, done = obs[CELL_TYPE].nunique(), obs[PERTURBATION].nunique() - 1
    means = evaluation.means(table)
    answered = means.loc[means["asked"] == done].set_index("method")["pearson_delta"]
    best = answered.drop(OWN).idxmax()
    return Story(
        question=QUESTION,
        setting=f"{world.cells.n_obs} simulated cells of {types} types, {done} perturbations, and {CONTROL} "
        f"cells. The perturbed {context} cells were hidden, and predicted from those at rest and from the "
        "other types.",
        answer=f"Over all genes, predicted and true changes correlate at {answered[OWN]:.2f} (mean of "
        f"{done} perturbations); by {best}, the best simple method, at {answered[best]:.2f}.",
        tables=(_scores(table, world.cells.n_vars), _neighbours(obs, accuracy, config)),
        pictures=_pictures(context, config, gate, out),
        own=FORM,
        commands=COMMANDS,
    )


def _scores(table: pd.DataFrame, genes: int) -> Table:
    """The means of every method; of the ridges the best alone, and how many were answered where it was not all."""
    best = evaluation.best_ridge(table)
    means = evaluation.means(table)
    most = int(means["asked"].max())
    rows: list[tuple[str, ...]] = []
    for row in means.to_dict("records"):
        name = str(row["method"])
        if name.startswith(baselines.RIDGE) and name != best:
            continue
        few = f" ({row['asked']} of them)" if row["asked"] < most else ""
        rows.append((name + few, *(_number(row[score]) for score in SCORES)))
    return Table(
        caption=f"Means over {most} hidden perturbations",
        header=("method", *SCORES.values()),
        rows=tuple(rows),
        note="correlation: of predicted and true change over genes. error: mean squared, of the mean log1p of "
        "counts per 10,000 (less is better). overlap: share of the 50 most changed genes found (by chance "
        f"{min(1.0, 50 / genes):.2f} of {genes} genes). discrimination: whether the prediction is nearer to its "
        "own perturbation than to others (1: always). Simple methods take the change from the other types: its "
        "mean (mean delta), that of the most similar type (nearest delta), fitted to cells at rest (ridge; of "
        "several the one that is best on these very cells), or the sum of two knockouts (additive). Mean of "
        "perturbations: that of all there are.",
    )


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


def _neighbours(obs: pd.DataFrame, accuracy: dict[str, tuple[float, ...]], config: EmbeddingConfig) -> Table:
    """How well the embedding knows kinds that it was never told, beside principal components."""
    largest = {key: float(obs[key].value_counts(normalize=True).iloc[0]) for key in accuracy}
    return Table(
        caption=f"{config.model}, trained without labels: kinds told by the nearest cells",
        header=("kind", OWN, "principal components", "the same by angle", "largest kind alone"),
        rows=tuple(
            (key.replace("_", " "), *(f"{x:.2f}" for x in found), f"{largest[key]:.2f}")
            for key, found in accuracy.items()
        ),
        note="Share of held-out cells of which the nearest others say the right kind: in the embedding, in as many "
        "principal components of the same cells, near by distance or by angle (as in the embedding), and for who "
        "always says the most frequent kind. Settings of this short training were chosen on this example.",
    )


def _pictures(context: str, config: EmbeddingConfig, gate: float, out: Path) -> tuple[Picture, ...]:
    """What the four pictures show."""
    shown = {
        "scores": (
            f"Every method on the hidden {context} cells; a dot is a perturbation.",
            "Bars of scores for every method, a panel a score, with dots for single perturbations.",
        ),
        "changes": (
            "Predicted against true change of every gene for three perturbations.",
            "Three scatter plots of genes beside a diagonal, the most changed genes named.",
        ),
        "embedding": (
            "All cells by their embedding, coloured by type and by perturbation, which it was not told.",
            "Two maps of cells as dots: one coloured by cell type, one by perturbation.",
        ),
        "explained": (
            f"What the parts of {config.model} say of these cells. After so short a training they hardly count "
            f"(no gate is open by more than {gate:.2g}; 0 adds nothing): see what can be asked, conclude nothing."
            if gate < BARELY
            else f"What the parts of {config.model} say of these cells; what a part says counts as far as its gate "
            "is open.",
            "Panels of bars and dots: how open each gate is, attention to pathways and compartments, fast "
            "and slow genes.",
        ),
    }
    return tuple(Picture(path=out / f"{name}.png", caption=c, alt=a) for name, (c, a) in shown.items())
