"""Scores of a reconstruction against the truth, section by section, as rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stedm import baselines
from stedm.metrics import score
from stedm.tissue import DataError, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stedm.tissue import Section, Tissue

COLUMNS = {
    "jaccard10": "Jaccard@10",
    "hit10": "hit@10",
    "spearman": "Spearman",
    "rmse": "Procrustes",
    "scale_ratio": "scale",
    "floor": "floor",
    "sd_spearman": "sd~error",
    "sd_ratio": "error/sd",
    "sd_coverage90": "in 90%",
}


def row(
    method: str, section: Section, coordinates: np.ndarray, sd: np.ndarray | None = None, *, seed: int = 0
) -> dict[str, object]:
    """A row of scores of coordinates (n, d) with sd (n,) in their unit; the section's coordinates are the truth.

    Raises DataError for a section without coordinates, ValueError as `metrics.score`.
    """
    found = score(coordinates, place_of(section), sd, seed=seed)
    return {"section": section.label, "method": method, **found.as_dict()}


def against_truth(
    made: Tissue, truth: Tissue, sd: Sequence[np.ndarray | None], *, seed: int = 0
) -> pd.DataFrame:
    """A row for each section of a reconstruction, matched to the truth by section and cell name.

    sd: (n,) of each section in its unit, or None.
    Raises DataError for a section or cell that the truth does not have.
    """
    rows = [
        row("stedm", there, place_of(section), own, seed=seed)
        for section, there, own in zip(made.sections, matched(made, truth), sd, strict=True)
    ]
    return pd.DataFrame(rows)


def matched(made: Tissue, truth: Tissue) -> list[Section]:
    """For each section of a reconstruction the truth's section of that name, its cells in the reconstruction's order.

    Raises DataError for a section or cell that the truth does not have.
    """
    found = []
    known = {section.label: section for section in truth.sections}
    for section in made.sections:
        if section.label not in known:
            msg = (
                f"{truth.name}: obs['section']: expected {section.label!r} of {made.name}, got {list(known)}"
            )
            raise DataError(msg)
        there = known[section.label]
        place = {str(cell): i for i, cell in enumerate(there.cells)}
        lost = [str(cell) for cell in section.cells if str(cell) not in place]
        if lost:
            msg = f"{truth.name}: section {section.label}: expected cell {lost[0]!r} ({len(lost)} absent)"
            raise DataError(msg)
        found.append(there.take(np.array([place[str(cell)] for cell in section.cells])))
    return found


def of_baselines(train: Tissue, query: Tissue, *, seed: int = 0) -> pd.DataFrame:
    """A row for each section of the query and each simple method trained on `train`; genes must agree.

    Raises DataError for a section without coordinates.
    """
    rows = [
        row(name, section, made, seed=seed)
        for section in query.sections
        for name, made in baselines.run(train, section, seed=seed).items()
    ]
    return pd.DataFrame(rows)


def tidy(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A row a section, method and metric: dataset, task, method, metric, value, n (cells), seed."""
    metrics = [name for name in COLUMNS if name in table]
    long = table.melt(id_vars=["section", "method", "cells"], value_vars=metrics, var_name="metric")
    long = long.rename(columns={"section": "dataset", "cells": "n"}).assign(task="reconstruct", seed=seed)
    return long.loc[long["value"].notna(), ["dataset", "task", "method", "metric", "value", "n", "seed"]]


def report(table: pd.DataFrame) -> str:
    """Rows of scores as text; a column that is NaN in all of them is left out."""
    shown = [name for name in COLUMNS if not table[name].isna().all()]
    head = f"{'section':<16}{'method':<18}{'cells':>7}" + "".join(f"{COLUMNS[name]:>12}" for name in shown)
    lines = [head]
    for _, one in table.iterrows():
        numbers = "".join(f"{one[name]:>12.3f}" if one[name] == one[name] else f"{'-':>12}" for name in shown)
        mirrored = "  mirrored" if one["mirrored"] else ""
        lines.append(f"{one['section']!s:<16.15}{one['method']:<18}{one['cells']:>7}{numbers}{mirrored}")
    lines.append(
        "Procrustes: RMSE after the best similarity, over the truth's RMS radius. floor: Jaccard by chance."
    )
    return "\n".join(lines)
