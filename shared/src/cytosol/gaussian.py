"""The Gaussian diffusion q(x_t | x0) and its algebra: pure functions, noise passed in.

Letters: `x0` clean data, `eps` unit noise, `x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps`, and the
velocity `v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x0`. `x: (b, ...)`; `alpha_bar` is a number, `()` or
`(b,)`. Coefficients are computed in float64 and handed over in x's dtype. Since noise is an argument, whether
it is correlated is the caller's business.

Ho et al. 2020 (arXiv 2006.11239) for the process, Salimans and Ho 2022 (arXiv 2202.00512, appendix D) for v.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

Level = Tensor | float


def per_batch(level: Level, x: Tensor) -> Tensor:
    """A level shaped to multiply x: a number, `()` or `(b,)` -> `(1 or b, 1, ..., 1)`, on x's device.

    Float64 where the device has it (mps has not). Raises ValueError for any other shape.
    """
    wide = torch.float32 if x.device.type == "mps" else torch.float64
    level = torch.as_tensor(level, dtype=wide, device=x.device)
    if level.ndim > 1 or level.numel() not in (1, len(x)):
        message = (
            f"expected one level, or one for each of the batch of {len(x)}, got shape {tuple(level.shape)}"
        )
        raise ValueError(message)
    return level.reshape(-1, *[1] * (x.ndim - 1))


def standard_normal(
    shape: Sequence[int],
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Unit noise of a shape such as (b, t, d), drawn where the generator lives: the CPU's gives all devices one draw.

    device: where the draw goes; None: where it was drawn.
    """
    source = generator.device if generator is not None else device
    return torch.randn(tuple(shape), generator=generator, device=source, dtype=dtype).to(
        device or source or "cpu"
    )


def randn_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Unit noise of x's shape `(b, ...)`, dtype and device."""
    return standard_normal(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def add_noise(x0: Tensor, noise: Tensor, alpha_bar: Level) -> Tensor:
    """A draw of q(x_t | x0), `(b, ...)`, given its noise (Ho et al., eq. 4)."""
    a, s = _roots(alpha_bar, x0)
    return a * x0 + s * noise


def x0_from_eps(x_t: Tensor, eps: Tensor, alpha_bar: Level) -> Tensor:
    """Clean data from noise, `(b, ...)` (Ho et al., eq. 15); divides by zero at alpha_bar = 0."""
    a, s = _roots(alpha_bar, x_t)
    return (x_t - s * eps) / a


def x0_from_v(x_t: Tensor, v: Tensor, alpha_bar: Level) -> Tensor:
    """Clean data from velocity, `(b, ...)` (Salimans and Ho, appendix D); defined at every level."""
    a, s = _roots(alpha_bar, x_t)
    return a * x_t - s * v


def eps_from_x0(x_t: Tensor, x0: Tensor, alpha_bar: Level) -> Tensor:
    """Noise from clean data, `(b, ...)` (eq. 4 solved for it); divides by zero at alpha_bar = 1."""
    a, s = _roots(alpha_bar, x_t)
    return (x_t - a * x0) / s


def eps_from_v(x_t: Tensor, v: Tensor, alpha_bar: Level) -> Tensor:
    """Noise from velocity, `(b, ...)` (Salimans and Ho, appendix D); defined at every level."""
    a, s = _roots(alpha_bar, x_t)
    return s * x_t + a * v


def v_from_x0(x_t: Tensor, x0: Tensor, alpha_bar: Level) -> Tensor:
    """Velocity from clean data, `(b, ...)`; divides by zero at alpha_bar = 1."""
    a, s = _roots(alpha_bar, x_t)
    return (a * x_t - x0) / s


def v_from_eps(x_t: Tensor, eps: Tensor, alpha_bar: Level) -> Tensor:
    """Velocity from noise, `(b, ...)`; divides by zero at alpha_bar = 0."""
    a, s = _roots(alpha_bar, x_t)
    return (eps - s * x_t) / a


def posterior(x_t: Tensor, x0: Tensor, alpha_bar: Level, alpha_bar_prev: Level) -> tuple[Tensor, Tensor]:
    """Mean and variance of q(x_{t-1} | x_t, x0), for any two levels with alpha_bar < alpha_bar_prev.

    Returns mean `(b, ...)` and variance `(1 or b, 1, ..., 1)`.
    """
    bar, bar_prev = per_batch(alpha_bar, x_t), per_batch(alpha_bar_prev, x_t)
    alpha = bar / bar_prev
    beta = 1 - alpha
    # Ho et al., eq. 7
    on_x0 = bar_prev.sqrt() * beta / (1 - bar)
    on_x_t = alpha.sqrt() * (1 - bar_prev) / (1 - bar)
    variance = (1 - bar_prev) / (1 - bar) * beta
    return on_x0.to(x_t.dtype) * x0 + on_x_t.to(x_t.dtype) * x_t, variance.to(x_t.dtype)


def _roots(alpha_bar: Level, x: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise amplitude, sqrt(alpha_bar) and sqrt(1 - alpha_bar)."""
    bar = per_batch(alpha_bar, x)
    return bar.sqrt().to(x.dtype), (1 - bar).sqrt().to(x.dtype)
