"""Samples after media changes: the windows of one drug at one concentration as one cloud, in units of its own size.

Letters: n samples, c units of the bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from o2diffusion.windows import AFTER_H

if TYPE_CHECKING:
    from collections.abc import Sequence

    from o2diffusion.windows import MediaWindow

HORIZON = 15.0 / AFTER_H  # of the time after the change, in which the peak is sought
FLAT = 1e-9  # of the level: a smaller response is rounding


@dataclass(frozen=True)
class Curves:
    """Samples after the changes: `time` in windows, `value` in `size`, `unit` of the bootstrap, all (n,).

    `lift` (c,): level minus reference of each unit; `size`: of the curves, both in the input's unit of oxygen. A unit
    is a well or, where there is a single one, a window; `wells` counts them. A window is `span` [h] long, no longer
    than what was measured; `top` is the highest sample of its first 15 h above the reference.
    """

    time: np.ndarray
    value: np.ndarray
    unit: np.ndarray
    lift: np.ndarray
    size: float
    wells: int
    span: float
    top: float


def gather(windows: Sequence[MediaWindow], after_h: float) -> Curves:
    """All samples of the windows up to `after_h` [h] after their changes; ValueError where there is none."""
    time, value, well, change, lift = [], [], [], [], []
    for i, window in enumerate(windows):
        after = (window.time_relative >= 0) & (window.time_relative <= after_h)
        for r in np.flatnonzero(window.replicate_mask):
            rows = after & window.observed[:, r]
            if rows.any():
                time.append(window.time_relative[rows])
                value.append(window.oxygen[rows, r])
                well.append((window.experiment_id, window.series_id, window.replicates[r]))
                change.append(i)
                lift.append(window.level[r] - window.reference[r])
    if not lift:
        msg = (
            f"expected samples within {after_h:g} h after a media change, got none in {len(windows)} windows"
        )
        raise ValueError(msg)
    wells = {name: i for i, name in enumerate(dict.fromkeys(well))}
    unit = (
        np.array([wells[name] for name in well])
        if len(wells) > 1
        else np.unique(change, return_inverse=True)[1]
    )
    t, y = np.concatenate(time), np.concatenate(value)
    over = y + np.repeat(lift, [len(x) for x in time])
    span = float(t.max()) or after_h  # one sample at the very change says nothing of a length
    size = 1.5 * float(np.abs(y).mean())  # about the RMS, but outliers count less
    if size <= FLAT * max(1.0, float(np.nanmax(np.abs(np.concatenate([w.level for w in windows]))))):
        size = 1.0
    return Curves(
        time=t / span,
        value=y / size,
        unit=np.repeat(unit, [len(x) for x in time]),
        lift=np.bincount(unit, lift) / np.bincount(unit),
        size=size,
        wells=len(wells),
        span=span,
        top=float(over[t <= max(HORIZON * after_h, t.min())].max()),
    )
