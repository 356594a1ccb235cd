"""The exact posterior of a Hill curve on a grid, and what the drugs of an experiment share.

In m(c) = bottom + span h(c; EC50, n) the curve is linear in bottom and span: given a grid point (log EC50,
log n) they are normal and integrate out in closed form (Bishop 2006, section 3.3).

Letters: k doses, d draws, g points of the grid, q drugs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from o2diffusion.dose_points import Points

REACH = 10.0  # factor beyond the tested range in which an EC50 is sought
STEPS, HILLS = 161, 28  # grid points
HILL_RANGE = (0.4, 40.0)  # a culture that dies at a threshold has a steep curve
HILL_PRIOR = (np.log(3.0), 1.2)  # mean and SD of log n
MISFIT = 0.04  # of the span: how far a true dose-response may lie from a Hill curve (SD)
ROUNDS = 12  # of EM
BELIEF = 2.0  # drugs' worth of belief in the prior's mean and spread, before any drug is seen


@dataclass(frozen=True)
class Prior:
    """What drugs of an experiment have in common: span and log n ~ normal; bottom ~ a wide normal.

    Each by mean and SD (`_sd`); span and bottom in the summary's unit.
    """

    span: float
    span_sd: float
    log_n: float
    log_n_sd: float
    bottom: float
    bottom_sd: float


def hill(log_ec50: np.ndarray, log_n: np.ndarray, concentration: np.ndarray) -> np.ndarray:
    """Part of the full effect at a concentration [uM], exactly 0 at 0 (Hill 1910).

    The arguments broadcast: log_ec50 (of uM) and log_n (g, 1) with concentration (k,) give (g, k).
    """
    positive = concentration > 0
    x = np.exp(log_n) * (np.log(np.where(positive, concentration, 1.0)) - log_ec50)
    return np.where(positive, 1.0 / (1.0 + np.exp(-np.clip(x, -50, 50))), 0.0)


def grid(doses: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Log EC50 (g,) of uM and log n (g,) of the grid for doses (k,) [uM], one of them positive; the first's step."""
    tested = doses[doses > 0]
    axis = np.linspace(np.log(tested[0] / REACH), np.log(tested[-1] * REACH), STEPS)
    slope = np.linspace(np.log(HILL_RANGE[0]), np.log(HILL_RANGE[1]), HILLS)
    log_ec50, log_n = np.meshgrid(axis, slope, indexing="ij")
    return log_ec50.ravel(), log_n.ravel(), float(axis[1] - axis[0])


@dataclass(frozen=True)
class Posterior:
    """log weight (d, g) of each grid point, and the normal of (bottom, span) there: means and precisions, (d, g) each.

    `p_bb`, `p_bs`, `p_ss`: the entries of the 2 x 2 precision.
    """

    log_weight: np.ndarray
    bottom: np.ndarray
    span: np.ndarray
    p_bb: np.ndarray
    p_bs: np.ndarray
    p_ss: np.ndarray

    def probability(self) -> np.ndarray:
        """Weights that sum to one: (d, g)."""
        w = np.exp(self.log_weight - self.log_weight.max(axis=1, keepdims=True))
        return w / w.sum(axis=1, keepdims=True)


def posterior(
    h: np.ndarray, log_n: np.ndarray, y: np.ndarray, variance: np.ndarray, prior: Prior
) -> Posterior:
    """Exact posterior of means y (d, k) with variance (d, k) at the grid's h (g, k) and log_n (g,)."""
    w = 1.0 / variance
    tau_b, tau_s = prior.bottom_sd**-2.0, prior.span_sd**-2.0
    p_bb = w.sum(axis=1, keepdims=True) + tau_b
    p_bs, p_ss = w @ h.T, w @ (h * h).T + tau_s
    r_b = (w * y).sum(axis=1, keepdims=True) + tau_b * prior.bottom
    r_s = (w * y) @ h.T + tau_s * prior.span
    determinant = p_bb * p_ss - p_bs**2
    bottom, span = (p_ss * r_b - p_bs * r_s) / determinant, (p_bb * r_s - p_bs * r_b) / determinant
    fit = 0.5 * (bottom * r_b + span * r_s)
    belief = -0.5 * ((log_n - prior.log_n) / prior.log_n_sd) ** 2
    p_bb = np.broadcast_to(p_bb, p_ss.shape)
    return Posterior(fit - 0.5 * np.log(determinant) + belief, bottom, span, p_bb, p_bs, p_ss)


def misfit(prior: Prior) -> float:
    """Variance of a true dose-response around the best Hill curve, in the square of the summary's unit."""
    return (MISFIT * prior.span) ** 2


def _start(points: list[Points]) -> Prior:
    """A prior from the data's range alone: the span is of the order of the largest change seen."""
    means = [p.mean.mean(axis=0) for p in points]
    change = np.array([m[np.argmax(np.abs(m - m[0]))] - m[0] for m in means])
    largest = float(change[np.argmax(np.abs(change))])
    size = max(abs(largest), 1e-9 * max(1.0, float(np.abs(np.concatenate(means)).max())))
    bottom = float(np.median([m[0] for m in means]))
    # a lone drug's plateau may lie far above what was reached; with several the largest change is near it
    centre, sd = (largest, 0.5 * size) if len(points) > 3 else (largest, 1.5 * size)
    return Prior(centre, sd, *HILL_PRIOR, bottom, 3 * size)


def learn(points: list[Points]) -> Prior:
    """The prior that an experiment's drugs share, by EM on their posteriors (empirical Bayes).

    Fewer than three drugs say nothing of each other: their prior comes from the range of the data.
    """
    if not points:
        return Prior(0.0, 1.0, *HILL_PRIOR, 0.0, 1.0)
    first = prior = _start(points)
    if len(points) < 3:
        return first
    for _ in range(ROUNDS):
        span, log_n = [], []
        for p in points:
            log_ec50, grid_n, _ = grid(p.dose)
            h = hill(log_ec50[:, None], grid_n[:, None], p.dose)
            post = posterior(
                h, grid_n, p.mean.mean(axis=0, keepdims=True), p.spread[None] + misfit(prior), prior
            )
            weight = post.probability()[0]
            inner = (post.p_bb / (post.p_bb * post.p_ss - post.p_bs**2))[0]
            span.append(_moments(weight, post.span[0], inner))
            log_n.append(_moments(weight, grid_n, 0.0))
        s, s_sd = _pooled(span, first.span, first.span_sd)
        n, n_sd = _pooled(log_n, first.log_n, first.log_n_sd)
        prior = replace(prior, span=s, span_sd=s_sd, log_n=n, log_n_sd=n_sd)
    return prior


def _moments(weight: np.ndarray, value: np.ndarray, inner: np.ndarray | float) -> tuple[float, float]:
    mean = float(weight @ value)
    return mean, float(weight @ ((value - mean) ** 2 + inner))


def _pooled(moments: list[tuple[float, float]], mean: float, sd: float) -> tuple[float, float]:
    """Mean and SD of a population from posterior means and variances of its members, held by `BELIEF`."""
    each, own = (np.array(x) for x in zip(*moments, strict=True))
    q = len(each)
    centre = (BELIEF * mean + each.sum()) / (BELIEF + q)
    variance = (BELIEF * (0.5 * sd) ** 2 + (own + (each - centre) ** 2).sum()) / (BELIEF + q)
    return float(centre), float(np.sqrt(variance))
