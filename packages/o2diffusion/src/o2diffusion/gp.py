"""A Gaussian process shared by the replicates of one condition: the strongest simple baseline, and the model's start.

y[t, r] = shared(t) + individual_r(t) + offset_r + noise, with Matérn-3/2 kernels (Rasmussen & Williams 2006,
eq. 4.17). Six hyper-parameters are found by marginal likelihood (eq. 5.9) for each condition on its own.

Where a run starts afresh again and again (measurement cycles, flushes, media changes), `phase` says how long ago, and a
seventh to ninth hyper-parameter add replay(phase, t): curves that are alike at the same phase of neighbouring rounds,
half of it shared by the replicates, half each one's own (a locally periodic kernel, section 5.4.3, with rounds of any
length).

Letters: n visible samples, m query cells. Times are divided by the condition's duration, values are
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
REPLAY = np.log(
    [0.5, 0.3, 0.5]
)  # of the replay: variance, length in phase, length in time over which it changes
PRIOR_MEAN = np.concatenate([np.log([1.0, 0.15, 0.1, 0.2, 0.1, 0.02]), REPLAY])
PRIOR_SD = np.array([1.5, 1.2, 2.0, 1.5, 2.0, 2.0, 2.0, 1.0, 1.5])
LOW, HIGH = np.log(1e-5), np.log(50.0)
ROOT3 = np.sqrt(3.0)
_POTRF, _TRTRI = get_lapack_funcs(("potrf", "trtri"), dtype=np.float64)


@dataclass(frozen=True)
class Posterior:
    """What the process believes at the query cells: `mean` and `sd` (m,), `covariance` (m, m) when asked for.

    `theta` (9,) are the hyper-parameters behind it.
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


