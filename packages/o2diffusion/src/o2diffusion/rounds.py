"""Where a run starts afresh, at media changes, flushes, injections or bursts of samples, and how long ago that was.

A measurement cycle looks like the one before it, a spike like the one after the last media change. How long ago the
round began, its phase, is known for every cell, hidden ones too: times are not what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from o2diffusion.grid import Grid

RENEWALS = ("media_change", "flush")  # events after which the medium is fresh
FOLD = 2.0  # cells: phases run straight up to about here, then ever slower


def restarts(grid: Grid) -> np.ndarray:
    """When the k rounds of a grid begin: (k,) [h], the first at or before its first cell; empty without rounds.

    Events that renew the medium, else bursts, else other events. The time before the first event counts as the end of a
    round of the usual length.
    """
    start, end = grid.edges[0], grid.edges[-1]
    events, bursts = grid.condition.events, grid.condition.bursts
    inside = (events.time_h > start) & (events.time_h < end)
    renewed = inside & np.isin(np.asarray(events.kind, dtype=str), RENEWALS)
    if not renewed.any() and ((bursts > start) & (bursts < end)).any():
        before = bursts[bursts <= start][-1:]
        return np.concatenate([before if before.size else [start], bursts[(bursts > start) & (bursts < end)]])
    at = np.unique(events.time_h[renewed if renewed.any() else inside])
    if not at.size:
        return at
    usual = float(np.median(np.diff(at))) if len(at) > 1 else end - start
    return np.concatenate([[min(at[0] - usual, start)], at])


def phase(grid: Grid, begun: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Since the round began and until the next one, in folded cells: (t, r) each, zero without rounds.

    begun: (k,) [h], as `restarts` gives it. asinh(cells / FOLD): what happens just after a restart counts cell by cell,
    what happens later by its order.
    """
    if not begun.size:
        return np.zeros_like(grid.time), np.zeros_like(grid.time)
    ends = np.append(begun[1:], grid.edges[-1])
    at = np.clip(np.searchsorted(begun, grid.time, side="right") - 1, 0, None)
    since, until = grid.time - begun[at], ends[at] - grid.time
    fold = FOLD * grid.width
    return np.arcsinh(np.maximum(since, 0) / fold), np.arcsinh(np.maximum(until, 0) / fold)
