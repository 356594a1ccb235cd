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
    """How conditions are read: less shift (d,), by scale (d,), times loadings (d, q); block (d,): its number."""

    shift: np.ndarray
    scale: np.ndarray
    loadings: np.ndarray
    block: np.ndarray


def reading_of(
    conditions: np.ndarray, blocks: Sequence[slice], tokens: Sequence[bool], sizes: np.ndarray | None = None
) -> Reading:
    """Standardise conditions (n, d), NaN where not known, and take principal components of wide blocks.

    tokens: whether a block's features are 0 or 1. sizes: (d,) what other numbers are divided by; without it, their
    standard deviation. Smaller ones make features count more in the components.
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
            given = np.where(sd > 0, sd, 1.0) if sizes is None else sizes[own]
            scale[own] = np.maximum(sd, LEAST_SD) if is_token else given
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


def mlp(inputs: int, hidden: tuple[int, ...], *, norm: bool, dropout: float) -> tuple[nn.Sequential, int]:
    """Linear, ReLU, (batch norm,) (dropout,) for each width; the module and how many features come out."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers.append(nn.Linear(inputs, width))
        layers += [nn.ReLU(), nn.BatchNorm1d(width)] if norm else [nn.ReLU()]
        layers += [nn.Dropout(dropout)] if dropout else []
        inputs = width
    return nn.Sequential(*layers), inputs


def shared(
    mean: Tensor, logvar: Tensor, noise: Tensor, genus: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Posterior and noise (n, l) whose first `count` features are one for all rows of a genus (n,), -1 for none.

    What each row says of them is multiplied, as evidence of Gaussians is (Bouchacourt et al. 2018, eq. 9). The fourth
    is the rows (n, 1) of a row's genus: the divergence of shared features is to be paid once, not by each of them.
    """
    labels = torch.where(genus < 0, genus.max() + 1 + torch.arange(len(genus), device=genus.device), genus)
    _, row = labels.unique(return_inverse=True)
    groups = int(row.max()) + 1
    precision = (-logvar[:, :count]).exp()
    total = precision.new_zeros(groups, count).index_add(0, row, precision)
    weighted = precision.new_zeros(groups, count).index_add(0, row, precision * mean[:, :count])
    places = torch.arange(len(row), device=row.device)
    first = torch.zeros_like(places[:groups]).scatter_reduce(0, row, places, "amin", include_self=False)
    together = ((weighted / total)[row], -total.log()[row], noise[first][row][:, :count])
    pairs = zip(together, (mean, logvar, noise), strict=True)
    made = [torch.cat([one, each[:, count:]], dim=1) for one, each in pairs]
    return made[0], made[1], made[2], row.bincount()[row][:, None]


class Samples(NamedTuple):
    """Draws of what a network leaves open: noise (s, l) of the latent, masks (s, width) of its hidden layers.

    A mask leaves out features as dropout does in training: each is a network that the data allow as well (Gal and
    Ghahramani 2016, section 3).
    """

    noise: Tensor
    masks: tuple[Tensor, ...]

    @classmethod
    def draw(cls, count: int, latent: int, widths: Sequence[int], rate: float, *, seed: int) -> Samples:
        """`count` draws for a latent of so many features and hidden layers of such widths; rate: share left out."""
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(count, latent, generator=generator)
        kept = [torch.rand(count, width, generator=generator) >= rate for width in widths]
        return cls(noise, tuple(one / (1 - rate) for one in kept))

    def to(self, like: Tensor) -> Samples:
        """The same, on the device and of the type of a tensor."""
        return Samples(self.noise.to(like), tuple(one.to(like) for one in self.masks))

    def row(self, at: int) -> Samples:
        """One of them, by number: (1, l) and (1, width)."""
        return Samples(self.noise[at : at + 1], tuple(one[at : at + 1] for one in self.masks))


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
        """Conditions (n, d) to (n, q + k). However far from the training conditions, what comes out is finite."""
        known = condition.isfinite()
        standard = torch.where(known, (condition - self.shift) / self.scale, 0.0).clamp(-FARTHEST, FARTHEST)
        if not self.flags:
            return standard @ self.loadings
        flags = torch.zeros(len(condition), self.blocks, device=condition.device)
        flags = flags.index_add(1, self.block, known.float()).clamp_max(1.0)
        return torch.cat([standard @ self.loadings, flags], dim=1)

    def drop(self, condition: Tensor, share: float, generator: torch.Generator) -> Tensor:
        """The conditions (n, d) with blocks forgotten (NaN): each with probability `share`, all with half of it."""
        shape = (len(condition), self.blocks)
        gone = torch.rand(shape, generator=generator).to(condition.device) < share
        gone |= (torch.rand(len(condition), 1, generator=generator) < share / 2).to(condition.device)
        return condition.masked_fill(gone[:, self.block], torch.nan)


def identity(d: int) -> Reading:
    """Conditions read as they are, all of one block."""
    return Reading(np.zeros(d), np.ones(d), np.eye(d), np.zeros(d, dtype=np.int64))
