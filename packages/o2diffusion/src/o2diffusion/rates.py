"""Consumption rates: the slope of the oxygen decline in a closed chamber, robust, minus that of blanks.

Letters: n times, d draws, p phases (stretches sampled without a pause), m rows of a table.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd

    from o2diffusion.conditions import Condition

PAUSE = 4.0  # a step this many times the median one starts a new phase
REFRESH = ("flush", "media_change")  # events that bring oxygen: the decline starts at the peak after them
LEAST = 4  # samples of a window
HUBER, BISQUARE = 1.345, 4.685  # tuning constants of 95 % efficiency (Maronna et al. 2019, section 4.4)
ROUNDS = 8
DRAWS = 200  # at least, of a rate: its standard error is drawn
SMOOTH = 5  # samples of the running median in which the peak after a flush is sought


def consumption_rows(
    condition: Condition,
    curves: np.ndarray,
    *,
    window: tuple[float, float] | None,
    settle_h: float | None,
    rng: np.random.Generator,
) -> list[tuple[dict[str, object], np.ndarray]]:
    """Consumption of each replicate in each window, positive where oxygen falls: rows and their draws (d,).

    curves (d, n, r): as `summaries.complete` gives them. Windows: the given one [h], or those between the condition's
    events. `settle_h` [h] after an event is left out; None: after a flush or media change all until the peak of the
    window's first half. Phases of a window, parted by pauses in sampling, share one slope, each with a level of its
    own. A draw is the slope of that drawn curve plus noise of the slope's standard error, which counts correlated
    residuals as fewer. Windows of fewer than four samples are left out. Unit: the condition's, per hour.
    """
    unit = f"{condition.unit or 'oxygen'}/h"
    found: list[tuple[dict[str, object], np.ndarray]] = []
    for number, (start, end, kind) in enumerate(_windows(condition, window), start=window is None):
        inside = (condition.time_h >= start) & (condition.time_h < end)
        for k, name in enumerate(condition.replicates):
            rows = inside & np.isfinite(curves[:, :, k]).all(axis=0)
            time, own = condition.time_h[rows], curves[:, rows, k]
            first = _settled(time, own, start, kind, settle_h)
            time, own = time[first:], own[:, first:]
            if len(time) < LEAST:
                continue
            slope, error = robust_slope(time, own, phases(time))
            slope, error = (np.resize(x, max(DRAWS, len(curves))) for x in (slope, error))
            row: dict[str, object] = {"replicate": name, "window": number, "start_h": start, "end_h": end}
            found.append((row | {"unit": unit}, -(slope + error * rng.standard_normal(len(slope)))))
    return found


def _windows(
    condition: Condition, window: tuple[float, float] | None
) -> list[tuple[float, float, str | None]]:
    """Start, end [h] and the kind of event at the start of each window."""
    if window is not None:
        return [(*window, None)]
    first, last = float(condition.time_h[0]), float(condition.time_h[-1])
    events = [
        (float(t), kind)
        for t, kind in zip(condition.events.time_h, condition.events.kind, strict=True)
        if first < t < last
    ]
    cuts: list[tuple[float, str | None]] = [(first, None), *events, (np.nextafter(last, np.inf), None)]
    return [(a, b, kind) for (a, kind), (b, _) in pairwise(cuts)]


def _settled(
    time: np.ndarray, curves: np.ndarray, start: float, kind: str | None, settle_h: float | None
) -> int:
    """Index of the first sample (n,) that belongs to the decline."""
    if not len(time) or kind is None:
        return 0
    if settle_h is not None:
        return int(np.searchsorted(time, start + settle_h))
    if kind not in REFRESH:
        return 0
    half = int(np.searchsorted(time, 0.5 * (time[0] + time[-1]), side="right"))
    middle = np.median(curves, axis=0)[: max(half, 1)]
    padded = np.pad(middle, SMOOTH // 2, mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, SMOOTH), axis=1)
    return int(np.argmax(smooth))


def phases(time: np.ndarray) -> np.ndarray:
    """Phase of each of two samples or more, from 0: a pause of more than PAUSE median steps parts two: (n,) -> (n,)."""
    step = np.diff(time)
    return np.concatenate([[0], np.cumsum(step > PAUSE * np.median(step))]).astype(int)


def robust_slope(time: np.ndarray, curves: np.ndarray, phase: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Common slope of curves (d, n) over time (n,) [h] with a level for each phase (n,), and its standard
    error: (d,), (d,) [per h].

    An MM-like fit: Huber's weights until they settle, then Tukey's bisquare (Maronna et al. 2019, section 5.5).
    """
    same = (curves == curves[:1]).all()
    y = curves[:1] if same else curves
    w = np.ones_like(y)
    slope = rest = centred = np.zeros(0)
    for i in range(2 * ROUNDS):
        slope, rest, centred = _weighted_slope(time, y, w, phase)
        size = 1.4826 * np.median(np.abs(rest), axis=1, keepdims=True)
        u = np.abs(rest) / np.maximum(size, 1e-12 * max(1.0, float(np.abs(y).max())))
        w = (
            np.minimum(1.0, HUBER / np.maximum(u, HUBER))
            if i < ROUNDS
            else np.clip(1 - (u / BISQUARE) ** 2, 0, None) ** 2
        )
        w = np.where(w.sum(axis=1, keepdims=True) > 0, w, 1.0)
    freedom = max(len(time) - phase.max() - 2, 1)
    variance = (w * rest**2).sum(axis=1) / np.maximum(w.sum(axis=1), 1e-12) * len(time) / freedom
    spread = np.maximum((w * centred**2).sum(axis=1), 1e-300)
    error = np.sqrt(variance / spread * _fewer(rest, phase))
    d = len(curves)
    return (np.repeat(slope, d), np.repeat(error, d)) if same else (slope, error)


