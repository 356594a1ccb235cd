"""Boosted trees as plain arrays: fitted by scikit-learn, kept in a bundle, evaluated without it.

Letters: n rows, f features, t trees, m nodes of the largest tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

BLOCK = 16_384  # rows at a time: what a tree looks at stays in the processor's cache


@dataclass(frozen=True)
class Forest:
    """Sum of trees. feature, left, right: (t, m) int; threshold, value: (t, m); a leaf points to itself.

    base: what the sum starts from. depth: steps from a root to its deepest leaf.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    base: float
    depth: int

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The sum for rows (n, f) of finite numbers: log odds of a classifier, the value of a regressor, (n,)."""
        parts = [self._block(x[a : a + BLOCK]) for a in range(0, len(x), BLOCK)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _block(self, x: np.ndarray) -> np.ndarray:
        columns = torch.as_tensor(np.ascontiguousarray(x.T, dtype=np.float32))
        total = torch.full((len(x),), self.base, dtype=torch.float64)
        tables = (self.feature, self.threshold, self.left, self.right)
        for *tree, value in zip(*(table.tolist() for table in tables), self.value, strict=True):
            total += torch.as_tensor(value)[_leaf(columns, 0, *tree).long()]
        return total.numpy()

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Its arrays for a bundle: `name.feature`, ... (t, m) each, and `name.base` (2,) of base and depth."""
        own = ("feature", "threshold", "left", "right", "value")
        made = {f"{name}.{key}": getattr(self, key) for key in own}
        return made | {f"{name}.base": np.array([self.base, float(self.depth)])}


def _leaf(
    columns: torch.Tensor,
    node: int,
    feature: list[int],
    threshold: list[float],
    left: list[int],
    right: list[int],
) -> torch.Tensor:
    """The leaf below a node that each row (of the columns (f, n)) falls into: (n,), or () where the node is a leaf.

    Every node looks at every row: more comparisons than walking down with each row, but nothing is gathered.
    """
    if left[node] == node:
        return torch.tensor(node, dtype=torch.int16)
    goes = columns[feature[node]] <= threshold[node]
    below = (_leaf(columns, child, feature, threshold, left, right) for child in (left[node], right[node]))
    return torch.where(goes, *below)


def forest_of(model: Any) -> Forest:
    """The trees of a fitted HistGradientBoosting model of one output.

    Raises ValueError for a classifier of more than two classes, and for splits on categories: neither fits in a sum of
    trees over numbers.
    """
    nodes = [stage[0].nodes for stage in model._predictors]
    if any(len(stage) > 1 for stage in model._predictors) or any(n["is_categorical"].any() for n in nodes):
        msg = "expected trees of one output that split numbers, got several classes or splits on categories"
        raise ValueError(msg)
    most = max((len(n) for n in nodes), default=1)
    shape = (len(nodes), most)
    made = {
        "feature": np.zeros(shape, dtype=np.int64),
        "threshold": np.zeros(shape, dtype=np.float32),
        "left": np.zeros(shape, dtype=np.int64),
        "right": np.zeros(shape, dtype=np.int64),
        "value": np.zeros(shape, dtype=np.float64),
    }
    for t, node in enumerate(nodes):
        leaf, m, own = node["is_leaf"].astype(bool), len(node), np.arange(len(node))
        made["feature"][t, :m] = np.where(leaf, 0, node["feature_idx"])
        made["threshold"][t, :m] = np.where(leaf, 0.0, node["num_threshold"])
        made["left"][t, :m] = np.where(leaf, own, node["left"])
        made["right"][t, :m] = np.where(leaf, own, node["right"])
        made["value"][t, :m] = node["value"]
    depth = max((int(n["depth"].max()) for n in nodes), default=0)
    base = float(np.ravel(model._baseline_prediction)[0])
    return Forest(**made, base=base, depth=depth)


def from_arrays(arrays: Mapping[str, np.ndarray], name: str) -> Forest:
    """A forest of what `Forest.arrays` made, (t, m) and (2,); raises KeyError where one of them is missing."""
    base, depth = arrays[f"{name}.base"]
    own = {key: arrays[f"{name}.{key}"] for key in ("feature", "threshold", "left", "right", "value")}
    return Forest(**own, base=float(base), depth=int(depth))
