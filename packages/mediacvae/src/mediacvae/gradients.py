"""Gradients of kernel regression along a path of conditions, in closed form.

A prediction is clipped (an amount below 0 is 0): where it is, it does not change. Letters: s steps of a path,
d condition features, p landmarks, t targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mediacvae.conditions import LINEAGE, OTHERS
from mediacvae.kernels import TOGETHER, WEIGHTS, WIDTH, of_genome

if TYPE_CHECKING:
    from mediacvae.base import KernelBase
    from mediacvae.conditions import Block
    from mediacvae.kernels import Kernel

LEAST = 1e-12


class Along(NamedTuple):
    """One block along a path: conditions (s, features) and (p, features), its kernel's factor and itself (s, p).

    moving: (s, t), 1 / s where a target is not clipped, else 0. dual: (p, t).
    """

    path: np.ndarray
    marks: np.ndarray
    factor: np.ndarray
    part: np.ndarray
    moving: np.ndarray
    dual: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Whether the block is known of both, (s, p)."""
        return np.isfinite(self.path).all(axis=1)[:, None] & np.isfinite(self.marks).all(axis=1)[None]


def mean_slopes(base: KernelBase, path: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over a path (s, d) of the gradients of amount and chance of being there, each (d, q).

    columns: (q,) numbers of ingredients. A feature that is not known (NaN) has the gradient 0.
    """
    m, kernel, marks = len(base.mean) // 3, base.kernel, base.landmarks
    targets = np.concatenate([columns, 2 * m + columns])
    dual = base.basis @ base.weights[:, targets]
    blocks = kernel.conditioner.blocks
    parts = {block.name: kernel.part(block, path, marks) for block in blocks}
    value = base.mean[targets] + kernel(path, marks) @ dual
    upper = np.repeat([np.inf, 1.0], len(columns))
    moving = ((value > 0) & (value < upper)) / len(path)
    made = np.zeros((path.shape[1], len(targets)))
    for block in blocks:
        own = kernel.conditioner.columns[block.name]
        slope = _of_tokens if block.kind == "tokens" else _of_genomes if of_genome(block) else _of_numbers
        factor = _factor(kernel, block, parts)
        along = Along(path[:, own], marks[:, own], factor, parts[block.name], moving, dual)
        made[own] = slope(kernel, block, along)
    return made[:, : len(columns)], made[:, len(columns) :]


def _factor(kernel: Kernel, block: Block, parts: dict[str, np.ndarray]) -> np.ndarray:
    """What a block's kernel is multiplied by in the sum, (s, p)."""
    part = parts[block.name]
    if of_genome(block):
        return np.full_like(part, kernel.genome)
    made = np.full_like(part, WEIGHTS.get(block.name, 1.0))
    if LINEAGE not in parts:
        return made
    if block.name != LINEAGE:
        return made + TOGETHER.get(block.name, 1.0) * parts[LINEAGE]
    others = [one.name for one in kernel.conditioner.blocks if one.name != LINEAGE and not of_genome(one)]
    return made + sum(TOGETHER.get(name, 1.0) * parts[name] for name in others)


def _of_genomes(kernel: Kernel, block: Block, along: Along) -> np.ndarray:
    """Of a linear block, (features, t): the same wherever the path is."""
    own = kernel.conditioner.columns[block.name]
    at = (np.nan_to_num(along.marks) - kernel.shift[own]) / kernel.scale[own]
    towards = ((along.moving.T @ (along.factor * along.known)) * along.dual.T) @ at
    return (towards / at.shape[1] / kernel.scale[own]).T


def _of_numbers(kernel: Kernel, block: Block, along: Along) -> np.ndarray:
    """Of a Gaussian block, (features, t): likeness falls with the distance to each landmark."""
    own = kernel.conditioner.columns[block.name]
    z, at = ((np.nan_to_num(x) - kernel.shift[own]) / kernel.scale[own] for x in (along.path, along.marks))
    pull = along.factor * along.part
    towards = ((along.moving.T @ pull) * along.dual.T) @ at
    away = (along.moving * (pull @ along.dual)).T @ z
    return ((towards - away) / WIDTH**2 / kernel.scale[own]).T


def _of_tokens(kernel: Kernel, block: Block, along: Along) -> np.ndarray:
    """Of a cosine block, (features, t): each word turns the direction, and makes it longer."""
    own = kernel.conditioner.columns[block.name]
    z, at = (np.nan_to_num(x) * kernel.scale[own] for x in (along.path, along.marks))
    length = np.maximum(np.linalg.norm(z, axis=1), LEAST)[:, None]
    at = at / np.maximum(np.linalg.norm(at, axis=1, keepdims=True), LEAST)
    if block.features[-1] == OTHERS:
        at[:, -1] = 0.0  # counts in the length only
    pull = along.factor * along.known
    turned = (((along.moving / length).T @ pull) * along.dual.T) @ at
    longer = (along.moving / length**2 * ((pull * along.part) @ along.dual)).T @ z
    return ((turned - longer) * kernel.scale[own]).T
