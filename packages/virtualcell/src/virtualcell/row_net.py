"""A cell model that corrects simple predictions of a change: genes are its tokens, a row of features the gene's vector.

Letters: n lessons or populations of a batch, t tokens (the CLS slot first), f features, g genes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from virtualcell.response_data import INPUTS, ResponseData, respond
from virtualcell.response_net import ResponseNet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from virtualcell.part import Info
    from virtualcell.rows import Lesson, Rows

Words = dict[str, Tensor]
DRAWS = 2  # of genes into groups, that a prediction is averaged over


@dataclass(frozen=True, eq=False)
class RowNet:
    """A trained network and what its inputs were scaled by.

    genes (t - 1,) int64: places of its tokens. scale (f,): root mean square of each feature. unit: of what the simple
    predictions lack. words: inputs of the parts that belong to genes, (t, ...) each. together: tokens of a step.
    """

    net: ResponseNet  # in evaluation mode
    genes: np.ndarray
    scale: np.ndarray
    unit: float
    words: Words
    together: int

    def __call__(self, rows: Rows, cell_words: Mapping[str, Tensor] | None = None) -> np.ndarray:
        """The corrected change (g,); genes that are no tokens keep the simple prediction.

        Genes are asked for in draws as large as those of training, twice, the same every time. cell_words: inputs of
        the parts that belong to the population, without the axis of lessons.
        """
        found = np.zeros(len(self.genes))
        for places, data in self._draws(rows, cell_words or {}):
            found[places] += respond(self.net, data).values[0, 0, 1:].double().numpy() / DRAWS
        made = rows.base.copy()
        made[self.genes] = found * self.unit
        return made

    @torch.no_grad()
    def told(
        self, rows: Rows, cell_words: Mapping[str, Tensor] | None = None
    ) -> Iterator[tuple[np.ndarray, dict[str, Info]]]:
        """Of each draw the places of its genes (t - 1,) and what each part tells of it, by its name."""
        for places, data in self._draws(rows, cell_words or {}):
            inputs = {name: x for name, x in data.tensors.items() if name in INPUTS}
            yield self.genes[places], self.net.eval()(**inputs).info

    def _draws(
        self, rows: Rows, cell_words: Mapping[str, Tensor]
    ) -> Iterator[tuple[np.ndarray, ResponseData]]:
        """Genes in groups, each gene in `DRAWS` of them: their places among the tokens, and what the network gets."""
        given = {name: x[None] for name, x in cell_words.items()}
        for draw in range(DRAWS):
            order = np.random.default_rng(draw).permutation(len(self.genes))
            for some in np.array_split(order, max(len(order) // self.together, 1)):
                places = np.sort(some)
                own = {name: x[np.append(0, places + 1)] for name, x in self.words.items()}
                asked = tensors([rows], self.genes[places], self.scale, self.unit, own)
                yield places, ResponseData(**asked, **given)


def chosen_genes(lessons: Sequence[Lesson], most: int) -> np.ndarray:
    """Places (t - 1,) int64 of the genes with most change and change foretold in the lessons, in their order.

    most: how many there are at most.
    """
    size = np.mean([np.abs(lesson.delta) + np.abs(lesson.rows.base) for lesson in lessons], axis=0)
    return np.sort(np.argsort(-size, kind="stable")[:most])


def scales(lessons: Sequence[Lesson], genes: np.ndarray) -> tuple[np.ndarray, float]:
    """Root mean square of each feature (f,), and of what the simple predictions lack."""
    features = np.concatenate([lesson.rows.features[genes] for lesson in lessons])
    lacks = np.concatenate([(lesson.delta - lesson.rows.base)[genes] for lesson in lessons])
    return np.sqrt((features**2).mean(axis=0)) + 1e-6, float(np.sqrt((lacks**2).mean())) + 1e-6


def tensors(
    asked: Sequence[Rows], genes: np.ndarray, scale: np.ndarray, unit: float, words: Words
) -> dict[str, Tensor]:
    """What `ResponseData` takes for n rows: src (n, t, f), features with long tails drawn in (sign(x) ln(1 + |x|)), the
    CLS slot in front; mask (n, t); baseline (n, t) in units of `unit`. genes, scale, words: as `RowNet` has them.
    """
    features = np.stack([rows.features[genes] for rows in asked]) / scale
    src = np.zeros((len(asked), len(genes) + 1, len(scale)), dtype=np.float32)
    src[:, 1:] = np.sign(features) * np.log1p(np.abs(features))
    baseline = np.zeros(src.shape[:2], dtype=np.float32)
    baseline[:, 1:] = np.stack([rows.base[genes] for rows in asked]) / unit
    many = {name: x[None].expand(len(asked), *x.shape) for name, x in words.items()}
    mask = torch.ones(src.shape[:2], dtype=torch.bool)
    return {"src": torch.from_numpy(src), "mask": mask, "baseline": torch.from_numpy(baseline), **many}


def taught(
    lessons: Sequence[Lesson],
    genes: np.ndarray,
    scale: np.ndarray,
    unit: float,
    words: Words,
    cell_words: Sequence[Mapping[str, Tensor]],
) -> ResponseData:
    """Lessons as the n rows that a response network learns from: as `tensors`, with target and weight (n, t).

    A gene counts by how sure its change is. cell_words: of each lesson, the inputs of its population.
    """
    made = tensors([lesson.rows for lesson in lessons], genes, scale, unit, words)
    target = np.zeros(made["baseline"].shape, dtype=np.float32)
    weight = np.zeros(target.shape, dtype=np.float32)
    for i, lesson in enumerate(lessons):
        target[i, 1:] = lesson.delta[genes] / unit
        weight[i, 1:] = lesson.weight / (1 + (lesson.error[genes] / unit) ** 2)
    whole = {name: torch.stack([words[name] for words in cell_words]) for name in cell_words[0]}
    return ResponseData(**made, **whole, target=torch.from_numpy(target), weight=torch.from_numpy(weight))
