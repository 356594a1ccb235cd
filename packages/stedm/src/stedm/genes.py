"""Which genes vary over space: Moran's I on a neighbour graph.

Letters: n cells of a section, g genes, k neighbours. Source: Moran 1950; weights are row-normalised, I = z' W z / z' z.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from stedm.metrics import nearest

NEIGHBOURS = 8


def neighbour_weights(coordinates: np.ndarray, k: int = NEIGHBOURS) -> sparse.csr_matrix:
    """Row-normalised graph of the k nearest of (n, d) (fewer in a section of k cells or less), (n, n) csr."""
    n = len(coordinates)
    k = min(k, n - 1)
    columns = nearest(coordinates, k).ravel()
    rows = np.repeat(np.arange(n), k)
    return sparse.csr_matrix((np.full(n * k, 1.0 / k), (rows, columns)), shape=(n, n))


def morans_i(x: np.ndarray, weights: sparse.csr_matrix) -> np.ndarray:
    """Moran's I of each column of (n, g) under row-normalised weights (n, n); 0 without variance."""
    z = x - x.mean(axis=0)
    size = (z**2).sum(axis=0)
    return np.where(size > 0, (z * (weights @ z)).sum(axis=0) / np.where(size > 0, size, 1.0), 0.0)
