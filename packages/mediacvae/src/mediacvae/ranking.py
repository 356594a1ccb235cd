"""Which known media to try first: those that organisms like this one grow on, and media like them.

A medium's score is the kernel-weighted mean, over training pairs, of how many ingredients it shares with the pair's
medium. The odds are a logistic function of the log score, fitted to relatives left out: the chance that the medium is
on record for the organism. Letters: p training organisms, u media of training pairs, b media of the library.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from mediacvae.base import FOLDS, MAIN
from mediacvae.kernels import Kernel

LIKENESS = 4  # power of organisms' likeness: the nearest count most
SHARED = 4  # power of media's likeness
BLOCK = 256  # organisms at a time
LEAST = 1e-12  # score of what nothing speaks for


@dataclass(frozen=True)
class Ranker:
    """Fitted to pairs. landmarks: (p, d) conditions. counts: (p, u) pairs. media: (u, m) presence, unit rows."""

    kernel: Kernel
    landmarks: np.ndarray
    counts: np.ndarray
    media: np.ndarray
    slope: float
    intercept: float

    @classmethod
    def fit(
        cls,
        kernel: Kernel,
        conditions: np.ndarray,
        pairs: np.ndarray,
        library: np.ndarray,
        groups: np.ndarray,
        *,
        most: int = 2000,
        seed: int = 0,
    ) -> Ranker:
        """Of pairs (n, 2) numbers of organism and medium, conditions (o, d) and library (b, m) [g/L].

        groups: (o,) labels of relatives, left out in turn to fit the odds.
        """
        rng = np.random.default_rng(seed)
        used, at = np.unique(pairs[:, 0], return_inverse=True)
        if len(used) > most:
            kept = np.isin(pairs[:, 0], rng.choice(used, most, replace=False))
            used, at = np.unique(pairs[kept, 0], return_inverse=True)
            pairs = pairs[kept]
        own, column = np.unique(pairs[:, 1], return_inverse=True)
        counts = np.zeros((len(used), len(own)))
        np.add.at(counts, (at, column), 1.0)
        landmarks = np.asarray(conditions[used], dtype=np.float64)
        made = cls(kernel, landmarks, counts, presence(np.asarray(library[own])), 1.0, 0.0)
        likeness = kernel.cosine(landmarks, landmarks) ** LIKENESS
        slope, intercept = _odds(made, likeness, presence(library), counts, own, groups[used], rng)
        return cls(kernel, landmarks, counts, made.media, slope, intercept)

    def scores(self, conditions: np.ndarray, library: np.ndarray) -> np.ndarray:
        """Score (n, b) of media (b, m) [g/L] for organisms with conditions (n, d)."""
        parts = []
        known = presence(library)
        for a in range(0, len(conditions), BLOCK):
            rows = np.asarray(conditions[a : a + BLOCK], dtype=np.float64)
            parts.append(self._scores(self.kernel.cosine(rows, self.landmarks) ** LIKENESS, known))
        return np.concatenate(parts) if parts else np.zeros((0, len(known)))

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """The chance that a medium is on record for an organism, of its score."""
        return 1 / (1 + np.exp(-(self.slope * np.log(np.maximum(scores, LEAST)) + self.intercept)))

    def _scores(self, weights: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Scores (n, b) of weights (n, p) of the training organisms; without any likeness all count the same."""
        weight = weights @ self.counts
        total = weight.sum(axis=1, keepdims=True)
        even = self.counts.sum(axis=0) / self.counts.sum()
        weight = np.where(total > 0, weight / np.maximum(total, 1e-300), even)
        return weight @ np.maximum(self.media @ known.T, 0.0) ** SHARED


def presence(media: np.ndarray) -> np.ndarray:
    """Which main ingredients media (n, m) [g/L] hold, as rows of length one."""
    there = (np.asarray(media) > MAIN).astype(np.float64)
    return there / np.maximum(np.sqrt(there.sum(axis=1, keepdims=True)), 1.0)


def _odds(
    ranker: Ranker,
    likeness: np.ndarray,
    known: np.ndarray,
    counts: np.ndarray,
    own: np.ndarray,
    groups: np.ndarray,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Slope and intercept of the log odds, by logistic regression on organisms whose relatives were left out."""
    names = rng.permutation(np.unique(groups))
    fold = {name: k % FOLDS for k, name in enumerate(names)}
    at = np.array([fold[name] for name in groups])
    if len(names) < FOLDS:
        return 1.0, 0.0
    chosen = rng.permutation(len(groups))[:500]
    logs, truth = [], []
    for k in range(FOLDS):
        out = chosen[at[chosen] == k]
        weights = likeness[out] * (at != k)[None]
        score = ranker._scores(weights, known)
        there = np.zeros(score.shape, dtype=bool)
        there[:, own] = counts[out] > 0
        logs.append(np.log(np.maximum(score, LEAST)).ravel())
        truth.append(there.ravel())
    x, y = np.concatenate(logs), np.concatenate(truth)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        z = theta[0] * x + theta[1]
        p = 1 / (1 + np.exp(-z))
        value = float(np.logaddexp(0.0, z).mean() - z[y].sum() / len(z))
        miss = p - y
        return value, np.array([(miss * x).mean(), miss.mean()])

    found = minimize(loss, np.array([1.0, np.log(max(y.mean(), 1e-9))]), jac=True, method="L-BFGS-B")
    return float(found.x[0]), float(found.x[1])
