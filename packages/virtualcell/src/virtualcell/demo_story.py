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
SCORES = {"pearson_delta": "Pearson d", "mse": "MSE", "overlap50": "overlap50", "discrimination": "discrim."}
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
    accuracy: dict[str, float],
    config: EmbeddingConfig,
    out: Path,
) -> Story:
    """What was done and how well."""
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
        tables=(_scores(table), _neighbours(obs, accuracy, config)),
        pictures=_pictures(context, config, out),
        own=FORM,
        commands=COMMANDS,
    )


def _scores(table: pd.DataFrame) -> Table:
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
        note="Pearson d: correlation of predicted and true change over genes. MSE: mean squared error of "
        "the mean, log1p of counts per 10,000 (less is better). overlap50: share of the 50 most changed "
        "genes found. discrim.: whether the prediction is nearer to its own perturbation than to others (1: "
        "always). Of the ridges, the one that is best on these very cells.",
    )


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


def _neighbours(obs: pd.DataFrame, accuracy: dict[str, float], config: EmbeddingConfig) -> Table:
    """How well the embedding knows kinds that it was never told."""
    largest = {key: float(obs[key].value_counts(normalize=True).iloc[0]) for key in accuracy}
    return Table(
        caption=f"{config.model}, trained without labels: kinds told by the nearest cells",
        header=("kind", "accuracy", "largest kind alone"),
        rows=tuple((key, f"{a:.2f}", f"{largest[key]:.2f}") for key, a in accuracy.items()),
        note="Share of held-out cells of which the nearest others in the embedding say the right kind; "
        "beside it what one gets who always says the most frequent one.",
    )


def _pictures(context: str, config: EmbeddingConfig, out: Path) -> tuple[Picture, ...]:
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
            f"What the parts of {config.model} say of these cells.",
            "Panels of bars and dots: how open each gate is, attention to pathways and compartments, fast "
            "and slow genes.",
        ),
    }
    return tuple(Picture(path=out / f"{name}.png", caption=c, alt=a) for name, (c, a) in shown.items())
