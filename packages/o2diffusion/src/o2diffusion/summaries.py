"""Numbers that stand for a curve: area, final level, consumption rate, each with the draws behind it.

A summary is computed on every joint draw of the filled curve, so what is not known about a gap arrives in the
interval. Letters: n times, r replicates, d draws, m rows of a table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from o2diffusion.conditions import Condition
from o2diffusion.rates import DRAWS, Blanks, consumption_rows, mean_of_replicates
from o2diffusion.tables import count

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from o2diffusion.imputing import Filled

Kind = Literal["area", "final_level", "consumption_rate"]
QUANTILES = {"q05": 0.05, "q50": 0.5, "q95": 0.95}
FINAL_H = 24.0  # [h]
COVERED = 0.8  # of a window that a replicate's samples must span
KEYS = ["experiment_id", "series_id", "drug", "concentration_um", "replicate", "summary", "window"]
KEYS += ["start_h", "end_h", "unit"]


@dataclass(frozen=True, eq=False)
class Summaries:
    """Rows of one summary with their draws.

    `keys` (m rows): experiment_id, series_id, drug, concentration_um [uM], replicate, summary, window (0: the
    only one; from 1: between events), start_h and end_h [h] of it, unit. `draws` (m, d) in that unit. `notes`:
    what was left out, in words.
    """

    keys: pd.DataFrame
    draws: np.ndarray
    notes: tuple[str, ...] = ()

    def windows(self) -> list[tuple[int, Summaries]]:
        """The rows of each window, by its number, in ascending order."""
        number = self.keys["window"].to_numpy()
        parts = ((int(w), number == w) for w in np.unique(number))
        return [
            (w, replace(self, keys=self.keys[own].reset_index(drop=True), draws=self.draws[own]))
            for w, own in parts
        ]

    def table(self) -> pd.DataFrame:
        """The keys with mean, q05, q50, q95 of the draws: a row for each replicate and window."""
        return _with_quantiles(self.keys, self.draws)

    def by_series(self, *, seed: int = 0) -> pd.DataFrame:
        """The mean over each series' replicates, its interval from draws and replicates together.

        For every draw the mean of k replicates gets Student's t noise of k - 1 degrees of freedom and the
        replicates' standard error (the posterior of a normal mean under a flat prior). One replicate says
        nothing of the others: its interval is the draws' alone, and `n_replicates` is 1.
        """
        rng = np.random.default_rng(seed)
        by = [k for k in KEYS if k != "replicate"]
        rows, draws = [], []
        for _, group in self.keys.groupby(by, sort=False, dropna=False):
            own = self.draws[group.index.to_numpy()]
            rows.append(group.iloc[0][by].to_dict() | {"n_replicates": len(own)})
            draws.append(mean_of_replicates(own, rng))
        table = pd.DataFrame(rows, columns=[*by, "n_replicates"])
        return _with_quantiles(table, np.array(draws).reshape(len(rows), -1))


def complete(filled: Filled | Condition) -> np.ndarray:
    """Complete curves: observed values, and at the wanted samples the drawn ones: (d, n, r).

    NaN where the input has neither. A condition that nobody filled is one draw of itself.
    """
    if isinstance(filled, Condition):
        return filled.oxygen[None].astype(float)
    curves = np.repeat(filled.condition.oxygen[None].astype(float), len(filled.draws), axis=0)
    curves[:, filled.row, filled.column] = filled.draws
    return curves


def summarise(
    filled: Iterable[Filled | Condition],
    kind: Kind,
    *,
    window: tuple[float, float] | None = None,
    hours: float = FINAL_H,
    blanks: Collection[str] = (),
    settle_h: float | None = None,
    min_covered: float = COVERED,
    seed: int = 0,
) -> Summaries:
    """One summary of every replicate of filled (or plain) conditions.

    area: time-weighted mean over `window` (start, end) [h], by default the condition's first to last time.
    final_level: the same over the last `hours` of the window. consumption_rate: see `rates.consumption_rows`;
    `window` or else the windows between events, `blanks` (names of series or drugs) are subtracted, `settle_h` [h].
    Every row has as many draws as the most-drawn condition, at least 200: fewer are repeated. A replicate whose
    samples span less than `min_covered` of the window (a rate: fewer than four) is left out and said in `notes`. Raises
    ValueError for a kind or window that makes no sense, for blanks that are not there or not of rates, and where
    nothing is left.
    """
    _check(kind, window, hours, min_covered)
    if kind != "consumption_rate" and (blanks or settle_h is not None):
        word = "blanks" if blanks else "settle_h"
        msg = f"{word}: belongs to the summary consumption_rate, got it with {kind}; leave it out"
        raise ValueError(msg)
    rows: list[dict[str, object]] = []
    draws: list[np.ndarray] = []
    left: list[str] = []
    pool = Blanks(blanks)
    for number, one in enumerate(filled):
        condition = one if isinstance(one, Condition) else one.condition
        curves = complete(one)
        if kind == "consumption_rate":
            found = consumption_rows(
                condition, curves, window=window, settle_h=settle_h, rng=np.random.default_rng([seed, number])
            )
        else:
            found = _levels(condition, curves, kind, window, hours, min_covered)
        kept = {row["replicate"] for row, _ in found}
        left += [f"{condition.series_id}/{name}" for name in condition.replicates if name not in kept]
        for row, values in found:
            rows.append(_keys(condition, kind) | row)
            draws.append(values)
    if not rows:
        msg = f"{kind}: expected at least one replicate with samples over the window, got none of {len(left)}"
        raise ValueError(msg)
    notes = (
        [f"{kind}: {count(len(left), 'replicate')} without enough samples left out ({_some(left)})"]
        if left
        else []
    )
    d = max(DRAWS, *(len(values) for values in draws))
    keys, matrix = pd.DataFrame(rows, columns=KEYS), np.stack([np.resize(values, d) for values in draws])
    if blanks:
        keys, matrix, said = pool.subtract(keys, matrix, np.random.default_rng(seed))
        notes += said
    return Summaries(keys, matrix, tuple(notes))


def mean_over(time: np.ndarray, curves: np.ndarray, start: float, end: float) -> tuple[np.ndarray, float]:
    """Time-weighted mean of curves over [start, end] [h] by the trapezoid rule, and the share that their samples span.

    time (n,) ascending [h], curves (d, n) without NaN -> (d,) in the curves' unit, share of the window in [0, 1].
    Linear to the window's borders between samples, level beyond the first and last.
    """
    span = max(min(end, time[-1]) - max(start, time[0]), 0.0) / (end - start)
    inside = (time > start) & (time < end)
    edges = np.stack([_at(time, curves, start), _at(time, curves, end)])
    t = np.concatenate([[start], time[inside], [end]])
    y = np.concatenate([edges[:1].T, curves[:, inside], edges[1:].T], axis=1)
    return (0.5 * (y[:, 1:] + y[:, :-1]) * np.diff(t)).sum(axis=1) / (end - start), float(span)


def _at(time: np.ndarray, curves: np.ndarray, when: float) -> np.ndarray:
    """Curves (d, n) at one time, linear between samples, level beyond them: (d,)."""
    right = int(np.clip(np.searchsorted(time, when), 1, max(len(time) - 1, 1)))
    if len(time) == 1:
        return curves[:, 0]
    part = np.clip((when - time[right - 1]) / (time[right] - time[right - 1]), 0.0, 1.0)
    return curves[:, right - 1] * (1 - part) + curves[:, right] * part


def _levels(
    condition: Condition,
    curves: np.ndarray,
    kind: Kind,
    window: tuple[float, float] | None,
    hours: float,
    min_covered: float,
) -> list[tuple[dict[str, object], np.ndarray]]:
    """Area or final level of each replicate whose samples span enough of the window."""
    start, end = window or (float(condition.time_h[0]), float(condition.time_h[-1]))
    if kind == "final_level":
        start = max(start, end - hours)
    if not end > start:  # a series of one sample has no duration
        return []
    found: list[tuple[dict[str, object], np.ndarray]] = []
    for k, name in enumerate(condition.replicates):
        known = np.isfinite(curves[:, :, k]).all(axis=0)
        if known.any():
            values, span = mean_over(condition.time_h[known], curves[:, known, k], start, end)
            if span >= min_covered:
                row: dict[str, object] = {"replicate": name, "window": 0, "start_h": start, "end_h": end}
                found.append((row | {"unit": condition.unit}, values))
    return found


def _keys(condition: Condition, kind: Kind) -> dict[str, object]:
    return {
        "experiment_id": condition.experiment_id,
        "series_id": condition.series_id,
        "drug": condition.drug,
        "concentration_um": condition.concentration_um,
        "summary": kind,
    }


def _with_quantiles(keys: pd.DataFrame, draws: np.ndarray) -> pd.DataFrame:
    """The table with mean and quantiles of draws (m, d) before its unit."""
    table = keys.drop(columns="unit").reset_index(drop=True)
    table["mean"] = draws.mean(axis=1)
    table[list(QUANTILES)] = np.quantile(draws, list(QUANTILES.values()), axis=1).T
    table["unit"] = keys["unit"].to_numpy()
    return table


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _check(kind: str, window: tuple[float, float] | None, hours: float, min_covered: float) -> None:
    if kind not in get_args(Kind):
        msg = f"summary: expected one of {', '.join(get_args(Kind))}, got {kind!r}"
        raise ValueError(msg)
    if window is not None and not window[1] > window[0]:
        msg = f"window: expected start < end [h], got {window}"
        raise ValueError(msg)
    if not hours > 0 or not 0 <= min_covered <= 1:
        msg = f"expected hours > 0 [h] and min_covered in [0, 1], got {hours} and {min_covered}"
        raise ValueError(msg)
