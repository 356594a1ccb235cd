"""The step of times: when a cell was taken, and the spread of each gene at knots over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from virtualcell.faults import refuse
from virtualcell.loader_options import LoaderConfig, Strategy, TemporalOptions
from virtualcell.steps import Seen, Step, Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtualcell.cells import Cells

HOURS = {"min": 1 / 60, "h": 1.0, "d": 24.0}
_FEWEST = 3  # cells at a knot whose spread is believed


class Times(Step):
    """The time of each cell [h]; genes have the same spread at all times, their means stay as they are.

    arrays: knots (s,) [h], factor (s, g), means (s, g) of the values at the knots.
    """

    name: ClassVar[str] = "temporal"
    Options: ClassVar[type[Any] | None] = TemporalOptions
    reads: ClassVar[tuple[str, ...]] = ("time_steps",)
    tallied: ClassVar[tuple[str, ...]] = ("before_first_time", "after_last_time", "time_sum")

    @classmethod
    def fit(cls, seen: Seen, options: TemporalOptions) -> Times:
        """Knots and spreads over the cells seen."""
        key = seen.config.time_key
        if not seen.cells.about.has(key) and key == LoaderConfig.time_key:
            return cls(
                {},
                {},
                (f"obs[{key!r}] is absent, no time_steps are made; cfg time_key says where times are",),
            )
        words = {"key": key, "hours": HOURS[seen.config.time_unit]}
        times = _hours(seen.cells, words)
        distinct = np.unique(times)
        notes = [f"obs[{key!r}]: {len(distinct)} times from {distinct[0]:g} to {distinct[-1]:g} h"]
        if len(distinct) > options.max_sequence_length:
            keep = np.linspace(0, len(distinct) - 1, options.max_sequence_length).round().astype(int)
            distinct = distinct[keep]
            notes.append(f"{len(distinct)} times are looked at, evenly over them (max_sequence_length)")
        knots = _knots(distinct, times, options.time_steps, options.temporal_sampling_strategy)
        near = np.abs(times[:, None] - knots[None, :]).argmin(axis=1)
        overall = seen.values.std(axis=0)
        factor = np.ones((len(knots), len(seen.features)), dtype=np.float32)
        means = np.zeros_like(factor)
        for i in range(len(knots)):
            mine = seen.values[near == i]
            if not len(mine):
                continue
            means[i], sd = mine.mean(axis=0), mine.std(axis=0)
            usable = (sd > 1e-6) & (overall > 1e-6) & (len(mine) >= _FEWEST)
            factor[i] = np.where(usable, overall / np.where(usable, sd, 1.0), 1.0)
        arrays = {"knots": knots.astype(np.float32), "means": means}
        if seen.normalization.biological_normalization:
            arrays["factor"] = np.clip(factor, 0.1, 10.0)
        cells_at = np.bincount(near, minlength=len(knots)).tolist()
        return cls(arrays, words | {"cells_at_knots": cells_at}, tuple(notes))

    def scale(self, values: np.ndarray, cells: Cells) -> np.ndarray:
        """(b, g): around the mean expected at its time, a cell's distance times the factor of its time."""
        if "factor" not in self.arrays:
            return values
        left, right, share = self._between(_hours(cells, self.words))
        factor, mean = (
            self.arrays[name][left] * (1 - share) + self.arrays[name][right] * share
            for name in ("factor", "means")
        )
        return mean + (values - mean) * factor

    def context(self, tokens: Tokens, cells: Cells) -> dict[str, np.ndarray]:
        """time_steps (b,) float32 [h]."""
        del tokens
        return {"time_steps": _hours(cells, self.words).astype(np.float32)} if self.words else {}

    def tally(self, cells: Cells) -> Sequence[float]:
        """Cells beyond the times seen, and the sum of times [h]."""
        if not self.words:
            return (0.0, 0.0, 0.0)
        times, knots = _hours(cells, self.words), self.arrays["knots"]
        return (
            float((times < knots[0] - 1e-4).sum()),
            float((times > knots[-1] + 1e-4).sum()),
            float(times.sum()),
        )

    def told(self) -> dict[str, Any]:
        """Knots [h], cells at each, and how fast genes change between them."""
        if not self.words:
            return {}
        change = np.abs(np.diff(self.arrays["means"], axis=0)).mean(axis=1)
        return {
            **self.words,
            "knots_h": self.arrays["knots"].tolist(),
            "mean_change": change.round(4).tolist(),
        }

    def _between(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The knots on both sides of each time, and how far it is between them, (b,), (b,), (b, 1)."""
        knots = self.arrays["knots"]
        right = np.clip(np.searchsorted(knots, times), 0, len(knots) - 1)
        left = np.maximum(right - 1, 0)
        gap = np.where(right > left, knots[right] - knots[left], 1.0)
        return left, right, np.clip((times - knots[left]) / gap, 0, 1)[:, None].astype(np.float32)


def _hours(cells: Cells, words: dict[str, Any]) -> np.ndarray:
    """Times [h] (b,) of cells; DataError for one before 0."""
    times = cells.numbers(words["key"]) * words["hours"]
    if (times < 0).any():
        at = int((times < 0).argmax())
        where = f"{cells.about.name}: obs[{words['key']!r}]: cell {cells.about.obs.index[cells.rows[at]]}"
        refuse(f"{where}: expected a time of 0 or later, got {times[at] / words['hours']:g}")
    return times


def _knots(distinct: np.ndarray, times: np.ndarray, count: int, strategy: Strategy) -> np.ndarray:
    """At most `count` rising times from the first to the last; all distinct ones where there are no more."""
    if len(distinct) <= count:
        return distinct
    first, last = distinct[0], distinct[-1]
    if strategy == "quantile":
        found = np.quantile(times, np.linspace(0, 1, count))
    elif strategy == "log":
        start = first if first > 0 else distinct[1] / 2
        found = np.geomspace(start, last, count)
        found[0] = first
    else:
        found = np.linspace(first, last, count)
    return np.unique(found)
