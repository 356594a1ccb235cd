"""One condition on a grid of time cells: the form in which baselines and networks see it.

A cell holds the mean of the samples that fall in it and their mean true time, so an irregular sampling keeps its
times, hidden ones too: a table says when its missing samples were due. Letters: t time cells, r replicates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from o2diffusion.conditions import Condition  # noqa: TC004 - a dataclass does not read its annotations

MIN_SCALE = 1e-6  # of the level: below it a curve counts as constant


@dataclass(frozen=True)
class Grid:
    """A condition (or a window of it) on t cells.

    `edges` (t + 1,) [h], `time` (t, r) the samples' mean true time in each cell [h] (where there is none, of the
    condition's times in it, else its centre), `value` (t, r) in the input's unit, NaN where the cell holds no sample.
    """

    condition: Condition
    edges: np.ndarray
    time: np.ndarray
    value: np.ndarray

    @property
    def observed(self) -> np.ndarray:
        """Where a sample is: bool (t, r)."""
        return np.isfinite(self.value)

    @property
    def centre(self) -> np.ndarray:
        """Middle of each cell: (t,) [h]."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    @property
    def width(self) -> float:
        """Width of a cell [h]."""
        return float((self.edges[-1] - self.edges[0]) / (len(self.edges) - 1))

    def cell(self, time: np.ndarray) -> np.ndarray:
        """The cell of each time (n,) [h] of the window: int (n,)."""
        return _cell(time, self.edges)

    def hide(self, hidden: np.ndarray) -> Grid:
        """The same grid with the `hidden` cells (t, r) taken away."""
        return replace(self, value=np.where(hidden, np.nan, self.value))


def _cell(time: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The cell of each time: int, of the shape of time."""
    cells = len(edges) - 1
    return np.clip(((time - edges[0]) / (edges[-1] - edges[0]) * cells).astype(int), 0, cells - 1)


def to_grid(
    condition: Condition, cells: int = 128, *, start: float | None = None, end: float | None = None
) -> Grid:
    """Put a condition, or its samples in [start, end] [h], on `cells` equal cells.

    The window defaults to the condition's first and last row; a single time gets a window of one hour.
    """
    time = condition.time_h
    lo = float(time[0]) if start is None else start
    hi = float(time[-1]) if end is None else end
    if hi <= lo:
        lo, hi = lo - 0.5, lo + 0.5
    edges = np.linspace(lo, hi, cells + 1)
    inside = (time >= lo) & (time <= hi)
    cell = _cell(time[inside], edges)
    oxygen, t = condition.oxygen[inside], time[inside]
    seen = np.isfinite(oxygen)
    r = oxygen.shape[1]
    count, total, moment = np.zeros((cells, r)), np.zeros((cells, r)), np.zeros((cells, r))
    np.add.at(count, cell, seen)
    np.add.at(total, cell, np.where(seen, oxygen, 0.0))
    np.add.at(moment, cell, np.where(seen, t[:, None], 0.0))
    rows, due = np.bincount(cell, minlength=cells), np.bincount(cell, weights=t, minlength=cells)
    centre = 0.5 * (edges[1:] + edges[:-1])
    expected = np.where(rows > 0, due / np.maximum(rows, 1), centre)
    full = count > 0
    value = np.where(full, total / np.maximum(count, 1), np.nan)
    when = np.where(full, moment / np.maximum(count, 1), expected[:, None])
    return Grid(condition, edges, when, value)


def usual_step(condition: Condition) -> float:
    """Usual time between samples [h]: the median over the replicate sampled most."""
    seen = np.isfinite(condition.oxygen)
    time = condition.time_h[seen[:, seen.sum(axis=0).argmax()]]
    return float(np.median(np.diff(time))) if len(time) > 1 else 0.0


def scale_of(value: np.ndarray, observed: np.ndarray, fallback: tuple[float, float]) -> tuple[float, float]:
    """Level and scale (mean, SD) of value (t, r) where observed (t, r); `fallback` where fewer than two are.

    A constant curve has no scale of its own: the fallback's scale stands in, so nothing is divided by zero.
    """
    seen = value[observed]
    if seen.size < 2:
        return (float(seen[0]), fallback[1]) if seen.size else fallback
    level, scale = float(seen.mean()), float(seen.std())
    if scale <= MIN_SCALE * abs(level):
        scale = fallback[1]
    return level, scale
