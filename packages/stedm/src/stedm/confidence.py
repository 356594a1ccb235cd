"""How far off is a cell? A model of the log error, learned from held-out predictions of the training sections.

The spread of an ensemble hardly follows the error; what does is where a cell was put, how much its kin in expression
disagree, and how far smoothing moved it. Letters: n cells, f features, d dimensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from stedm.graph import alike, joined, with_themselves
from stedm.trees import Forest, forest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stedm.pairs import View

KIN = 15
LEAST = 1e-3  # error below which no cell is told from another, in RMS radii


def features(view: View) -> np.ndarray:
    """What the error may follow, (n, f); free of the frame."""
    n = len(view)
    at, x = view.coordinates, joined(view.cells)
    if n < 3:
        return np.zeros((n, 7))
    kin = alike(x, min(KIN, n - 1))
    smooth = with_themselves(at, kin, KIN)
    spread = np.sqrt(((at[kin] - at[:, None]) ** 2).sum(axis=2).mean(axis=1))
    among = np.sqrt(((at[kin] - at[kin].mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1))
    apart = np.sqrt(((x[kin] - x[:, None]).astype(float) ** 2).sum(axis=2).mean(axis=1))
    radius = np.linalg.norm(at - at.mean(axis=0), axis=1)
    moved = np.linalg.norm(at - smooth, axis=1)
    inner = np.linalg.norm(smooth - smooth.mean(axis=0), axis=1)
    return np.stack([radius, inner, moved, spread, among, apart / np.median(apart), view.depth], axis=1)


def fit(views: Sequence[View], errors: Sequence[np.ndarray], seed: int) -> tuple[Forest, float]:
    """Trees for the log error, and the factor that makes exp of their sum an RMS error.

    errors: (n,) distances from the truth of each section's held-out cells, in RMS radii.
    """
    x = np.concatenate([features(view) for view in views])
    y = np.log(np.maximum(np.concatenate(list(errors)), LEAST))
    model = HistGradientBoostingRegressor(
        max_iter=80,
        learning_rate=0.05,
        max_leaf_nodes=8,
        min_samples_leaf=max(5, min(40, len(y) // 8)),
        l2_regularization=5.0,
        early_stopping=False,
        random_state=seed,
    )
    forest = forest_of(model.fit(x, y))
    factor = float(np.sqrt(np.mean(np.exp(2 * (y - forest(x))))))
    return forest, factor


def sd(forest: Forest, factor: float, view: View) -> np.ndarray:
    """Expected RMS distance of each cell from its true place, (n,), in RMS radii."""
    return factor * np.exp(forest(features(view)))
