"""The response to media changes in numbers, fitted to windows of one drug at one concentration.

oxygen(t) = s exp(-(t / tau_r)^p) + a (1 - exp(-t / tau_a)) above the level before: the three phases of
`media.media_effect` with a free shape p, since a recovery that starts slowly (p > 1) read as p = 1 gives
spikes a quarter too high. A smooth curve of the residuals is added before height and half-decay are read.

Letters: n samples, c wells, q = 5 parameters, m splines, g grid times, k draws.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.interpolate import BSpline
from scipy.optimize import least_squares
from scipy.stats import norm
from scipy.stats import t as student

from o2diffusion.after import FLAT, HORIZON, gather
from o2diffusion.media import PROFILE, curve_metrics, media_effect
from o2diffusion.windows import AFTER_H

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from o2diffusion.after import Curves
    from o2diffusion.windows import MediaWindow

NAMES = (*PROFILE, "recovery_shape")  # s, tau_r, tau_a, a, p
# spike and adaptation in units of the curves' size; log of the taus in units of the window; log of the shape
CENTRE = np.array([0.0, np.log(3 / AFTER_H), np.log(20 / AFTER_H), 0.0, 0.2])
PRIOR = np.array([10.0, 1.5, 1.5, 10.0, 0.5])
LOW = np.array([-50.0, np.log(0.005), np.log(0.02), -50.0, np.log(0.6)])
HIGH = np.array([50.0, np.log(4.0), np.log(20.0), 50.0, np.log(3.0)])
NOISE = 0.5  # of the curves' size: residuals beyond it count linearly (soft L1)
HOLD = 0.1  # of the curves' size: noise against which the prior weighs as one sample
GRID = np.linspace(0.0, 1.0, 441)  # times [windows] where the fitted curve is read
SOON = (
    0.01  # of the window: where reading begins at the latest; nobody samples the instant of the change itself
)
FAR = 0.1  # of the highest sample: a fit that goes so far above it is not believed
EARLY = 11.0  # the splines' knots are even in log(1 + EARLY t): dense after the change
KNOTS = np.pad(np.linspace(0.0, np.log1p(EARLY), 8), 3, mode="edge")
ROUGH, LARGE = 0.3, 0.1  # penalties of the residual curve's second differences and size


@dataclass(frozen=True)
class ResponseFit:
    """A fitted response to media changes, in the input's unit of oxygen and hours.

    `profile` and `standard_error` by name: spike_magnitude, recovery_tau [h], adaptation_tau [h],
    secondary_magnitude, recovery_shape (no unit). `height`: peak minus the mean of the reference time (10 h) before;
    `half_decay_h`: from the peak to half of it, NaN where that is not reached in the window. Intervals are
    NaN with a single curve. `measured_h`: first and last sample after the changes [h]; nothing is read beyond the
    last, nor above the highest sample. `capped`: the fit went well above it, so there is no half-decay and no interval.
    `n_samples` after the changes.
    """

    profile: dict[str, float]
    standard_error: dict[str, float]
    height: float
    height_interval: tuple[float, float]
    half_decay_h: float
    half_decay_interval: tuple[float, float]
    n_windows: int
    n_wells: int
    n_samples: int
    measured_h: tuple[float, float]
    capped: bool


def fit_profiles(
    windows: Iterable[MediaWindow],
    *,
    after_h: float = AFTER_H,
    draws: int = 200,
    coverage: float = 0.9,
    seed: int = 0,
) -> dict[tuple[str | None, float | None], ResponseFit]:
    """One fit for each (drug, concentration [uM]) of the windows, in their order; ValueError as of `fit_profile`."""
    groups: dict[tuple[str | None, float | None], list[MediaWindow]] = defaultdict(list)
    for window in windows:
        groups[window.drug, window.concentration_um].append(window)
    return {
        key: fit_profile(group, after_h=after_h, draws=draws, coverage=coverage, seed=seed)
        for key, group in groups.items()
    }


def fit_profile(
    windows: Iterable[MediaWindow],
    *,
    after_h: float = AFTER_H,
    draws: int = 200,
    coverage: float = 0.9,
    seed: int = 0,
) -> ResponseFit:
    """The response that windows of one drug at one concentration share, with intervals over their curves.

    Robust least squares (soft L1) over all samples after the changes: a curve shared by changes and
    replicates has no upward bias from the noise of single peaks. Intervals of `coverage` come from `draws`
    Bayesian bootstrap weights of the wells (Rubin 1981), each followed by one Gauss-Newton step, widened as
    Student's t is for few wells. Where a drug changes the culture from one change to the next, the fit is of their
    average: fit each change on its own instead. after_h: the windows' length after the change [h]. Windows without a
    sample are ignored; raises ValueError where none is left.
    """
    windows = list(windows)
    curves = gather(windows, after_h)
    best = min((_fit(curves, start) for start in (0.1, 0.3)), key=lambda result: result[1])[0]
    c = len(curves.lift)
    weights = np.concatenate([np.ones((1, c)), c * np.random.default_rng(seed).dirichlet(np.ones(c), draws)])
    q, extra = _bootstrap(curves, best, weights)
    profile = _physical(q, curves.size, curves.span)
    level = extra + (weights @ curves.lift / c)[:, None]
    height, decay, capped = _metrics(profile, level, curves, after_h)
    decay = np.where(height > FLAT * curves.size, decay, np.nan)
    decay = np.where(capped, np.nan, decay)
    several = c > 1
    # weights of c wells give a mean the variance s^2 (c - 1) / (c (c + 1)), where that of a mean is s^2 / c
    missing = float(np.sqrt((c + 1) / (c - 1))) if several else np.nan
    tail = (1 + coverage) / 2
    widen = missing * float(student.ppf(tail, c - 1) / norm.ppf(tail)) if several else np.nan
    around = _interval(decay, coverage, widen)
    return ResponseFit(
        profile={name: float(value[0]) for name, value in profile.items()},
        standard_error={name: float(value[1:].std() * missing) for name, value in profile.items()},
        height=float(height[0]),
        height_interval=_interval(height, coverage, np.nan if capped else widen),
        half_decay_h=float(decay[0]),
        half_decay_interval=(float(np.maximum(around[0], 0.0)), around[1]),
        n_windows=len(windows),
        n_wells=curves.wells,
        n_samples=len(curves.time),
        measured_h=(float(curves.time.min()) * curves.span, curves.span),
        capped=capped,
    )


def _model(q: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Response (n,) and its derivatives (n, 5) by s, log tau_r, log tau_a, a, log p."""
    s, log_r, log_a, a, log_p = q
    p = np.exp(log_p)
    x = np.log(np.maximum(t, 1e-12)) - log_r
    u = np.exp(np.minimum(p * x, 50.0))
    fall, slow = np.exp(-u), np.exp(-t / np.exp(log_a))
    slope = s * fall * u * p
    columns = [fall, slope, -a * slow * t / np.exp(log_a), 1 - slow, -slope * x]
    return s * fall + a * (1 - slow), np.stack(columns, axis=1)


