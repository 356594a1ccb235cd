"""Neighbours in expression and in place, and averages over them: near linear in the number of cells.

Letters: n cells, v views, c components, k neighbours, d dimensions.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from stedm import metrics

EXACT = 12_000  # cells up to which expression neighbours are searched by brute force, in blocks
BLOCK = 1000
ANCHORS = 60  # cells a bucket above that
PROBES = 12  # buckets searched
PAIRS = 200_000  # pairs whose differences are held at once

near = metrics.nearest  # in place, as `alike` in expression


def joined(cells: np.ndarray) -> np.ndarray:
    """The views of cells (v, n, c) side by side, (n, v c) float32, each of unit mean square."""
    size = np.sqrt((cells.astype(np.float64) ** 2).sum(axis=2).mean(axis=1))
    scaled = cells / np.where(size > 0, size, 1.0)[:, None, None]
    return np.ascontiguousarray(scaled.transpose(1, 0, 2).reshape(cells.shape[1], -1), dtype=np.float32)


def alike(x: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    """The k nearest others of each row of (n, f), (n, k), nearest first; approximate above `EXACT` cells.

    Above, each cell searches the buckets of its nearest random anchors. Never n x n. k is below n.
    """
    n = len(x)
    if n <= EXACT:
        everyone = np.arange(n)
        return np.concatenate([_best(x, everyone[a : a + BLOCK], everyone, k) for a in range(0, n, BLOCK)])
    rng = np.random.default_rng(seed)
    anchors = x[rng.permutation(n)[: n // ANCHORS]]
    probes = min(PROBES, len(anchors))
    probed = np.concatenate([_order(x[a : a + BLOCK], anchors, probes) for a in range(0, n, BLOCK)])
    order = np.argsort(probed[:, 0], kind="stable")
    starts = np.searchsorted(probed[order, 0], np.arange(len(anchors) + 1))
    buckets = [order[a:b] for a, b in pairwise(starts)]
    found = np.zeros((n, k), dtype=np.int64)
    for bucket in buckets:
        if len(bucket):
            pool = np.concatenate([buckets[b] for b in np.unique(probed[bucket])])
            pool = pool if len(pool) > k else rng.permutation(n)[: 4 * k]
            found[bucket] = _best(x, bucket, pool, k)
    return found


def _order(x: np.ndarray, anchors: np.ndarray, k: int) -> np.ndarray:
    """The k nearest anchors of each row, nearest first."""
    d = (anchors**2).sum(axis=1)[None] - 2.0 * x @ anchors.T
    part = np.argpartition(d, k - 1, axis=1)[:, :k]
    return np.take_along_axis(part, np.take_along_axis(d, part, axis=1).argsort(axis=1), axis=1)


def _best(x: np.ndarray, rows: np.ndarray, pool: np.ndarray, k: int) -> np.ndarray:
    """The k nearest of a pool to each of some rows, themselves left out."""
    d = (x[pool] ** 2).sum(axis=1)[None] - 2.0 * x[rows] @ x[pool].T
    d[rows[:, None] == pool[None]] = np.inf
    k = min(k, len(pool) - 1)
    part = np.argpartition(d, k - 1, axis=1)[:, :k]
    return pool[
        np.take_along_axis(part, np.take_along_axis(d, part, axis=1).argsort(axis=1, kind="stable"), axis=1)
    ]


def apart(x: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Distances between the rows i and j (e,) of (n, f), (e,) float64."""
    blocks = [slice(a, a + PAIRS) for a in range(0, len(i), PAIRS)]
    found = [np.sqrt(((x[i[b]] - x[j[b]]).astype(np.float64) ** 2).sum(axis=1)) for b in blocks]
    return np.concatenate(found) if found else np.zeros(0)


def averaged(values: np.ndarray, partners: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean of values (n, d) over partners (n, k), with weights (n, k) if given: (n, d)."""
    if weights is None:
        return values[partners].mean(axis=1)
    total = np.maximum(weights.sum(axis=1), 1e-12)
    return np.einsum("nk,nkd->nd", weights, values[partners]) / total[:, None]


def with_themselves(values: np.ndarray, partners: np.ndarray, k: int) -> np.ndarray:
    """Mean of values (n, d) over each cell and its k nearest partners, (n, d)."""
    if k == 0 or partners.shape[1] == 0:
        return values
    k = min(k, partners.shape[1])
    return (values + k * averaged(values, partners[:, :k])) / (k + 1)