@dataclass(frozen=True)
class _Samples:
    """What the evidence needs of n samples at u moments: replicates are read together, so u is often n / 4.

    distance and apart (or None): (u, u), of times and of phases. moment: (n,) of each sample; at: (n, u), the same as
    zeros and ones. replicates: the rows of each. y: (n,).
    """

    distance: np.ndarray
    apart: np.ndarray | None
    moment: np.ndarray
    at: np.ndarray
    replicates: list[slice]
    y: np.ndarray

    def covariance(self, shared: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Of the samples (n, n), from the parts between any two replicates and within one (u, u)."""
        k = shared[self.moment[:, None], self.moment]
        for rows in self.replicates:
            k[rows, rows] += own[self.moment[rows, None], self.moment[rows]]
        return k


def _samples(time: np.ndarray, replicate: np.ndarray, y: np.ndarray, phase: np.ndarray | None) -> _Samples:
    """The samples, ordered by replicate."""
    order = np.argsort(replicate, kind="stable")
    key = np.stack([time] if phase is None else [time, phase])[:, order]
    moments, moment = np.unique(key, axis=1, return_inverse=True)
    distance, *apart = np.abs(moments[:, :, None] - moments[:, None, :])
    moment = moment.ravel()
    at = np.eye(len(distance))[moment]
    ends = np.cumsum(np.unique(replicate, return_counts=True)[1]).tolist()
    rows = [slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    return _Samples(distance, apart[0] if apart else None, moment, at, rows, y[order])


Terms = dict[int, np.ndarray]
Cells = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # time, replicate and phase
VARIANCES = (0, 2, 4, 6)  # of the hyper-parameters, those whose terms make up the covariance


def _terms(theta: np.ndarray, distance: np.ndarray, apart: np.ndarray | None) -> tuple[Terms, Terms]:
    """Derivatives of the covariance by each hyper-parameter but the noise: of its part between any two replicates, and
    of what is added to it within one. Those by variances add up to the two parts.
    """
    v_s, l_s, v_i, l_i, v_o, _ = np.exp(theta[:6])
    (k_s, dk_s), (k_i, dk_i) = _matern(distance, l_s), _matern(distance, l_i)
    shared = {0: v_s * k_s, 1: v_s * dk_s}
    own = {2: v_i * k_i, 3: v_i * dk_i, 4: np.full_like(distance, v_o)}
    if apart is not None:
        v_p, l_p, l_t = np.exp(theta[6:])
        (k_p, dk_p), (k_t, dk_t) = _matern(apart, l_p), _matern(distance, l_t)
        half = 0.5 * v_p
        replay = {6: half * k_p * k_t, 7: half * dk_p * k_t, 8: half * k_p * dk_t}
        shared, own = shared | replay, own | replay
    return shared, own


def _sum(terms: Terms) -> np.ndarray:
    """The part of the covariance that these make up."""
    return np.sum([terms[i] for i in VARIANCES if i in terms], axis=0)


def _negative_log_evidence(theta: np.ndarray, samples: _Samples) -> tuple[float, np.ndarray]:
    """Minus log p(y | theta) p(theta) and its gradient (Rasmussen & Williams 2006, eqs 5.8 and 5.9)."""
    shared, own = _terms(theta, samples.distance, samples.apart)
    y, v_n = samples.y, np.exp(theta[5])
    k = samples.covariance(_sum(shared), _sum(own))
    k[np.diag_indices_from(k)] += v_n + 1e-8
    prior = (theta - PRIOR_MEAN[: len(theta)]) / PRIOR_SD[: len(theta)]
    chol, info = _POTRF(k, lower=1)
    if info != 0:
        return 1e10, np.zeros_like(theta)
    root, _ = _TRTRI(chol, lower=1)  # root' root is the inverse: of it, only sums over moments are needed
    alpha = root.T @ (root @ y)
    value = 0.5 * y @ alpha + np.log(np.diag(chol)).sum() + 0.5 * (prior**2).sum()

    def weight(rows: slice) -> np.ndarray:
        """Sums of inverse - alpha alpha' over these samples, by their moments (u, u)."""
        half, at = root[:, rows] @ samples.at[rows], alpha[rows] @ samples.at[rows]
        return half.T @ half - np.outer(at, at)

    gradient = np.zeros_like(theta)
    gradient[5] = v_n * (np.vdot(root, root) - alpha @ alpha)
    within = np.sum([weight(rows) for rows in samples.replicates], axis=0)
    for part, w in ((shared, weight(slice(None))), (own, within)):
        for i, term in part.items():
            gradient[i] += np.vdot(w, term)
    return value, 0.5 * gradient + prior / PRIOR_SD[: len(theta)]


def fit(
    time: np.ndarray,
    replicate: np.ndarray,
    y: np.ndarray,
    *,
    phase: np.ndarray | None = None,
    start: np.ndarray | None = None,
    max_points: int = 256,
    iterations: int = 30,
) -> np.ndarray:
    """Hyper-parameters theta (9,) of one condition by marginal likelihood with a weak prior.

    time: (n,) in units of the duration. replicate: (n,) integer labels. y: (n,) z-scores. phase: (n,) since the round
    began; without it the last three stay at the prior's mean. start: (9,) where to begin the search. About `max_points`
    samples at evenly chosen times are used: the evidence of nine numbers does not need them all, and its cost grows as
    n cubed.
    """
    if len(y) > max_points:
        # Whole times: a choice among the replicates of one time would depend on their order.
        times = np.unique(time)
        count = max(len(times) * max_points // len(y), 2)
        some = np.isin(time, times[np.linspace(0, len(times) - 1, count).round().astype(int)])
        time, replicate, y = time[some], replicate[some], y[some]
        phase = None if phase is None else phase[some]
    samples, starts = _samples(time, replicate, y, phase), START
    if phase is not None:
        starts = np.concatenate([START, np.broadcast_to(REPLAY, (len(START), 3))], axis=1)
    if start is not None:
        starts = start[None, : starts.shape[1]]
    scores = [_negative_log_evidence(s, samples)[0] for s in starts] if len(starts) > 1 else [0]
    best = minimize(
        _negative_log_evidence,
        starts[int(np.argmin(scores))],
        args=(samples,),
        jac=True,
        method="L-BFGS-B",
        bounds=[(LOW, HIGH)] * starts.shape[1],
        options={"maxiter": iterations},
    )
    return np.concatenate([best.x, PRIOR_MEAN[starts.shape[1] :]])


def posterior(
    theta: np.ndarray,
    time: np.ndarray,
    replicate: np.ndarray,
    y: np.ndarray,
    query_time: np.ndarray,
    query_replicate: np.ndarray,
    *,
    phase: np.ndarray | None = None,
    query_phase: np.ndarray | None = None,
    joint: bool = False,
) -> Posterior:
    """Mean and SD of a new *measurement* (noise included) at the m query cells given the n visible ones.

    theta (9,); time, replicate, y and phase (n,) as of `fit`; query_time, query_replicate and query_phase (m,). With
    `joint` also the covariance (m, m). Rasmussen & Williams 2006, eqs 2.25 and 2.26.
    """
    v_n = np.exp(theta[5])
    here = (query_time, query_replicate, query_phase)
    there = (time, replicate, phase)

    def kernel(a: Cells, b: Cells) -> np.ndarray:
        apart = None if a[2] is None or b[2] is None else np.abs(a[2][:, None] - b[2])
        shared, own = _terms(theta, np.abs(a[0][:, None] - b[0]), apart)
        return _sum(shared) + (a[1][:, None] == b[1]) * _sum(own)

    terms = VARIANCES if phase is not None else VARIANCES[:-1]
    prior_variance = np.exp(theta[list(terms)]).sum() + v_n
    if len(y) == 0:
        cov = kernel(here, here) if joint else None
        if cov is not None:
            cov[np.diag_indices_from(cov)] += v_n
        mean = np.zeros(len(query_time))
        return Posterior(mean, np.full(len(query_time), np.sqrt(prior_variance)), theta, cov)
    k = kernel(there, there)
    k[np.diag_indices_from(k)] += v_n + 1e-8
    chol = cho_factor(k, lower=True)
    cross = kernel(here, there)
    mean = cross @ cho_solve(chol, y)
    half = solve_triangular(chol[0], cross.T, lower=True)
    variance = np.maximum(prior_variance - (half**2).sum(0), v_n)
    covariance = None
    if joint:
        covariance = kernel(here, here) - half.T @ half
        covariance[np.diag_indices_from(covariance)] += v_n
    return Posterior(mean, np.sqrt(variance), theta, covariance)
