"""Kernel ridge regression on the mean of one Gaussian kernel a view, carried by landmarks (Nystroem).

With every training cell a landmark it is exact kernel ridge; above that, Williams and Seeger 2001. Letters: v views,
n cells, c components, m landmarks, d targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

BLOCK = 4000  # cells at a time
MEDIAN_OF = 800  # cells whose distances make the bandwidth


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances of (n, c) and (m, c), (n, m), never negative."""
    return np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2.0 * a @ b.T, 0.0)


def median_distance(x: np.ndarray, rng: np.random.Generator) -> float:
    """Median squared distance of the rows of (n, c), from at most `MEDIAN_OF` of them; 1 where all coincide."""
    rows = x[rng.permutation(len(x))[:MEDIAN_OF]].astype(np.float64)
    found = squared_distances(rows, rows)[np.triu_indices(len(rows), 1)]
    middle = float(np.median(found)) if len(found) else 0.0
    return middle if middle > 0 else 1.0


@dataclass(frozen=True)
class Kernel:
    """Gaussian kernels around landmarks. landmarks: (v, m, c). widths: (v,) squared. root: (m, m), lower."""

    landmarks: np.ndarray
    widths: np.ndarray
    root: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Features (n, m) of cells (v, n, c) whose inner products are the kernel (of landmarks, exactly)."""
        parts = []
        for start in range(0, max(x.shape[1], 1), BLOCK):
            block = similarity(x[:, start : start + BLOCK], self.landmarks, self.widths)
            parts.append(solve_triangular(self.root, block.T, lower=True, check_finite=False).T)
        return np.concatenate(parts)

    def times(self, x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Features of cells (v, n, c) times coefficients (m, ...), in blocks: never all (n, m) at once."""
        blocks = range(0, max(x.shape[1], 1), BLOCK)
        return np.concatenate([self(x[:, a : a + BLOCK]) @ coefficients for a in blocks])


def similarity(a: np.ndarray, b: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Mean over views of exp(-|a - b|^2 / width): (v, n, c), (v, m, c) -> (n, m) float64."""
    total = np.zeros((a.shape[1], b.shape[1]))
    for one, other, width in zip(a, b, widths, strict=True):
        total += np.exp(-squared_distances(one.astype(np.float64), other.astype(np.float64)) / width)
    return total / len(a)


def fit_kernel(x: np.ndarray, *, landmarks: int, bandwidth: float, rng: np.random.Generator) -> Kernel:
    """Landmarks drawn from cells (v, n, c), bandwidths from their median squared distances.

    landmarks: how many at most. bandwidth: in median squared distances.
    """
    widths = np.array([bandwidth * median_distance(view, rng) for view in x])
    rows = np.sort(rng.permutation(x.shape[1])[:landmarks])
    chosen = x[:, rows]
    gram = similarity(chosen, chosen, widths)
    root = np.linalg.cholesky(gram + 1e-8 * np.eye(len(gram)))
    return Kernel(chosen, widths, root)


@dataclass(frozen=True)
class Ridge:
    """The solution for any targets: `solve(y)` are coefficients (m, d). Targets are centred by the caller.

    features: (n, m). factor: Cholesky's, of the system (m, m).
    """

    features: np.ndarray
    factor: tuple[np.ndarray, bool]

    def solve(self, targets: np.ndarray) -> np.ndarray:
        """Coefficients (m, d) of targets (n, d)."""
        return cho_solve(self.factor, self.features.T @ targets, check_finite=False)


def ridge(features: np.ndarray, penalty: float) -> Ridge:
    """Factor the ridge system of features (n, m)."""
    system = features.T @ features + penalty * np.eye(features.shape[1])
    return Ridge(features, cho_factor(system, lower=True, check_finite=False))
