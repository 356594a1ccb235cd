"""A structure from the graph of probable neighbours alone: its shortest paths, unfolded into d dimensions.

Isomap with landmarks (Tenenbaum, de Silva and Langford 2000; landmark MDS, de Silva and Tenenbaum 2004). A graph that
was learned on one patient's sections still knows neighbours in another's, where the regression no longer knows places.
Letters: n cells, k partners, d dimensions, m landmarks.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from stedm.metrics import fit_similarity
from stedm.tissue import rms_radius

LANDMARKS = 200
LEAST = 1e-3  # chance below which a step is not made longer


def unfold(partners: np.ndarray, chance: np.ndarray, dim: int, seed: int) -> np.ndarray:
    """Coordinates (n, dim) of RMS radius 1 from partners (n, k) and their chance (n, k): O(m n log n).

    A step to a partner is the longer the less probable it is. Parts of the graph without a path between them are put
    as far apart as the longest path.
    """
    n, k = partners.shape
    steps = 1.0 / np.sqrt(np.maximum(chance.ravel(), LEAST))
    graph = sparse.csr_matrix((steps, (np.repeat(np.arange(n), k), partners.ravel())), shape=(n, n))
    landmarks = np.random.default_rng(seed).permutation(n)[:LANDMARKS]
    paths = dijkstra(graph, directed=False, indices=landmarks)
    paths[np.isinf(paths)] = paths[np.isfinite(paths)].max()
    square = paths**2
    among = square[:, landmarks]
    mean = among.mean(axis=0)
    value, vector = np.linalg.eigh(-0.5 * (among - mean - mean[:, None] + among.mean()))
    axes = vector[:, ::-1][:, :dim] / np.sqrt(np.maximum(value[::-1][:dim], 1e-12))
    made = -0.5 * (square - mean[:, None]).T @ axes
    made = made - made.mean(axis=0)
    return made / max(rms_radius(made), 1e-12)


def disagreement(one: np.ndarray, other: np.ndarray) -> float:
    """What a structure (n, d), moved onto another (n, d), leaves of its size: 0 the same shape, 1 nothing in common."""
    size = rms_radius(other)
    left = fit_similarity(one, other)(one) - other
    return float(np.sqrt((left**2).sum(axis=1).mean())) / size if size > 0 else 1.0