def _weighted_slope(
    time: np.ndarray, y: np.ndarray, w: np.ndarray, phase: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted least squares: slope (d,), residuals (d, n), time around each phase's mean (d, n)."""
    belongs = np.eye(phase.max() + 1)[phase]
    total = np.maximum(w @ belongs, 1e-12)
    t = time - ((w * time) @ belongs / total) @ belongs.T
    v = y - ((w * y) @ belongs / total) @ belongs.T
    slope = (w * t * v).sum(axis=1) / np.maximum((w * t * t).sum(axis=1), 1e-300)
    return slope, v - slope[:, None] * t, t


def _fewer(rest: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Factor on the variance for residuals correlated from sample to sample, (1 + rho) / (1 - rho): (d,)."""
    along = np.diff(phase) == 0
    cut = np.clip(rest, *np.quantile(rest, [0.02, 0.98], axis=1)[..., None])
    left, right = cut[:, :-1][:, along], cut[:, 1:][:, along]
    rho = (left * right).sum(axis=1) / np.maximum((cut**2).sum(axis=1), 1e-300)
    rho = np.clip(rho, 0.0, 0.99)
    return (1 + rho) / (1 - rho)


def mean_of_replicates(draws: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws of the mean that replicates share: (k, d) -> (d,); a normal mean's posterior.

    Under a flat prior it is Student's t of k - 1 degrees of freedom, with the replicates' standard error, around
    each draw's mean. One replicate says nothing of others: its own draws come back.
    """
    k, d = draws.shape
    if k == 1:
        return draws[0]
    return draws.mean(axis=0) + draws.std(axis=0, ddof=1) / np.sqrt(k) * rng.standard_t(k - 1, size=d)


class Blanks:
    """Wells without tissue, by the `names` of their series or drugs: their mean rate is subtracted from others'."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = {names} if isinstance(names, str) else set(names)

    def subtract(
        self, keys: pd.DataFrame, draws: np.ndarray, rng: np.random.Generator
    ) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
        """Rows that are no blanks, their draws (m, d) minus the blanks' mean in the same experiment and window, notes.

        The mean's uncertainty comes from the blanks' draws and, with two blanks or more, from their spread.
        Raises ValueError for a name that is in no row, and where an experiment's window has no blank.
        """
        known = set(keys["series_id"]) | set(keys["drug"].dropna())
        for name in sorted(self.names - known):
            there = ", ".join(sorted(known)[:8])
            msg = f"blanks: expected names of series or drugs of the table, got {name!r} (there are: {there})"
            raise ValueError(msg)
        blank = (
            keys["series_id"].isin(sorted(self.names)) | keys["drug"].isin(sorted(self.names))
        ).to_numpy()
        out, lone = draws.copy(), 0
        for rows in keys.groupby(["experiment_id", "window"], sort=False).indices.values():
            experiment = keys["experiment_id"].iloc[rows[0]]
            own = rows[blank[rows]]
            if not len(own):
                start = float(keys["start_h"].to_numpy()[rows[0]])
                msg = f"blanks: expected one in experiment {experiment!r} and the window from {start:g} h, got none"
                raise ValueError(msg)
            lone += len(own) == 1
            out[rows] -= mean_of_replicates(draws[own], rng)
        notes = [f"blanks: {int(blank.sum())} rates of {', '.join(sorted(self.names))} subtracted"]
        if lone:
            notes.append(
                f"blanks: {lone} windows with a single blank well, whose own error is all the interval knows of blanks"
            )
        kept = np.flatnonzero(~blank)
        return keys.iloc[kept].reset_index(drop=True), out[kept], notes
