"""A Gaussian process shared by the replicates of one condition: the strongest simple baseline, and the model's start.

y[t, r] = shared(t) + individual_r(t) + offset_r + noise, with Matérn-3/2 kernels (Rasmussen & Williams 2006,
eq. 4.17). Six hyper-parameters are found by marginal likelihood (eq. 5.9) for each condition on its own.

Letters: n visible samples, m query cells, s settings. Times are divided by the condition's duration, values are
z-scores, so one prior fits minutes and weeks, mg/L and percent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, get_lapack_funcs, solve_triangular
from scipy.optimize import minimize

# log of: shared variance, shared length, individual variance, individual length, offset variance, noise variance
START = np.log(
    np.array(
        [
            [1.0, 0.1, 0.1, 0.1, 0.1, 0.02],
            [1.0, 0.4, 0.02, 0.2, 0.05, 0.05],
            [0.7, 0.03, 0.3, 0.3, 0.1, 0.05],
        ]
    )
)
PRIOR_MEAN = np.log(np.array([1.0, 0.15, 0.1, 0.2, 0.1, 0.02]))
PRIOR_SD = np.array([1.5, 1.2, 2.0, 1.5, 2.0, 2.0])
LOW, HIGH = np.log(1e-5), np.log(50.0)
ROOT3 = np.sqrt(3.0)
_POTRF, _POTRI = get_lapack_funcs(("potrf", "potri"), dtype=np.float64)


@dataclass(frozen=True)
class Posterior:
    """What the process believes at the query cells: `mean` and `sd` (m,), `covariance` (m, m) when asked for.

    `theta` (6,) are the hyper-parameters behind it.
    """

    mean: np.ndarray
    sd: np.ndarray
    theta: np.ndarray
    covariance: np.ndarray | None = None


CLOCK_RATE, CLOCK_DECAY = 10.0, 0.015  # of `event_clock`: speed-up at an event, and its decay in durations


def event_clock(time: np.ndarray, events: np.ndarray, span: float) -> np.ndarray:
    """A clock that runs up to eleven times faster after each event and then slows down again: shape of `time`.

    A stationary process on this clock is quick after a media change and slow elsewhere. events: (k,) and span
    (the duration) in the unit of time; without events the clock is time itself.
    """
    decay = CLOCK_DECAY * span
    lag = np.maximum(time[..., None] - events, 0.0)
    return time + CLOCK_RATE * decay * -np.expm1(-lag / decay).sum(axis=-1)


def _matern(distance: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Correlation at `distance` and its derivative by log(length): both of the distance's shape."""
    a = distance * (ROOT3 / length)
    decay = np.exp(-a)
    return (1.0 + a) * decay, a * a * decay


def _negative_log_evidence(
    theta: np.ndarray, distance: np.ndarray, same: np.ndarray, y: np.ndarray
) -> tuple[float, np.ndarray]:
    """Minus log p(y | theta) p(theta) and its gradient (Rasmussen & Williams 2006, eqs 5.8 and 5.9)."""
    v_s, l_s, v_i, l_i, v_o, v_n = np.exp(theta)
    k_s, dk_s = _matern(distance, l_s)
    k_i, dk_i = _matern(distance, l_i)
    k_i, dk_i = k_i * same, dk_i * same
    k = v_s * k_s + v_i * k_i + v_o * same
    k[np.diag_indices_from(k)] += v_n + 1e-8
    prior = (theta - PRIOR_MEAN) / PRIOR_SD
    chol, info = _POTRF(k, lower=1)
    if info != 0:
        return 1e10, np.zeros_like(theta)
    alpha = cho_solve((chol, True), y)
    inverse, _ = _POTRI(chol, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    value = 0.5 * y @ alpha + np.log(np.diag(chol)).sum() + 0.5 * (prior**2).sum()
    w = inverse - np.outer(alpha, alpha)
    gradient = 0.5 * np.array(
        [
            v_s * np.vdot(w, k_s),
            v_s * np.vdot(w, dk_s),
            v_i * np.vdot(w, k_i),
            v_i * np.vdot(w, dk_i),
            v_o * np.vdot(w, same),
            v_n * np.trace(w),
        ]
    )
    return value, gradient + prior / PRIOR_SD


def fit(
    time: np.ndarray, replicate: np.ndarray, y: np.ndarray, *, max_points: int = 256, iterations: int = 30
) -> np.ndarray:
    """Hyper-parameters theta (6,) of one condition by marginal likelihood with a weak prior.

    time: (n,) in units of the duration. replicate: (n,) integer labels. y: (n,) z-scores. About `max_points` samples
    at evenly chosen times are used: the evidence of six numbers does not need them all, and its cost grows as n cubed.
    """
    if len(y) > max_points:
        # Whole times: a choice among the replicates of one time would depend on their order.
        times = np.unique(time)
        count = max(len(times) * max_points // len(y), 2)
        some = np.isin(time, times[np.linspace(0, len(times) - 1, count).round().astype(int)])
        time, replicate, y = time[some], replicate[some], y[some]
    distance = np.abs(time[:, None] - time[None, :])
    same = (replicate[:, None] == replicate[None, :]).astype(float)
    scores = [_negative_log_evidence(s, distance, same, y)[0] for s in START]
    best = minimize(
        _negative_log_evidence,
        START[int(np.argmin(scores))],
        args=(distance, same, y),
        jac=True,
        method="L-BFGS-B",
        bounds=[(LOW, HIGH)] * 6,
        options={"maxiter": iterations},
    )
    return best.x


def posterior(
    theta: np.ndarray,
    time: np.ndarray,
    replicate: np.ndarray,
    y: np.ndarray,
    query_time: np.ndarray,
    query_replicate: np.ndarray,
    *,
    joint: bool = False,
) -> Posterior:
    """Mean and SD of a new *measurement* (noise included) at the m query cells given the n visible ones.

    query_time: (m,), query_replicate: (m,). With `joint` also the covariance (m, m).
    """
    v_s, l_s, v_i, l_i, v_o, v_n = np.exp(theta)

    def kernel(t1: np.ndarray, r1: np.ndarray, t2: np.ndarray, r2: np.ndarray) -> np.ndarray:
        distance = np.abs(t1[:, None] - t2[None, :])
        same = r1[:, None] == r2[None, :]
        return v_s * _matern(distance, l_s)[0] + same * (v_i * _matern(distance, l_i)[0] + v_o)

    prior_variance = v_s + v_i + v_o + v_n
    if len(y) == 0:
        cov = kernel(query_time, query_replicate, query_time, query_replicate) if joint else None
        if cov is not None:
            cov[np.diag_indices_from(cov)] += v_n
        mean = np.zeros(len(query_time))
        return Posterior(mean, np.full(len(query_time), np.sqrt(prior_variance)), theta, cov)
    k = kernel(time, replicate, time, replicate)
    k[np.diag_indices_from(k)] += v_n + 1e-8
    chol = cho_factor(k, lower=True)
    cross = kernel(query_time, query_replicate, time, replicate)
    mean = cross @ cho_solve(chol, y)
    half = solve_triangular(chol[0], cross.T, lower=True)
    variance = np.maximum(prior_variance - (half**2).sum(0), v_n)
    covariance = None
    if joint:
        covariance = kernel(query_time, query_replicate, query_time, query_replicate) - half.T @ half
        covariance[np.diag_indices_from(covariance)] += v_n
    return Posterior(mean, np.sqrt(variance), theta, covariance)
