"""Sets of cells: spatial neighbourhoods to learn from, and overlapping pieces of any section to infer with.

Letters: n cells of a section, h features of an embedding, d axes, b sets, s cells a set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from stedm.geometry import align, mean_square

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stedm.options import PatchOptions

HELD_SETS = 16  # sets of held-out sections that a validation looks at
BATCH = 16  # sets looked at together where nothing is learned


@dataclass(frozen=True)
class Cells:
    """A section's cells: z (n, h) embedding, p (n, d) base coordinates (zeros where there are none), v (n, d) truth.

    Coordinates in one unit for all sections. v is zeros where the truth is not known. Raises ValueError where the
    three do not fit together, or are not finite.
    """

    z: Tensor
    p: Tensor
    v: Tensor

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if self.z.ndim != 2 or self.p.shape != self.v.shape or len(self.z) != len(self.p) or not len(self.z):
            shapes = [tuple(x.shape) for x in (self.z, self.p, self.v)]
            msg = f"expected z (n, h), p and v (n, d) with n of at least 1, got {shapes}"
            raise ValueError(msg)
        for name in ("z", "p", "v"):
            if not bool(getattr(self, name).isfinite().all()):
                msg = f"expected finite values in {name}, which is NaN or infinite somewhere"
                raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.z)


Item = tuple[Cells, np.ndarray]


class PatchDataset(Dataset[Item]):
    """`count` sets of cells of some sections; what an item holds depends on the seed and its number only.

    A set is the neighbourhood of a random cell, in true coordinates, and a share of cells from anywhere in the
    section; larger sections come up more often. A section smaller than a set is taken whole. Raises ValueError for no
    section or no set.
    """

    def __init__(self, sections: Sequence[Cells], options: PatchOptions, *, count: int, seed: int) -> None:
        if not sections or count < 1:
            msg = f"expected at least one section and one set, got {len(sections)} and {count}"
            raise ValueError(msg)
        self.sections, self.options, self.count, self.seed = list(sections), options, count, seed
        sizes = np.array([len(s) for s in sections], dtype=float)
        self.share = sizes / sizes.sum()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Item:
        """The section, and the rows of the set's cells, (s,)."""
        random = np.random.default_rng([self.seed, index])
        cells = self.sections[int(random.choice(len(self.sections), p=self.share))]
        size = int(random.integers(self.options.least, self.options.most + 1))
        return cells, neighbourhood(cells.v, size, self.options.random, random)


def neighbourhood(v: Tensor, size: int, share: float, random: np.random.Generator) -> np.ndarray:
    """Rows (s,) of a set: a random cell's nearest in v (n, d), and `share` of it from all the others; shuffled."""
    n = len(v)
    if n <= size:
        return random.permutation(n)
    anywhere = max(1, round(share * size))
    distance = (v - v[int(random.integers(n))]).square().sum(1).numpy()
    order = np.argpartition(distance, size - anywhere)
    return random.permutation(
        np.concatenate(
            [order[: size - anywhere], random.choice(order[size - anywhere :], anywhere, replace=False)]
        )
    )


def collate(items: Sequence[Item]) -> dict[str, Tensor]:
    """Sets of cells padded to one length: z (b, s, h), p and v (b, s, d), mask (b, s) bool."""
    longest = max(len(rows) for _, rows in items)
    made = {name: [] for name in ("z", "p", "v", "mask")}
    for cells, rows in items:
        pick, spare = torch.as_tensor(rows), longest - len(rows)
        for name in ("z", "p", "v"):
            made[name].append(torch.nn.functional.pad(getattr(cells, name)[pick].float(), (0, 0, 0, spare)))
        made["mask"].append(torch.arange(longest) < len(rows))
    return {name: torch.stack(parts) for name, parts in made.items()}


