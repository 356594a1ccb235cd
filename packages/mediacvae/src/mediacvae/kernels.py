"""How alike organisms are, by what is known of them: a sum of kernels over the blocks of their conditions.

Tokens (lineage, names): cosine of their words, rare ones weighing more. Numbers: Gaussian. A block that one of two
organisms lacks adds nothing: what is not known makes nobody alike. Letters: n, b organisms, d condition features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mediacvae.conditions import LINEAGE, NAMES, OTHERS, STATS, Conditioner

WIDTH = 1.0  # of the Gaussian over GC and log size, in standard deviations
WEIGHTS = {NAMES: 8.0}  # of a block's kernel in the sum; the others count 1
TOGETHER = {NAMES: 8.0}  # of the product with the lineage's kernel


@dataclass(frozen=True)
class Kernel:
    """Fitted to training conditions. shift, scale: (d,) of numbers and weights of tokens; width: of each block."""

    conditioner: Conditioner
    shift: np.ndarray
    scale: np.ndarray
    width: Mapping[str, float]

    @classmethod
    def fit(cls, conditioner: Conditioner, conditions: np.ndarray) -> Kernel:
        """Of training conditions (n, d), NaN where not known."""
        shift, scale, width = np.zeros(conditioner.width), np.ones(conditioner.width), {}
        for block in conditioner.blocks:
            own = conditioner.columns[block.name]
            values = _known(conditions[:, own])
            if block.kind == "tokens":
                share = (values > 0).mean(axis=0) if len(values) else np.ones(len(block.features))
                if block.features[-1] == OTHERS:
                    share[-1] = 1 / max(len(values), 2)
                # what all have says nothing, what few have says much (inverse document frequency, square root)
                scale[own] = np.sqrt(np.maximum(-np.log(np.clip(share, 1 / (len(values) + 1), 1)), 1e-6))
            elif len(values):
                shift[own], sd = values.mean(axis=0), values.std(axis=0)
                scale[own] = np.where(sd > 0, sd, 1.0)
            width[block.name] = WIDTH
            if block.kind == "numbers" and block.name != STATS and len(values) > 1:
                width[block.name] = _median_distance((values - shift[own]) / scale[own])
        return cls(conditioner, shift, scale, width)

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Likeness (n, b) of organisms with conditions (n, d) and (b, d)."""
        parts = {block.name: self._part(block.name, a, b) for block in self.conditioner.blocks}
        total = np.zeros((len(a), len(b)))
        for name, part in parts.items():
            total += WEIGHTS.get(name, 1.0) * part
            if name != LINEAGE and LINEAGE in parts:
                total += TOGETHER.get(name, 1.0) * part * parts[LINEAGE]
        return total

    def own(self, a: np.ndarray) -> np.ndarray:
        """The likeness (n,) of each organism to itself."""
        return np.array([self(row[None], row[None])[0, 0] for row in a])

    def cosine(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Likeness (n, b) from 0 to 1: 1 for organisms of whom the same is known."""
        size = np.sqrt(np.outer(self.own(a), self.own(b)))
        return np.clip(self(a, b) / np.maximum(size, 1e-12), 0.0, 1.0)

    def _part(self, name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        own = self.conditioner.columns[name]
        block = next(block for block in self.conditioner.blocks if block.name == name)
        left, right = (np.asarray(x[:, own], dtype=np.float64) for x in (a, b))
        known = np.isfinite(left).all(axis=1)[:, None] & np.isfinite(right).all(axis=1)[None]
        left, right = np.nan_to_num(left), np.nan_to_num(right)
        if block.kind == "tokens":
            left, right = _unit(left * self.scale[own]), _unit(right * self.scale[own])
            shared = (
                -1 if block.features[-1] == OTHERS else None
            )  # what nobody shares counts in the length only
            return left[:, :shared] @ right[:, :shared].T * known
        left, right = ((x - self.shift[own]) / self.scale[own] for x in (left, right))
        square = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None] - 2 * left @ right.T
        return np.exp(-np.maximum(square, 0.0) / (2 * self.width[name] ** 2)) * known


def _known(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values[np.isfinite(values).all(axis=1)]


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _median_distance(rows: np.ndarray, most: int = 500) -> float:
    rows = np.unique(rows, axis=0)[:most]
    square = (rows**2).sum(axis=1)[:, None] + (rows**2).sum(axis=1)[None] - 2 * rows @ rows.T
    apart = np.sqrt(np.maximum(square[np.triu_indices(len(rows), 1)], 0.0))
    middle = float(np.median(apart)) if len(apart) else 1.0
    return middle if middle > 0 else 1.0
