"""Gene vectors from the cells themselves: genes that rise and fall together lie together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtualcell.scaling import totals

if TYPE_CHECKING:
    from virtualcell.cells import Cells


def coexpression_vectors(cells: Cells, places: np.ndarray, width: int, *, target_sum: float) -> np.ndarray:
    """Vectors (g, width) float32 of the genes at `places: (g,)`: their loadings on principal components.

    The components are those of log1p of counts per `target_sum`, each weighed by its standard deviation; all vectors
    together have a mean square length of 1. Components that the cells do not have are 0.
    """
    values = np.asarray(cells.counts[:, places].toarray(), dtype=np.float64)
    values = np.log1p(values * (target_sum / totals(cells))[:, None])
    values -= values.mean(axis=0)
    variance, loadings = np.linalg.eigh(values.T @ values / max(len(values), 1))
    order = np.argsort(-variance)[:width]
    found = loadings[:, order] * np.sqrt(np.maximum(variance[order], 0.0))
    found *= np.where(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])] < 0, -1.0, 1.0)
    size = np.sqrt((found**2).sum(axis=1).mean())
    made = np.zeros((len(places), width), dtype=np.float32)
    made[:, : found.shape[1]] = found / max(size, 1e-12)
    return made