def _fit(curves: Curves, tau: float) -> tuple[np.ndarray, float]:
    """Best parameters from a recovery time of `tau` windows on, and their cost; a wide prior helps."""
    early, late = curves.value[curves.time < 0.15], curves.value[curves.time > 0.5]
    start = CENTRE.copy()
    start[0] = np.median(early) if len(early) else 1.0
    start[1] = np.log(tau)
    start[3] = np.median(late) if len(late) else 0.0

    def residual(q: np.ndarray) -> np.ndarray:
        return np.concatenate([_model(q, curves.time)[0] - curves.value, HOLD * (q - CENTRE) / PRIOR])

    def jacobian(q: np.ndarray) -> np.ndarray:
        return np.concatenate([_model(q, curves.time)[1], np.diag(HOLD / PRIOR)])

    result = least_squares(
        residual,
        np.clip(start, LOW, HIGH),
        jacobian,  # pyright: ignore[reportArgumentType]
        bounds=(LOW, HIGH),
        loss="soft_l1",
        f_scale=NOISE,
    )
    return result.x, float(result.cost)


def _splines(time: np.ndarray) -> np.ndarray:
    """Cubic B-splines in log time: (n,) [windows] -> (n, m)."""
    return BSpline.design_matrix(np.log1p(EARLY * np.clip(time, 0.0, 1 - 1e-9)), KNOTS, 3).toarray()


