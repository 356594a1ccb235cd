"""The assembled network: context, generator and refiner, in units of sigma_data."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stedm.context import SetEncoderContext
from stedm.denoiser import Refiner
from stedm.generator import MetricSetGenerator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stedm.options import NetOptions


@contextmanager
def fresh_weights(seed: int) -> Iterator[None]:
    """Within it, layers begin with weights that depend on the seed only; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


class StructureNet(nn.Module):
    """From embeddings Z and base coordinates P to structures.

    features: of Z; dim: axes; sigma_data: standard deviation an axis of the targets [unit of the coordinates],
    measured; spread: standard deviation an axis of the generator's held-out error, in units of sigma_data (None: not
    known yet, and there is no refiner). Coordinates go in and come out in the caller's unit.
    """

    def __init__(
        self, features: int, dim: int, options: NetOptions, *, sigma_data: float, spread: float | None = None
    ) -> None:
        super().__init__()
        self.features, self.dim, self.options, self.sigma_data = features, dim, options, sigma_data
        self.context = SetEncoderContext(features, dim, options)
        self.generator = MetricSetGenerator(dim, options)
        self.refiner: Refiner | None = None
        if spread is not None:
            self.add_refiner(spread)

    def add_refiner(self, spread: float) -> None:
        """Give it a fresh refiner, preconditioned for the generator's measured error `spread` [sigma_data]."""
        self.refiner = Refiner(self.dim, self.options, spread=spread)

    @property
    def spread(self) -> float | None:
        """The error [sigma_data] that the refiner was made for; None where there is none."""
        return None if self.refiner is None else self.refiner.spread

    def look(self, z: Tensor, p: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Context (b, n, c) and generated structure (b, n, d) in units of sigma_data; p in the caller's unit."""
        p = p / self.sigma_data
        context = self.context(z, p, mask)
        return context, self.generator(context, p, mask)

    def forward(self, z: Tensor, p: Tensor, mask: Tensor) -> Tensor:
        """The generated structure in the caller's unit: (b, n, h), (b, n, d), (b, n) -> (b, n, d), centred."""
        return self.look(z, p, mask)[1] * self.sigma_data