def cut(key: Tensor, size: int, generator: torch.Generator) -> list[Tensor]:
    """A section cut into pieces of at most `size` cells near one another in `key: (n, q)`: rows of each piece.

    Halved again and again across a random direction, longer axes more likely: O(n log n), no distance matrix. Raises
    ValueError for a size below 1.
    """
    if size < 1:
        msg = f"expected pieces of at least 1 cell, got {size}"
        raise ValueError(msg)
    pieces, waiting = [], [torch.arange(len(key))]
    while waiting:
        rows = waiting.pop()
        if len(rows) <= size:
            pieces.append(rows)
            continue
        here = key[rows].double()
        here = here - here.mean(0)
        random = torch.randn(len(rows), generator=generator, dtype=torch.float64)
        way = here.T @ random  # a draw from N(0, covariance): along the longer axes
        way = here.T @ (here @ way)  # once more, for a clearer preference
        order = rows[(here @ way).argsort()]
        half = len(order) // 2
        waiting += [order[:half], order[half:]]
    return pieces


@dataclass(frozen=True)
class Pieces:
    """A section cut up: rows (s,) of each set, each with the shared anchors (a,) first, its own cells behind."""

    anchors: Tensor
    rows: list[Tensor]


def pieces(key: Tensor, options: PatchOptions, generator: torch.Generator) -> Pieces:
    """Overlapping sets of a section by `key: (n, q)` (embedding, or base coordinates); one set where it is small."""
    n = len(key)
    if n <= options.most:
        return Pieces(torch.arange(n), [torch.arange(n)])
    count = min(max(2, round(options.random * options.most)), options.most - 1)
    anchors = torch.randperm(n, generator=generator)[:count]
    rest = torch.ones(n, dtype=torch.bool)
    rest[anchors] = False
    others = rest.nonzero()[:, 0]
    own = cut(key[others], options.most - count, generator)
    return Pieces(anchors, [torch.cat([anchors, others[rows]]) for rows in own])


def stitch(
    n: int, rows: Sequence[Tensor], structures: Sequence[Tensor], reference: Tensor, known: Tensor
) -> tuple[Tensor, Tensor]:
    """One section from its sets' structures, each moved rigidly onto the reference at the cells known there.

    rows: cells of each set; structures: (s, d) each; reference: (n, d), meaningful where `known: (n,)` bool. Returns
    the mean over sets (n, d) and how many sets a cell was in (n,). Linear in the number of sets.
    """
    d = reference.shape[1]
    total, count = torch.zeros(n, d, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    for which, v in zip(rows, structures, strict=True):
        motion = align(v[None], reference[which][None].to(v), known[which][None])
        total.index_add_(0, which, motion(v[None])[0].double())
        count.index_add_(0, which, torch.ones(len(which), dtype=torch.float64))
    return (total / count.clamp_min(1)[:, None]).to(reference.dtype), count


def measured_sigma(data: PatchDataset, *, sets: int = 64) -> float:
    """sigma_data: standard deviation an axis of the centred targets of some sets [unit of the coordinates].

    Raises ValueError where all cells sit in one place.
    """
    squares = []
    for index in range(min(sets, len(data))):
        cells, rows = data[index]
        v = cells.v[torch.as_tensor(rows)][None].double()
        squares.append(float(mean_square(v, torch.ones(v.shape[:2], dtype=torch.bool))) / v.shape[-1])
    sigma = float(np.mean(squares)) ** 0.5
    if not sigma > 0:
        msg = "expected cells at different places, but all coordinates are the same: check obsm['spatial']"
        raise ValueError(msg)
    return sigma


def batches(data: PatchDataset, count: int = HELD_SETS) -> list[dict[str, Tensor]]:
    """The first `count` sets of a dataset, in batches of b: z (b, s, h), p and v (b, s, d), mask (b, s)."""
    items = [data[i] for i in range(min(count, len(data)))]
    return [collate(items[first : first + BATCH]) for first in range(0, len(items), BATCH)]
