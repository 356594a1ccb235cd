"""Trees and a cell model on simple predictions, and whether held-out lessons say that they are to be believed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from virtualcell.row_net import RowNet
from virtualcell.row_trees import RowTrees

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from virtualcell.rows import Lesson, Rows

LOG = logging.getLogger(__name__)
FOLDS = 4
BELIEVED = 0.25  # least share of a held-out correction at which corrections are used


@dataclass(frozen=True, eq=False)
class Correction:
    """trees, nets: what corrects, each a half of it where there are both. share: what held-out lessons took of it.

    A share of 1 would have been best as it is, 0 not at all. The trial behind it had fewer lessons, so it errs low:
    from `BELIEVED` on the correction is used, and used whole; below it there is none.
    """

    trees: RowTrees | None = None
    nets: tuple[RowNet, ...] = ()
    share: float = 0.0

    @property
    def used(self) -> bool:
        """Whether the answer is corrected."""
        return self.trees is not None or bool(self.nets)

    def stages(self, rows: Rows, cell_words: Mapping[str, Tensor] | None = None) -> dict[str, np.ndarray]:
        """The change (g,) by each method, the last being the answer."""
        told: dict[str, np.ndarray] = {"simple": rows.base}
        if self.trees is not None:
            told["trees"] = self.trees(rows)
        if self.nets:
            told["network"] = np.mean([net(rows, cell_words) for net in self.nets], axis=0)
        more = [told[name] for name in ("trees", "network") if name in told]
        told["answer"] = np.mean(more, axis=0) if self.used else rows.base
        return told


def folds(lessons: Sequence[Lesson]) -> list[np.ndarray]:
    """Which lessons are held out together, (lessons,) bool each: whole contexts, at most `FOLDS` folds of them."""
    contexts = sorted({lesson.context for lesson in lessons})
    count = min(FOLDS, len(contexts))
    fold_of = {context: i % count for i, context in enumerate(contexts)}
    own = np.array([fold_of[lesson.context] for lesson in lessons])
    return [own == i for i in range(count)]


def held_share(
    lessons: Sequence[Lesson],
    words: Sequence[Mapping[str, Tensor]],
    fit: Callable[[Sequence[Lesson]], Correction],
) -> float:
    """The share of their correction, a scalar, by which held-out lessons are predicted best: 0 to 1, 0 for one context.

    Least squares of what simple predictions lack on what a correction of the other contexts' lessons adds. words: of
    each lesson, the inputs of its population as `Correction.stages` takes them.
    """
    above = below = 0.0
    parts = folds(lessons)
    for i, held in enumerate(parts if len(parts) > 1 else [], 1):
        LOG.info("trial %d of %d: is a correction of use in contexts held out?", i, len(parts))
        trial = fit([lesson for lesson, out in zip(lessons, held, strict=True) if not out])
        for lesson, own, out in zip(lessons, words, held, strict=True):
            if not out or lesson.weight < 1:
                continue
            told = replace(trial, share=1.0).stages(lesson.rows, own)["answer"] - lesson.rows.base
            above += float(told @ (lesson.delta - lesson.rows.base))
            below += float(told @ told)
    return float(np.clip(above / below, 0.0, 1.0)) if below > 0 else 0.0
