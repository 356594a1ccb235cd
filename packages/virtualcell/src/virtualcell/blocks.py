"""The order in which shuffled cells are read from disk: whole blocks in random order, mixed within windows.

A batch is a function of (seed, step) alone: it does not depend on the number of workers, and a run that is taken up
again at step s sees what it would have seen. Several windows (lanes) are open at once and batches go around them, so
that of `lanes` workers each reads blocks of its own.
"""

from __future__ import annotations

import numpy as np
import torch

from cytosol.stream import EpochBatches, mix_seed
from virtualcell.faults import refuse
from virtualcell.sources import BLOCK


class ShuffledBlocks(EpochBatches):
    """Batches of steps start..stop over n cells; every epoch uses every cell once, every batch is full.

    window: blocks of 128 cells that are mixed with each other. Of `batch_size` cells, process `rank` of `world` gets
    its own stretch. Raises DataError for numbers below 1.
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        *,
        seed: int,
        start: int = 0,
        stop: int | None = None,
        window: int = 32,
        lanes: int = 2,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        for name, value in {"n": n, "batch_size": batch_size, "window": window, "lanes": lanes}.items():
            if value < 1:
                refuse(f"{name}: expected a whole number >= 1, got {value!r}")
        steps = range(start, -(-n // batch_size) if stop is None else stop)
        super().__init__(n, batch_size, steps=steps, rank=rank, world=world)
        self.seed, self.window, self.lanes = seed, window, lanes

    def shuffled(self, epoch: int) -> torch.Tensor:
        """All rows in the order of one epoch, (n,) int64."""
        generator = np.random.default_rng(mix_seed("blocks", self.seed, epoch))
        numbers = generator.permutation((self.n + BLOCK - 1) // BLOCK)
        mixed = []
        for at in range(0, len(numbers), self.window):
            rows = (numbers[at : at + self.window, None] * BLOCK + np.arange(BLOCK)).ravel()
            mixed.append(generator.permutation(rows[rows < self.n]))
        lanes = [np.concatenate(mixed[lane :: self.lanes]) for lane in range(min(self.lanes, len(mixed)))]
        shortest = min(map(len, lanes)) // self.batch_size * self.batch_size
        even = np.stack([lane[:shortest].reshape(-1, self.batch_size) for lane in lanes], axis=1).ravel()
        return torch.from_numpy(np.concatenate([even, *(lane[shortest:] for lane in lanes)]))
