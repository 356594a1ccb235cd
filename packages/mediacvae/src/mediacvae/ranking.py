"""Which known media to try first: those that organisms like this one grow on, and media like them.

A medium's score is the kernel-weighted mean, over training pairs, of how many ingredients it shares with the pair's
medium, times a power of how many it shares with what is expected of the organism (which, relatives left out say). The
odds, the chance that the medium is on record for the organism, are a logistic function of the log score and the log
rank, fitted to the first `FIRST` ranks of relatives left out. Letters: p training organisms, u media of their pairs,
b media of the library.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from mediacvae.base import FOLDS, MAIN
from mediacvae.folds import grouped_folds
from mediacvae.kernels import Kernel

LIKENESS = 4  # power of organisms' likeness: the nearest count most
SHARED = 4  # power of media's likeness
BLOCK = 64  # organisms at a time, of which each gets a number a medium
COLUMNS = 1024  # media at a time, of which each gets a number a medium of the pairs
BLENDS = (0.0, 1.0, 2.0, 4.0, 8.0)  # powers that are tried
FIRST, MOST = 100, 500  # ranks and organisms that the odds are fitted to
LEAST = 1e-12  # score of what nothing speaks for


@dataclass(frozen=True)
class Ranker:
    """Fitted to pairs. landmarks: (p, d) conditions. counts: (p, u) pairs. media: (u, m) presence, unit rows."""

    kernel: Kernel
    landmarks: np.ndarray
    counts: np.ndarray
    media: np.ndarray
    blend: float  # the power of what a medium shares with what is expected
    odds: tuple[float, float, float]  # by log score (0 and more), by log rank (0 and less), and a constant

    @classmethod
    def fit(
        cls,
        kernel: Kernel,
        conditions: np.ndarray,
        pairs: np.ndarray,
        library: np.ndarray,
        groups: np.ndarray,
        main: np.ndarray,
        *,
        most: int = 2000,
        seed: int = 0,
    ) -> Ranker:
        """Of pairs (n, 2) numbers of organism and medium, conditions (o, d) and library (b, m) [g/L].

        groups: (o,) labels of relatives, left out in turn to fit power and odds. main: (p, m) chances of main
        ingredients that were expected of each organism of the pairs, by number, without its relatives. most: organisms
        that are kept, chosen at random.
        """
        rng = np.random.default_rng(seed)
        used, at = np.unique(pairs[:, 0], return_inverse=True)
        if len(used) > most:
            chosen = np.isin(used, rng.choice(used, most, replace=False))
            pairs, main = pairs[chosen[at]], main[chosen]
            used, at = np.unique(pairs[:, 0], return_inverse=True)
        own, column = np.unique(pairs[:, 1], return_inverse=True)
        counts = np.zeros((len(used), len(own)))
        np.add.at(counts, (at, column), 1.0)
        landmarks = np.asarray(conditions[used], dtype=np.float64)
        made = cls(kernel, landmarks, counts, presence(np.asarray(library[own])), 0.0, (1.0, 0.0, 0.0))
        held = _held_out(made, presence(library), main, counts, own, groups[used], rng)
        if held is None:
            return made
        blend = max(BLENDS, key=lambda power: _reciprocal_rank(held, power))
        return replace(made, blend=blend, odds=_odds(held, blend))

    def scores(self, conditions: np.ndarray, main: np.ndarray, library: np.ndarray) -> np.ndarray:
        """Score (n, b) of media (b, m) [g/L] for organisms with conditions (n, d).

        main: (n, m) chances of main ingredients that are expected of them.
        """
        parts = []
        known = presence(library)
        for a in range(0, len(conditions), BLOCK):
            rows = np.asarray(conditions[a : a + BLOCK], dtype=np.float64)
            own = self._scores(self.kernel.cosine(rows, self.landmarks) ** LIKENESS, known)
            parts.append(own * _fit_of(main[a : a + BLOCK], known) ** self.blend)
        return np.concatenate(parts) if parts else np.zeros((0, len(known)))

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """The chances (n, b) that media are on record for organisms, of the scores (n, b) of a whole library."""
        by_score, by_rank, constant = self.odds
        return expit(by_score * _logs(scores) + by_rank * np.log(_ranks(scores)) + constant)

    def _scores(self, weights: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Scores (n, b) of weights (n, p) of the training organisms; without any likeness all count the same."""
        weight = weights @ self.counts
        total = weight.sum(axis=1, keepdims=True)
        even = self.counts.sum(axis=0) / self.counts.sum()
        weight = np.where(total > 0, weight / np.maximum(total, 1e-300), even)
        made = np.empty((len(weight), len(known)))
        for a in range(0, len(known), COLUMNS):
            shared = np.maximum(self.media @ known[a : a + COLUMNS].T, 0.0)
            made[:, a : a + COLUMNS] = weight @ shared**SHARED
        return made


