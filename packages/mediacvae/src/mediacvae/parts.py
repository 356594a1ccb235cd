"""Modules the autoencoder is made of. Letters: n rows, d condition features, q features after reading, k blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDE = 64  # features of a block above which its principal components are read instead
COMPONENTS = 32
FARTHEST = 1e4  # standard deviations
LEAST_SD = 0.15  # of a 0/1 feature: a word that one organism in a hundred has must not shout


class Reading(NamedTuple):
    """How conditions are read: shift, scale (d,), loadings (d, q), block of each feature (d,)."""

    shift: np.ndarray
    scale: np.ndarray
    loadings: np.ndarray
    block: np.ndarray


def reading_of(conditions: np.ndarray, blocks: Sequence[slice], tokens: Sequence[bool]) -> Reading:
    """Standardise conditions (n, d), NaN where not known, and take principal components of wide blocks.

    tokens: whether a block's features are 0 or 1.
    """
    d = conditions.shape[1]
    shift, scale, block = np.zeros(d), np.ones(d), np.zeros(d, dtype=np.int64)
    made = []
    for at, (own, is_token) in enumerate(zip(blocks, tokens, strict=True)):
        values = np.asarray(conditions[:, own], dtype=np.float64)
        values = values[np.isfinite(values).all(axis=1)]
        block[own] = at
        if len(values):
            shift[own] = values.mean(axis=0)
            sd = values.std(axis=0)
            scale[own] = np.maximum(sd, LEAST_SD) if is_token else np.where(sd > 0, sd, 1.0)
        width = own.stop - own.start
        if width <= WIDE or len(values) < 2:
            part = np.eye(width)[:, : max(COMPONENTS, WIDE)]
        else:
            standard = (values - shift[own]) / scale[own]
            _, size, axes = np.linalg.svd(standard, full_matrices=False)
            keep = min(COMPONENTS, len(size))
            spread = np.sqrt((size[:keep] ** 2).mean() / len(values))  # of the kept components together
            part = axes[:keep].T / max(spread, 1e-9)
        rows = np.zeros((d, part.shape[1]))
        rows[own] = part
        made.append(rows)
    return Reading(shift, scale, np.concatenate(made, axis=1), block)


class ConditionReader(nn.Module):
    """Conditions (n, d) with NaN to features (n, q + k): what is known, and of which blocks anything is known.

    flags: say of which; without them (n, q).
    """

    shift: Tensor
    scale: Tensor
    loadings: Tensor
    block: Tensor

    def __init__(self, reading: Reading, *, flags: bool = True) -> None:
        super().__init__()
        self.flags = flags
        self.register_buffer("shift", torch.as_tensor(reading.shift, dtype=torch.float32))
        self.register_buffer("scale", torch.as_tensor(reading.scale, dtype=torch.float32))
        self.register_buffer("loadings", torch.as_tensor(reading.loadings, dtype=torch.float32))
        self.register_buffer("block", torch.as_tensor(reading.block))
        self.blocks = int(reading.block.max()) + 1

    @property
    def width(self) -> int:
        """Features that come out."""
        return self.loadings.shape[1] + self.flags * self.blocks

    def forward(self, condition: Tensor) -> Tensor:
        """(n, d) to (n, q + k). However far from the training conditions, what comes out is finite."""
        known = condition.isfinite()
        standard = torch.where(known, (condition - self.shift) / self.scale, 0.0).clamp(-FARTHEST, FARTHEST)
        if not self.flags:
            return standard @ self.loadings
        flags = torch.zeros(len(condition), self.blocks, device=condition.device)
        flags = flags.index_add(1, self.block, known.float()).clamp_max(1.0)
        return torch.cat([standard @ self.loadings, flags], dim=1)

    def drop(self, condition: Tensor, share: float, generator: torch.Generator) -> Tensor:
        """The conditions (n, d) with blocks forgotten: each with probability `share`, all with half of it."""
        shape = (len(condition), self.blocks)
        gone = torch.rand(shape, generator=generator).to(condition.device) < share
        gone |= (torch.rand(len(condition), 1, generator=generator) < share / 2).to(condition.device)
        return condition.masked_fill(gone[:, self.block], torch.nan)


def identity(d: int) -> Reading:
    """Conditions read as they are, all of one block."""
    return Reading(np.zeros(d), np.ones(d), np.eye(d), np.zeros(d, dtype=np.int64))
