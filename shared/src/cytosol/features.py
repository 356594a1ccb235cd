"""What a net is told of a number (a time, a noise level), and how that bends its hidden state."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def sinusoidal(t: Tensor, d: int, *, max_period: float = 10_000.0) -> Tensor:
    """Sines and cosines of t at d / 2 geometric periods from 2 pi to 2 pi max_period: `(...) -> (..., d)`.

    Vaswani et al. 2017, section 3.5, with the sines first. t is in the units in which a difference of 1
    should be seen; whole numbers are taken as torch's default float. Raises ValueError unless d is even and > 0.
    """
    half = _half(d)
    t = (
        t if t.is_floating_point() else t.to(torch.get_default_dtype())
    )  # else every slower frequency would be 0
    k = torch.arange(half, dtype=torch.float64)
    # section 3.5: max_period^(-2k / d)
    frequency = torch.exp(-math.log(max_period) * k / half).to(t.device, t.dtype)
    angle = t[..., None] * frequency
    return torch.cat([angle.sin(), angle.cos()], -1)


class Fourier(nn.Module):
    """Random Fourier features of a number: `(...) -> (..., d)`, unit mean square (Tancik et al. 2020).

    Frequencies are drawn once from N(0, scale^2) with their own seed and saved with the model, not trained.
    Raises ValueError unless d is even and > 0.
    """

    frequency: Tensor

    def __init__(self, d: int, *, scale: float = 1.0, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("frequency", torch.randn(_half(d), generator=generator) * scale)

    def forward(self, t: Tensor) -> Tensor:
        """Cosines and sines of 2 pi f t, times sqrt(2): `(...) -> (..., d)`."""
        angle = 2 * math.pi * t[..., None] * self.frequency
        return math.sqrt(2) * torch.cat([angle.cos(), angle.sin()], -1)


class FiLM(nn.Module):
    """A condition that scales and shifts features: h (1 + scale) + shift (Perez et al. 2018, eq. 2).

    `h: (b, ..., d)` channels last, `cond: (b, d_cond)`, or with more of h's axes, as `(b, t, d_cond)`. The
    identity at the start: its one layer is zero, and learns from the first step on.
    """

    def __init__(self, d_cond: int, d: int) -> None:
        super().__init__()
        self.to_scale_shift = nn.Linear(d_cond, 2 * d)
        nn.init.zeros_(self.to_scale_shift.weight)
        nn.init.zeros_(self.to_scale_shift.bias)

    def forward(self, h: Tensor, cond: Tensor) -> Tensor:
        """The bent features, `(b, ..., d)` as h."""
        bend = self.to_scale_shift(cond)
        bend = bend.reshape(*bend.shape[:-1], *[1] * (h.ndim - bend.ndim), bend.shape[-1])
        scale, shift = bend.chunk(2, -1)
        return h * (1 + scale) + shift


def _half(d: int) -> int:
    if d < 2 or d % 2:
        message = f"expected an even number of features >= 2, got {d}"
        raise ValueError(message)
    return d // 2
