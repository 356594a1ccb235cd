"""EDM preconditioning: a denoiser around any net (Karras et al. 2022, arXiv 2206.00364, table 1).

`x = x0 + sigma eps`; `D(x; sigma)` estimates x0. The net F sees unit-variance input and learns a
unit-variance target, whatever the level. A training step, in F-space, where the weight lambda(sigma) cancels
c_out^2:

    x = x0 + per_batch(sigma, x0).to(x0.dtype) * noise
    loss = masked_mse(denoiser.raw(x, sigma, **inputs), denoiser.loss_target(x0, x, sigma), mask)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cytosol.gaussian import Level, per_batch


@dataclass(frozen=True)
class EDMScaling:
    """The four c's and the loss weight, for data of standard deviation `sigma_data`, in the unit of the data.

    Each takes `sigma: (b,)`, or of any other shape, in the same unit, and keeps its shape. Raises ValueError unless
    sigma_data is finite and > 0.
    """

    sigma_data: float

    def __post_init__(self) -> None:
        if not 0 < self.sigma_data < math.inf:
            message = f"expected a finite sigma_data > 0, got {self.sigma_data}: is the data constant?"
            raise ValueError(message)

    # table 1: sigma_data^2 / (sigma^2 + sigma_data^2)
    def c_skip(self, sigma: Tensor) -> Tensor:
        """How much of the noisy input passes: 1 at sigma = 0, towards 0 at infinity."""
        return (self.sigma_data / self._total(sigma)).square()

    # table 1: sigma sigma_data / sqrt(sigma^2 + sigma_data^2)
    def c_out(self, sigma: Tensor) -> Tensor:
        """How much of the net's output is added: 0 at sigma = 0, towards sigma_data at infinity."""
        return sigma / self._total(sigma) * self.sigma_data

    # table 1: 1 / sqrt(sigma^2 + sigma_data^2)
    def c_in(self, sigma: Tensor) -> Tensor:
        """What brings the noisy input to unit variance."""
        return 1 / self._total(sigma)

    # table 1: ln(sigma) / 4
    def c_noise(self, sigma: Tensor) -> Tensor:
        """What the net is told of the level; finite at sigma = 0 too, so that D(x; 0) = x and not NaN."""
        return sigma.clamp_min(torch.finfo(sigma.dtype).tiny).log() / 4

    # table 1: (sigma^2 + sigma_data^2) / (sigma sigma_data)^2
    def weight(self, sigma: Tensor) -> Tensor:
        """The weight lambda of a squared error in x0-space, 1 / c_out^2."""
        return self.c_out(sigma).square().reciprocal()

    def _total(self, sigma: Tensor) -> Tensor:
        """Standard deviation of the noisy data; hypot, since sigma^2 overflows before sigma does."""
        return torch.hypot(sigma, torch.full_like(sigma, self.sigma_data))


class Preconditioned(nn.Module):
    """A denoiser from a net F: D(x; sigma) = c_skip x + c_out F(c_in x; c_noise) (Karras et al. 2022, eq. 7).

    `net(x, c_noise, **inputs)` takes `x: (b, ...)`, `c_noise: (b,)` and gives the shape of x. `sigma` is a
    number, `()` or `(b,)`, and x has any number of axes.
    """

    def __init__(self, net: nn.Module, scaling: EDMScaling) -> None:
        super().__init__()
        self.net = net
        self.scaling = scaling

    def forward(self, x: Tensor, sigma: Level, **inputs: Any) -> Tensor:
        """The estimate of x0: `(b, ...)`, in x's dtype. inputs: what the net reads besides."""
        level = per_batch(sigma, x)
        # eq. 7
        c_skip = self.scaling.c_skip(level).to(x.dtype)
        c_out = self.scaling.c_out(level).to(x.dtype)
        return c_skip * x + c_out * self.raw(x, sigma, **inputs)

    def raw(self, x: Tensor, sigma: Level, **inputs: Any) -> Tensor:
        """The net's own output F, scaled as it learns it: `(b, ...)`, in x's dtype under autocast too."""
        level = per_batch(sigma, x)
        c_in = self.scaling.c_in(level).to(x.dtype)
        c_noise = self.scaling.c_noise(level).to(x.dtype).flatten().expand(len(x))
        return self.net(c_in * x, c_noise, **inputs).to(x.dtype)

    def loss_target(self, x0: Tensor, x_noisy: Tensor, sigma: Level) -> Tensor:
        """What F should have said, `(b, ...)`: (x0 - c_skip x) / c_out (Karras et al. 2022, eq. 8); needs sigma > 0."""
        level = per_batch(sigma, x0)
        c_skip = self.scaling.c_skip(level).to(x0.dtype)
        c_out = self.scaling.c_out(level).to(x0.dtype)
        return (x0 - c_skip * x_noisy) / c_out
