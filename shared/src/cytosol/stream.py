"""The order of training: which samples and which random numbers belong to which step, whatever came before.

Nothing here remembers: a run that continues at step 1000 sees what it would have seen uninterrupted.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.utils.data import Dataset


def mix_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that differs whenever a part differs, the same on every machine."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def step_generator(
    seed: int, step: int, rank: int = 0, *, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return the generator from which a module draws its noise and masks at one step of one process.

    Fresh on every call: draw all of a step's numbers from one of them. `step` is `self.global_step` in
    `training_step`, and the batch index in `validation_step`, so that validations are comparable.
    """
    return torch.Generator(device).manual_seed(mix_seed("step", seed, step, rank))


def seed_global(seed: int, device: torch.device) -> None:
    """Seed torch's generators of the CPU and of `device`; `torch.manual_seed` would visit every backend."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


class EpochBatches(Sampler[list[int]], ABC):
    """Batches of `steps`: place p of the run holds sample `order(p // n)[p % n]`; `shuffled` says how an epoch goes.

    Every batch is full, every epoch uses every sample once; a batch may span two epochs, and with n below
    `batch_size` it repeats samples. Of `batch_size` samples, a multiple of `world`, process `rank` of `world` gets its
    own stretch.
    """

    def __init__(self, n: int, batch_size: int, *, steps: range, rank: int = 0, world: int = 1) -> None:
        self.n, self.batch_size, self.steps = n, batch_size, steps
        self.rank, self.world = rank, world
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    @abstractmethod
    def shuffled(self, epoch: int) -> torch.Tensor:
        """All samples in the order of one epoch, (n,) int64: of the epoch's number alone."""

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[int]]:
        return (self.at(step) for step in self.steps)

    def at(self, step: int) -> list[int]:
        """The samples of one step, for this process."""
        share = self.batch_size // self.world
        first = step * self.batch_size + self.rank * share
        picked: list[int] = []
        while len(picked) < share:
            epoch, place = divmod(first + len(picked), self.n)
            picked += self.order(epoch)[place : place + share - len(picked)].tolist()
        return picked

    def order(self, epoch: int) -> torch.Tensor:
        """`shuffled`, (n,) int64, the last one remembered."""
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self.shuffled(epoch)
        return self._order


class ShuffledBatches(EpochBatches):
    """Batches of steps start..stop, all samples of an epoch in random order."""

    def __init__(
        self, n: int, batch_size: int, *, seed: int, start: int, stop: int, rank: int = 0, world: int = 1
    ) -> None:
        super().__init__(n, batch_size, steps=range(start, stop), rank=rank, world=world)
        self.seed = seed

    def shuffled(self, epoch: int) -> torch.Tensor:
        """A permutation (n,) of the seed and the epoch."""
        generator = torch.Generator().manual_seed(mix_seed("epoch", self.seed, epoch))
        return torch.randperm(self.n, generator=generator)


class LateLoader:
    """A loader of `length` batches that is built when it is iterated, once this process knows its rank."""

    def __init__(self, build: Callable[[], DataLoader[Any]], length: int) -> None:
        self.build, self.length = build, length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Any]:
        return iter(self.build())


def data_loader(
    data: Dataset[Any], batches: Any, *, collate: Callable[..., Any] | None, workers: int, pin: bool
) -> DataLoader[Any]:
    """Return a DataLoader over lists of sample numbers.

    A dataset with `__getitems__` is asked for a whole batch at once, and `collate` gets what it returned. workers:
    processes that read. pin: into memory from which a GPU copies faster.
    """
    own = torch.Generator().manual_seed(0)  # else it draws its workers' seed from the global generator
    return DataLoader(
        data,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin,
        generator=own,
    )