def presence(media: np.ndarray) -> np.ndarray:
    """Which main ingredients media (n, m) [g/L] hold, as rows (n, m) of length one."""
    there = (np.asarray(media) > MAIN).astype(np.float64)
    there /= np.maximum(np.sqrt(there.sum(axis=1, keepdims=True)), 1.0)
    return there


def _logs(scores: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(scores, LEAST))


def _ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks (n, b) from 1, of equal scores by position."""
    ranks = np.empty(scores.shape)
    order = np.argsort(-scores, axis=1, kind="stable")
    np.put_along_axis(ranks, order, np.arange(1.0, scores.shape[1] + 1)[None], axis=1)
    return ranks


def _fit_of(main: np.ndarray, known: np.ndarray) -> np.ndarray:
    """How much of what is expected, chances (n, m), media (b, m) as `presence` hold: cosine, (n, b)."""
    return main @ known.T / np.maximum(np.linalg.norm(main, axis=1, keepdims=True), 1e-12)


class _HeldOut(NamedTuple):
    """Of organisms without their relatives: scores, what is shared with the expected, and what is true, all (n, b)."""

    scores: np.ndarray
    shared: np.ndarray
    there: np.ndarray


def _held_out(
    ranker: Ranker,
    known: np.ndarray,
    main: np.ndarray,
    counts: np.ndarray,
    own: np.ndarray,
    groups: np.ndarray,
    rng: np.random.Generator,
) -> _HeldOut | None:
    """Up to `MOST` organisms; None where there is one group only."""
    if len(np.unique(groups)) < 2:
        return None
    likeness = ranker.kernel.cosine(ranker.landmarks, ranker.landmarks) ** LIKENESS
    fold = grouped_folds(groups, FOLDS, seed=int(rng.integers(2**31)))
    chosen = rng.permutation(len(groups))[:MOST]
    scores = ranker._scores(likeness[chosen] * (fold[chosen, None] != fold[None]), known)
    there = np.zeros(scores.shape, dtype=bool)
    there[:, own] = counts[chosen] > 0
    return _HeldOut(scores, _fit_of(main[chosen], known), there)


def _reciprocal_rank(held: _HeldOut, power: float) -> float:
    """Mean over organisms of one over the best rank of a medium on record."""
    best = []
    for rows in _some(held):
        ranks = _ranks(held.scores[rows] * held.shared[rows] ** power)
        best.append(np.where(held.there[rows], ranks, np.inf).min(axis=1))
    return float((1 / np.concatenate(best)).mean())


def _some(held: _HeldOut) -> list[slice]:
    """The organisms of `held`, some at a time."""
    return [slice(a, a + BLOCK) for a in range(0, len(held.scores), BLOCK)]


def _odds(held: _HeldOut, power: float) -> tuple[float, float, float]:
    """The constants of the odds, by logistic regression on the first ranks."""
    features, found = [], []
    for rows in _some(held):
        scores = held.scores[rows] * held.shared[rows] ** power
        ranks = _ranks(scores)
        first = ranks <= FIRST
        features.append(np.stack([_logs(scores[first]), np.log(ranks[first]), np.ones(first.sum())], axis=1))
        found.append(held.there[rows][first])
    x, there = np.concatenate(features), np.concatenate(found)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ theta
        return float((np.logaddexp(0.0, z) - there * z).mean()), x.T @ (expit(z) - there) / len(z)

    start = np.array([0.5, -0.5, np.log(max(there.mean(), 1e-9))])
    bounds = [(0.0, None), (None, 0.0), (None, None)]  # a better score or rank never makes it less likely
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(best[0]), float(best[1]), float(best[2])
