"""What people do today, and somewhat better: simple fills of hidden cells on a grid.

Each takes z-scored values (t, r) with NaN where hidden, times (t, r) [h] and the event times (e,) [h], which not all of
them read, and returns an estimate for every cell (t, r). Where a replicate shows nothing, the mean of the others stands
in; where nothing is visible at all, zero (the z-score's mean).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.interpolate import PchipInterpolator

from o2diffusion import gp

Fill = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
AHEAD = 0.03  # of the duration: how long ahead of an event its level is read, three cells at least
LAGS = 24  # cells that a response to an event lasts


def _each(value: np.ndarray, time: np.ndarray, fill: Callable[..., np.ndarray]) -> np.ndarray:
    """Apply a one-curve fill to each replicate; an empty replicate gets the filled mean of the others."""
    out = np.full_like(value, np.nan)
    for r in range(value.shape[1]):
        seen = np.isfinite(value[:, r])
        if seen.any():
            out[:, r] = fill(time[:, r], time[seen, r], value[seen, r])
    some = np.isfinite(out).any(axis=0)
    others = out[:, some].mean(axis=1) if some.any() else np.zeros(len(out))
    out[:, ~some] = others[:, None]
    return out


def linear(value: np.ndarray, time: np.ndarray, events: np.ndarray) -> np.ndarray:
    """Straight lines between neighbours, level beyond the ends: (t, r)."""
    return _each(value, time, np.interp)


def pchip(value: np.ndarray, time: np.ndarray, events: np.ndarray) -> np.ndarray:
    """Monotone cubic pieces (Fritsch & Carlson 1980), level beyond the ends: (t, r)."""

    def fill(at: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, first = np.unique(x, return_index=True)
        if len(x) < 2:
            return np.full(len(at), y[0])
        return PchipInterpolator(x, y[first])(np.clip(at, x[0], x[-1]))

    return _each(value, time, fill)


def replicate_mean(value: np.ndarray, time: np.ndarray, events: np.ndarray) -> np.ndarray:
    """Mean of the other visible replicates in the cell, each shifted to this one, linear where none is seen: (t, r).

    A shift is the line through the visible differences of the pair: replicates run in parallel far more often than
    they coincide. A replicate that shows nothing is not shifted.
    """
    seen = np.isfinite(value)
    out = linear(value, time, events)
    for r in range(value.shape[1]):
        total, count = np.zeros(len(value)), np.zeros(len(value))
        for other in np.delete(np.arange(value.shape[1]), r):
            both = seen[:, r] & seen[:, other]
            shift = 0.0
            if both.any():
                shift = np.interp(time[:, r], time[both, r], value[both, r] - value[both, other])
            elif seen[:, r].any():
                continue
            total += np.where(seen[:, other], value[:, other] + shift, 0.0)
            count += seen[:, other]
        out[:, r] = np.where(count > 0, total / np.maximum(count, 1), out[:, r])
    return out


def template(value: np.ndarray, time: np.ndarray, events: np.ndarray) -> np.ndarray:
    """Mean response after an event, learned from this condition's own visible cells: (t, r), zero before the first.

    The response is the deviation from the level just ahead of each event, averaged by lag (in cells) over the visible
    events and replicates.
    """
    out = np.zeros_like(value)
    centre = time.mean(axis=1)
    width = max(float(centre[-1] - centre[0]) / max(len(centre) - 1, 1), 1e-12)
    inside = events[(events > centre[0]) & (events < centre[-1])]
    if inside.size == 0:
        return out
    lag = np.floor((centre[None, :] - inside[:, None]) / width).astype(int) + 1
    nxt = np.append(inside[1:], np.inf)
    active = (lag >= 0) & (centre[None, :] < nxt[:, None]) & (lag < LAGS)
    deviation = np.full((inside.size, *value.shape), np.nan)
    for e, at in enumerate(inside):
        start = at - max(AHEAD * (centre[-1] - centre[0]), 3 * width)
        ahead = (centre < at - 0.5 * width) & (centre >= start)
        known = np.isfinite(value[ahead]).any(axis=0)
        level = np.full(value.shape[1], np.nan)
        level[known] = np.nanmean(value[ahead][:, known], axis=0)
        deviation[e] = np.where(active[e][:, None], value - level, np.nan)
    for k in range(LAGS):
        rows = active & (lag == k)
        seen = deviation[rows]
        if np.isfinite(seen).any():
            out[rows.any(axis=0)] = np.nanmean(seen)
    return out


def event_template(value: np.ndarray, time: np.ndarray, events: np.ndarray) -> np.ndarray:
    """The mean event response (`template`) plus straight lines through what it leaves: (t, r)."""
    shape = template(value, time, events)
    return shape + linear(value - shape, time, events)


def gaussian_process(
    value: np.ndarray,
    time: np.ndarray,
    *,
    phase: np.ndarray | None = None,
    shared: bool = True,
    joint: bool = False,
    theta: np.ndarray | None = None,
    start: np.ndarray | None = None,
    iterations: int = 30,
) -> gp.Posterior:
    """The process of `gp.py` at every cell: mean and sd (t * r,) in C order; `shared=False` fits each trace alone.

    value, time: (t, r), as of the simple fills. The others are of the shared process alone. phase: (t, r) since the
    round began. joint: the covariance (t * r, t * r) too. theta (9,): hyper-parameters that are known already, instead
    of fitting them; start (9,), iterations: where and how long to look for them.
    """
    t, r = value.shape
    span = max(float(np.ptp(time)), 1e-12)
    x, rep, y = (time - time.min()).ravel() / span, np.tile(np.arange(r), t), value.ravel()
    seen = np.isfinite(y)
    if shared:
        p = None if phase is None else phase.ravel()
        known = None if p is None else p[seen]
        if theta is None:
            theta = gp.PRIOR_MEAN
            if seen.any():
                theta = gp.fit(x[seen], rep[seen], y[seen], phase=known, start=start, iterations=iterations)
        return gp.posterior(
            theta, x[seen], rep[seen], y[seen], x, rep, phase=known, query_phase=p, joint=joint
        )
    return _trace_by_trace(x.reshape(t, r), y.reshape(t, r))


def _trace_by_trace(x: np.ndarray, y: np.ndarray) -> gp.Posterior:
    """A process of its own for each replicate; one that shows nothing gets the mixture of the others' beliefs."""
    t, r = y.shape
    mean, sd = np.zeros((t, r)), np.zeros((t, r))
    seen = np.isfinite(y)
    some, one = seen.any(axis=0), np.zeros(t, dtype=int)
    for k in np.flatnonzero(some):
        at, values = x[seen[:, k], k], y[seen[:, k], k]
        post = gp.posterior(gp.fit(at, one[: len(at)], values), at, one[: len(at)], values, x[:, k], one)
        mean[:, k], sd[:, k] = post.mean, post.sd
    if some.any():
        mean[:, ~some] = mean[:, some].mean(axis=1, keepdims=True)
        sd[:, ~some] = np.sqrt((sd[:, some] ** 2).mean(axis=1) + mean[:, some].var(axis=1))[:, None]
    else:
        nothing = np.empty(0)
        sd[:] = gp.posterior(gp.PRIOR_MEAN, nothing, nothing, nothing, x[:1, 0], one[:1]).sd[0]
    return gp.Posterior(mean.ravel(), sd.ravel(), gp.PRIOR_MEAN)


POINT_FILLS: dict[str, Fill] = {
    "linear": linear,
    "pchip": pchip,
    "replicate_mean": replicate_mean,
    "event_template": event_template,
}