def _per_unit(curves: Curves, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Sums of left x right over each unit's samples: (n, i) and (n, j) -> (c, i, j)."""
    out = np.zeros((len(curves.lift), left.shape[1], right.shape[1]))
    np.add.at(out, curves.unit, left[:, :, None] * right[:, None, :])
    return out


def _bootstrap(curves: Curves, best: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parameters (k, q) and residual curves (k, g) [input's unit] under each draw of unit weights (k, c).

    One Gauss-Newton step from the best parameters; what the step leaves of the residuals is smoothed.
    """
    model, j = _model(best, curves.time)
    r = (curves.value - model)[:, None]
    w = 1 / np.sqrt(1 + (r / NOISE) ** 2)  # derivative of the soft L1 loss
    b, wb, wj = _splines(curves.time), w * _splines(curves.time), w * j

    def mixed(sums: np.ndarray) -> np.ndarray:
        return np.tensordot(weights, sums, axes=1)

    prior = (HOLD / PRIOR) ** 2
    slope = mixed(_per_unit(curves, wj, r))[..., 0] - prior * (best - CENTRE)
    step = np.linalg.solve(mixed(_per_unit(curves, wj, j)) + np.diag(prior), slope[..., None])
    step[0] = 0.0  # the first draw has equal weights: it is the best fit
    m = b.shape[1]
    bend = np.diff(np.eye(m), 2, axis=0)
    penalty = ROUGH * bend.T @ bend + LARGE * np.eye(m)
    left = mixed(_per_unit(curves, wb, r)) - mixed(_per_unit(curves, wb, j)) @ step
    rest = np.linalg.solve(mixed(_per_unit(curves, wb, b)) + penalty, left)[..., 0] @ _splines(GRID).T
    return np.clip(best + step[..., 0], LOW, HIGH), rest * curves.size


def _physical(q: np.ndarray, size: float, after_h: float) -> dict[str, np.ndarray]:
    """Parameters (k, q) by name, in the input's unit and hours: (k,) each."""
    columns = (
        q[:, 0] * size,
        np.exp(q[:, 1]) * after_h,
        np.exp(q[:, 2]) * after_h,
        q[:, 3] * size,
        np.exp(q[:, 4]),
    )
    return dict(zip(NAMES, columns, strict=True))


def _metrics(
    profile: Mapping[str, np.ndarray], extra: np.ndarray, curves: Curves, after_h: float
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Height and half-decay [h] of each fitted response plus its `extra` (k, g), (k,) each, within what was measured.

    Last: whether the first of them had to be held far down to the highest sample.
    """
    first = min(float(curves.time.min()), SOON * after_h / curves.span)
    grid = np.concatenate([[first], GRID[first < GRID]])
    extra = np.stack([np.interp(grid, GRID, row) for row in extra])
    time = torch.as_tensor(grid * curves.span)
    values = {name: torch.as_tensor(value) for name, value in profile.items()}
    curve = media_effect(time.expand(len(extra), -1), values) + torch.as_tensor(extra)
    horizon_h = max(HORIZON * after_h, float(time[0]))
    above = float(curve[0, time <= horizon_h].max()) - curves.top
    height, decay = curve_metrics(time, curve.clamp(max=curves.top), horizon_h=horizon_h)
    capped = above > FAR * abs(curves.top) and above > FLAT * curves.size
    return height.numpy(), decay.numpy(), capped


def _interval(values: np.ndarray, coverage: float, widen: float) -> tuple[float, float]:
    """Central interval of the finite draws, `widen` times as far from the first value; NaN without any."""
    centre, draws = values[0], values[1:][np.isfinite(values[1:])]
    if not len(draws) or not np.isfinite(centre):
        return float("nan"), float("nan")
    away = np.quantile(draws, [(1 - coverage) / 2, (1 + coverage) / 2]) - centre
    return float(centre + widen * min(away[0], 0.0)), float(centre + widen * max(away[1], 0.0))
