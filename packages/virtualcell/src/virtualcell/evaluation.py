"""Scores as rows of a table: of simple methods by folds, and of predicted cells against real ones."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from virtualcell import baselines, metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from virtualcell.folds import Fold
    from virtualcell.populations import Populations

COLUMNS = {
    "pearson_delta": "Pearson d",
    "pearson_top20": "d top20",
    "mse": "MSE",
    "overlap50": "overlap50",
    "discrimination": "discrim.",
    "correlations": "gene-gene",
    "energy": "energy",
    "mmd": "MMD",
    "spread": "spread",
}


def of_baselines(whole: Populations, folds: Iterable[Fold]) -> pd.DataFrame:
    """A row a context, perturbation and simple method: context, perturbation, method, cells, and the scores."""
    asked = [
        (context, done, name, made)
        for fold in folds
        for context, done in fold.asked
        for name, made in baselines.run(fold.known, context, done).items()
    ]
    return of_means(whole, asked)


def of_means(whole: Populations, predicted: Iterable[tuple[str, str, str, np.ndarray]]) -> pd.DataFrame:
    """A row for each predicted mean: (context, perturbation, method, mean (g,)); the truth is among `whole`.

    Discrimination is among the perturbations that a method was asked for in a context, where there are two and more.
    """
    made = [Predicted(*one, *_truth(whole, one[0], one[1])) for one in predicted]
    return scored(made)


class Predicted(NamedTuple):
    """By a method for a perturbation in a context: its mean (g,), the true one, that of control cells; and real cells.

    made, true, control: of log1p of counts per 10,000. cells: how many the true mean is of.
    """

    context: str
    perturbation: str
    method: str
    made: np.ndarray
    true: np.ndarray
    control: np.ndarray
    cells: int


def scored(predicted: Sequence[Predicted]) -> pd.DataFrame:
    """A row for each: context, perturbation, method, cells, and the scores of means."""
    rows = []
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, one in enumerate(predicted):
        found = metrics.score(one.made, one.true, one.control).as_dict()
        row = {"context": one.context, "perturbation": one.perturbation, "method": one.method}
        rows.append({**row, "cells": one.cells, **found})
        groups[one.context, one.method].append(place)
    table = pd.DataFrame(rows)
    for places in groups.values():
        if len(places) > 1:
            own = [predicted[place] for place in places]
            deltas = (
                np.array([one.made - one.control for one in own]),
                np.array([one.true - one.control for one in own]),
            )
            table.loc[places, "discrimination"] = metrics.discrimination(*deltas)
    return table


def _truth(whole: Populations, context: str, perturbation: str) -> tuple[np.ndarray, np.ndarray, int]:
    at = whole.where(context, perturbation)
    return whole.mean[at], whole.control_of(context), int(whole.cells[at])


def of_cells(
    predicted: np.ndarray, truth: np.ndarray, *, seed: int = 0, most: int = 1000
) -> dict[str, float]:
    """Predicted (n, g) against real cells (k, g), both log1p of counts per 10,000, as populations.

    At most `most` cells of each are drawn. correlations: agreement of gene-gene correlations; energy: its distance.
    """
    generator = np.random.default_rng(seed)
    predicted, truth = (x if len(x) <= most else generator.permutation(x)[:most] for x in (predicted, truth))
    found = {"energy": metrics.energy_distance(predicted, truth), "mmd": metrics.mmd(predicted, truth)}
    if min(len(predicted), len(truth)) > 2 and float(truth.var(axis=0).sum()) > 0:
        found["correlations"] = metrics.correlation_agreement(predicted, truth)
        found["spread"] = metrics.spread(predicted, truth)
    return found


def means(table: pd.DataFrame) -> pd.DataFrame:
    """A row a method: the mean of each score over its contexts and perturbations, and how many these are."""
    scores = [name for name in COLUMNS if name in table]
    grouped = table.groupby("method", sort=False)
    return grouped[scores].mean().assign(asked=grouped.size()).reset_index()


def best_ridge(table: pd.DataFrame) -> str | None:
    """The ridge of the highest mean Pearson delta: chosen on the very cells that are scored, in its favour."""
    found = means(table).set_index("method")["pearson_delta"].to_dict()
    own = {str(name): value for name, value in found.items() if _is_ridge(name)}
    return max(own, key=lambda name: own[name]) if own else None


def tidy(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A row a context, perturbation, method and metric: dataset, task, method, metric, value, n (cells), seed."""
    scores = [name for name in COLUMNS if name in table]
    long = table.melt(
        id_vars=["context", "perturbation", "method", "cells"], value_vars=scores, var_name="metric"
    )
    names: Mapping[str, str] = {"context": "dataset", "perturbation": "task", "cells": "n"}
    long = long.rename(columns=dict(names)).assign(seed=seed)
    return long.loc[long["value"].notna(), ["dataset", "task", "method", "metric", "value", "n", "seed"]]


def report(table: pd.DataFrame, *, most: int = 12) -> str:
    """The means of every method as text, and its rows where there are few; of the ridges the best alone."""
    best = best_ridge(table)
    shown = table.loc[[not _is_ridge(name) or name == best for name in table["method"]]]
    scores = [name for name in COLUMNS if name in shown and shown[name].notna().to_numpy().any()]
    lines = [f"{'':<30}" + "".join(f"{COLUMNS[name]:>11}" for name in scores)]
    asked = list(dict.fromkeys(zip(shown["context"], shown["perturbation"], strict=True)))
    if 1 < len(asked) <= most:
        for context, done in asked:
            rows = shown.loc[(shown["context"] == context) & (shown["perturbation"] == done)]
            lines += [f"{context}, {done} ({rows['cells'].to_list()[0]} cells)", *_lines(rows, scores)]
    what = f"mean of {len(asked)}" if len(asked) > 1 else ", ".join(map(str, asked[0]))
    lines += [what, *_lines(means(shown), scores)]
    if best is not None:
        tried = len({name for name in table["method"] if _is_ridge(name)})
        lines.append(f"{baselines.RIDGE}: {best.partition(', ')[2]}, the best here of {tried} settings")
    return "\n".join(lines)


def _lines(rows: pd.DataFrame, scores: list[str]) -> list[str]:
    lines = []
    most = int(rows["asked"].max()) if "asked" in rows else 0  # methods that could answer fewer are marked
    for row in rows.to_dict("records"):
        name = baselines.RIDGE if _is_ridge(row["method"]) else str(row["method"])
        name += f" ({row['asked']} of them)" if row.get("asked", most) < most else ""
        numbers = "".join(f"{row[s]:>11.4f}" if np.isfinite(row[s]) else f"{'-':>11}" for s in scores)
        lines.append(f"  {name:<28}{numbers}")
    return lines


def _is_ridge(name: object) -> bool:
    return str(name).startswith(baselines.RIDGE)
