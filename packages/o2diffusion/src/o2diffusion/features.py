"""What the network is shown of a masked grid: simple fills, their uncertainty, distances and events.

All in z-scores of the visible cells and in units of a cell, so a plate of weeks in percent and a chamber of minutes
in mg/L look alike. Letters: t time cells, r replicates, c channels, g global numbers, k experts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import ThreadpoolController

from o2diffusion import baselines, gp
from o2diffusion.grid import Grid, scale_of

EXPERTS = ("gaussian_process", "linear", "replicate_mean", "event_template")
CHANNELS = 21
GLOBALS = 10
_BLAS = ThreadpoolController()  # small matrices: a second BLAS thread costs more than it gives
MIN_SD = 0.01  # [z] floor of the process's SD: a flat curve is not known to a billionth


@dataclass(frozen=True)
class Features:
    """One masked grid as arrays.

    `channels` (t, r, c), `globals` (g,), `experts` (t, r, k) [z], `sd` (t, r) [z] of the Gaussian process,
    `level` and `scale` of the visible cells in the input's unit, `theta` (6,) of the process.
    """

    channels: np.ndarray
    globals: np.ndarray
    experts: np.ndarray
    sd: np.ndarray
    level: float
    scale: float
    theta: np.ndarray


def _distances(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells to the nearest visible cell before and after: (t, r) each, t where there is none."""
    t = len(seen)
    index = np.arange(t)[:, None]
    last = np.maximum.accumulate(np.where(seen, index, -t), axis=0)
    after = np.minimum.accumulate(np.where(seen, index, 2 * t)[::-1], axis=0)[::-1]
    return np.minimum(index - last, t), np.minimum(after - index, t)


def _event_channels(grid: Grid) -> np.ndarray:
    """Time since the last and to the next event, in cells, as decays; the event's cell, kind and drug: (t, 7)."""
    events = grid.condition.events
    centre, width = grid.centre, grid.width
    inside = (events.time_h > grid.edges[0]) & (events.time_h < grid.edges[-1])
    at = events.time_h[inside]
    out = np.zeros((len(centre), 7))
    if at.size == 0:
        return out
    lag = (centre[:, None] - at[None, :]) / width + 0.5
    since = np.where(lag >= 0, lag, np.inf).min(axis=1)
    until = np.where(lag < 0, -lag, np.inf).min(axis=1)
    out[:, 0], out[:, 1], out[:, 2] = np.exp(-since / 1.5), np.exp(-since / 4), np.exp(-since / 12)
    out[:, 3] = np.exp(-until / 3)
    out[:, 4] = since < 1.0
    latest = np.where((lag >= 0).any(axis=1), np.where(lag >= 0, at[None, :], -np.inf).argmax(axis=1), -1)
    change = np.array([kind == "media_change" for kind in events.kind], dtype=float)[inside]
    out[:, 5] = np.where(latest >= 0, change[latest], 0.0) * (since < 40)
    out[:, 6] = np.isfinite(since)
    return out


def featurize(
    grid: Grid, *, fallback: tuple[float, float], theta: np.ndarray | None = None, iterations: int = 30
) -> Features:
    """Look at the visible cells of a grid once.

    fallback: level and scale to use where nothing is visible. theta: the process's hyper-parameters when they are
    known already (training reuses them for several masks of one condition).
    """
    seen = grid.observed
    t, r = seen.shape
    level, scale = scale_of(grid.value, seen, fallback)
    z = (grid.value - level) / scale
    events = grid.condition.events.time_h
    span = max(float(np.ptp(grid.time)), 1e-12)
    x, replicate, y = (grid.time - grid.edges[0]).ravel() / span, np.tile(np.arange(r), t), z.ravel()
    visible = np.isfinite(y)
    with _BLAS.limit(limits=1):
        if theta is None:
            some = visible.any()
            theta = (
                gp.fit(x[visible], replicate[visible], y[visible], iterations=iterations)
                if some
                else gp.PRIOR_MEAN
            )
        belief = gp.posterior(theta, x[visible], replicate[visible], y[visible], x, replicate)
    mean, sd = belief.mean.reshape(t, r), np.maximum(belief.sd.reshape(t, r), MIN_SD)
    experts = np.stack(
        [
            mean,
            *(
                fill(z, grid.time, events)
                for fill in (baselines.linear, baselines.replicate_mean, baselines.event_template)
            ),
        ],
        axis=-1,
    )
    before, after = _distances(seen)
    others = seen.sum(axis=1, keepdims=True) - seen
    known = np.where(seen, z, 0.0)
    columns = [
        known,
        seen,
        mean,
        np.log(sd),
        np.where(seen, (known - mean) / sd, 0.0) / 3,
        *((experts[..., k] - mean) / (sd + 0.05) / 3 for k in (1, 2, 3)),
        (grid.time - grid.centre[:, None]) / grid.width,
        np.log1p(before) / 3,
        np.log1p(after) / 3,
        others / 3.0,
        (known.sum(axis=1, keepdims=True) - known) / np.maximum(others, 1),
        np.broadcast_to(np.linspace(-1, 1, t)[:, None], (t, r)),
    ]
    shared = np.broadcast_to(_event_channels(grid)[:, None, :], (t, r, 7))
    channels = np.concatenate([np.stack(columns, axis=-1), shared], axis=-1)
    share = float(seen.mean())
    numbers = np.array(
        [*(theta - gp.PRIOR_MEAN) / 2, share, float(not seen.any()), r / 4, np.log1p(seen.sum()) / 6]
    )
    return Features(
        np.clip(channels, -6, 6).astype(np.float32),
        numbers.astype(np.float32),
        experts.astype(np.float32),
        sd.astype(np.float32),
        level,
        scale,
        theta,
    )
