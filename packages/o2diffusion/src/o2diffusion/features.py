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
from o2diffusion.rounds import phase, restarts

EXPERTS = ("gaussian_process", "linear", "replicate_mean", "event_template")
CHANNELS = 23
GLOBALS = 14
REFITS = 12  # steps of the search that begins where another mask's ended
_BLAS = ThreadpoolController()  # small matrices: a second BLAS thread costs more than it gives
MIN_SD = 0.01  # [z] floor of the process's SD: a flat curve is not known to a billionth


@dataclass(frozen=True)
class Features:
    """One masked grid as arrays.

    `channels` (t, r, c), `globals` (g,), `experts` (t, r, k) [z], `sd` (t, r) [z] of the Gaussian process, `level` and
    `scale` (mean, SD) of the visible cells in the input's unit, `theta` (9,) of the process.
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


def _inside(grid: Grid, events: np.ndarray) -> np.ndarray:
    """The event times inside the window: (k,) [h]."""
    return events[(events > grid.edges[0]) & (events < grid.edges[-1])]


def _event_channels(grid: Grid) -> np.ndarray:
    """Time since the last and to the next event, in cells, as decays; the event's cell and kind: (t, 7)."""
    events, centre = grid.condition.events, grid.centre
    at = _inside(grid, events.time_h)
    if at.size == 0:
        return np.zeros((len(centre), 7))
    lag = (centre[:, None] - at[None, :]) / grid.width + 0.5
    since = np.where(lag >= 0, lag, np.inf).min(axis=1)
    until = np.where(lag < 0, -lag, np.inf).min(axis=1)
    latest = np.where((lag >= 0).any(axis=1), np.where(lag >= 0, at[None, :], -np.inf).argmax(axis=1), -1)
    change = np.array(events.kind)[np.isin(events.time_h, at)] == "media_change"
    columns = [
        *(np.exp(-since / decay) for decay in (1.5, 4, 12)),
        np.exp(-until / 3),
        since < 1.0,
        (latest >= 0) & change[latest] & (since < 40),
        np.isfinite(since),
    ]
    return np.stack(columns, axis=-1)


def featurize(
    grid: Grid,
    *,
    fallback: tuple[float, float],
    theta: np.ndarray | None = None,
    start: np.ndarray | None = None,
) -> Features:
    """Look at the visible cells of a grid once.

    fallback: level and scale to use where nothing is visible. theta (9,): the process's hyper-parameters when they are
    known already; start (9,): those of another mask of the same condition, where the search for them begins.
    """
    seen = grid.observed
    level, scale = scale_of(grid.value, seen, fallback)
    z = (grid.value - level) / scale
    begun = restarts(grid)
    since, until = phase(grid, begun)
    mean, sd, theta = _process(grid, z, since if begun.size else None, theta, start)
    events = grid.condition.events.time_h
    fills = (baselines.linear, baselines.replicate_mean, baselines.event_template)
    experts = np.stack([mean, *(fill(z, grid.time, events) for fill in fills)], axis=-1)
    rounds = np.stack([since / 3, until / 3], axis=-1)
    events_of_all = np.broadcast_to(_event_channels(grid)[:, None], (*seen.shape, 7))
    channels = np.concatenate([_curve_channels(grid, z, experts, sd), rounds, events_of_all], axis=-1)
    numbers = np.array(
        [
            *(theta - gp.PRIOR_MEAN) / 2,
            seen.mean(),
            float(not seen.any()),
            seen.shape[1] / 4,
            np.log1p(seen.sum()) / 6,
            np.log1p(len(begun)) / 3,
        ]
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


def _process(
    grid: Grid, z: np.ndarray, since: np.ndarray | None, theta: np.ndarray | None, start: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and SD (t, r) [z] of the shared Gaussian process, and its hyper-parameters (9,)."""
    events = grid.condition.events.time_h
    with _BLAS.limit(limits=1):
        belief = baselines.gaussian_process(
            z,
            gp.event_clock(grid.time, _inside(grid, events), grid.edges[-1] - grid.edges[0]),
            phase=since,
            theta=theta,
            start=start,
            iterations=REFITS if start is not None else 30,
        )
    mean, sd = belief.mean.reshape(z.shape), np.maximum(belief.sd.reshape(z.shape), MIN_SD)
    shown = grid.observed.any(axis=0)
    if shown.any():
        # Replicates are exchangeable: one that shows nothing is expected where the others are, not nearer to zero.
        mean[:, ~shown] = mean[:, shown].mean(axis=1, keepdims=True)
    return mean, sd, belief.theta


def _curve_channels(grid: Grid, z: np.ndarray, experts: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """What is seen, what the simple fills say, and where the next samples are: (t, r, 14)."""
    seen, mean = grid.observed, experts[..., 0]
    before, after = _distances(seen)
    others = seen.sum(axis=1, keepdims=True) - seen
    known = np.where(seen, z, 0.0)
    columns = [
        known,
        seen,
        mean,
        np.log(sd),
        np.where(seen, (known - mean) / sd, 0.0) / 3,
        *((experts[..., k] - mean) / (sd + 0.05) / 3 for k in range(1, len(EXPERTS))),
        (grid.time - grid.centre[:, None]) / grid.width,
        np.log1p(before) / 3,
        np.log1p(after) / 3,
        others / 3.0,
        (known.sum(axis=1, keepdims=True) - known) / np.maximum(others, 1),
        np.broadcast_to(np.linspace(-1, 1, len(z))[:, None], z.shape),
    ]
    return np.stack(columns, axis=-1)
