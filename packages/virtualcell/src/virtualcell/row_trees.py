"""Boosted trees that correct simple predictions of a change, gene by gene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cytosol.trees import Forest, forest_of, from_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtualcell.response_config import TreeOptions
    from virtualcell.rows import Lesson, Rows


@dataclass(frozen=True, eq=False)
class RowTrees:
    """A forest for each simple prediction; what they say is averaged."""

    forests: tuple[Forest, ...]  # as many as there are simple predictions

    def __call__(self, rows: Rows) -> np.ndarray:
        """The corrected change (g,)."""
        told = [s + forest(rows.features) for s, forest in zip(rows.simple, self.forests, strict=True)]
        return np.mean(told, axis=0)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Its arrays by name, for a bundle: `name.i.` before those of each `cytosol.trees.Forest`, (trees, nodes)."""
        made: dict[str, np.ndarray] = {}
        for i, forest in enumerate(self.forests):
            made |= forest.arrays(f"{name}.{i}")
        return made


def fit_trees(lessons: Sequence[Lesson], options: TreeOptions, *, seed: int) -> RowTrees:
    """Forests on what each simple prediction lacks; a lesson's genes share its weight."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    features = np.concatenate([lesson.rows.features for lesson in lessons])
    weight = np.concatenate([np.full(len(lesson.delta), lesson.weight) for lesson in lessons])
    forests = []
    for i in range(len(lessons[0].rows.simple)):
        lacks = np.concatenate([lesson.delta - lesson.rows.simple[i] for lesson in lessons])
        model = HistGradientBoostingRegressor(
            max_iter=options.trees,
            max_leaf_nodes=options.leaves,
            min_samples_leaf=options.least_genes,
            learning_rate=options.learning_rate,
            l2_regularization=options.penalty,
            early_stopping=False,
            random_state=seed,
        )
        with threadpool_limits(
            1, user_api="openmp"
        ):  # the trees are small: threads would wait for each other
            forests.append(forest_of(model.fit(features, lacks, sample_weight=weight)))
    return RowTrees(tuple(forests))


def trees_of(arrays: Mapping[str, np.ndarray], name: str, count: int) -> RowTrees:
    """`count` forests of the arrays (trees, nodes) that `RowTrees.arrays` has made under this name."""
    return RowTrees(tuple(from_arrays(arrays, f"{name}.{i}") for i in range(count)))
