"""Noise levels: alpha-bar tables (variance preserving), sigmas (variance exploding), the way between.

`alpha_bar` is the share of the variance that is still data, from 1 (clean) to 0; `sigma` is the noise's
standard deviation beside unscaled data. Both name the same point: `x_t / sqrt(alpha_bar) = x0 + sigma eps`.
Tables are float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

import torch

from cytosol.gaussian import standard_normal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

Schedule = Literal["linear", "cosine", "quadratic", "sigmoid"]


def alpha_bar(name: Schedule, steps: int, *, betas: tuple[float, float] | None = None) -> Tensor:
    """The table alpha_bar_1 .. alpha_bar_T of a schedule: `(steps,)` float64, falling.

    `betas` are the first and last variance of a step, (1e-4, 0.02) if not given: right for 1,000 steps, while
    fewer need a larger last one to end in noise. `linear`: Ho et al. 2020; `quadratic`: linear in sqrt(beta)
    ("scaled linear"); `sigmoid`: GeoDiff, Xu et al. 2022; `cosine`: Nichol and Dhariwal 2021, eq. 17, which
    has no betas. Raises ValueError for an unknown name, steps < 1, betas outside 0 < first <= last < 1, or
    betas with `cosine`.
    """
    if name not in get_args(Schedule):
        message = f"unknown schedule {name!r}: expected one of {', '.join(get_args(Schedule))}"
        raise ValueError(message)
    if steps < 1:
        message = f"expected steps >= 1, got {steps}"
        raise ValueError(message)
    beta = _cosine_betas(steps, betas) if name == "cosine" else _ranged_betas(name, steps, betas)
    return (1 - beta).cumprod(0)


def spaced(table: Tensor, n: int) -> Tensor:
    """The levels that n sampling steps visit: n of a table, its noisiest first, then 1 (clean).

    `table: (steps,)` falling -> `(n + 1,)` rising, float64; evenly spaced to the clean end, the "trailing" of
    Lin et al. 2024, table 2. Raises ValueError unless 1 <= n <= steps.
    """
    if not 1 <= n <= len(table):
        message = f"expected from 1 to {len(table)} sampling steps, got {n}"
        raise ValueError(message)
    visited = torch.linspace(len(table), 0, n + 1, dtype=torch.float64).round().long()[:-1] - 1
    return torch.cat([table.double()[visited], torch.ones(1, dtype=torch.float64)])


def snr(alpha_bar: Tensor) -> Tensor:
    """Signal-to-noise ratio alpha_bar / (1 - alpha_bar): `(steps,)` or any other shape, kept; inf at 1."""
    return alpha_bar / (1 - alpha_bar)


def alpha_bar_from_snr(snr: Tensor) -> Tensor:
    """The inverse of `snr`: `(steps,)` or any other shape, kept; finite for every finite ratio."""
    return snr / (1 + snr)


def sigma_from_alpha_bar(alpha_bar: Tensor) -> Tensor:
    """VP level to VE level, sqrt((1 - alpha_bar) / alpha_bar): `(steps,)` or any other shape, kept; inf at 0."""
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def alpha_bar_from_sigma(sigma: Tensor) -> Tensor:
    """VE level to VP level, 1 / (1 + sigma^2): `(steps,)` or any other shape, kept; 0 at inf."""
    return 1 / (1 + sigma.square())


def karras_sigmas(n: int, *, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """The n sampling levels sigma_max .. sigma_min, then 0: `(n + 1,)` float64 (Karras et al. 2022, eq. 5).

    Raises ValueError unless n >= 1, rho > 0 and 0 < sigma_min < sigma_max, all finite.
    """
    if n < 1:
        message = f"expected at least one step, got n = {n}"
        raise ValueError(message)
    if not 0 < sigma_min < sigma_max < math.inf or not 0 < rho < math.inf:
        message = (
            f"expected finite 0 < sigma_min < sigma_max and rho > 0, got {sigma_min}, {sigma_max} and {rho}"
        )
        raise ValueError(message)
    u = torch.linspace(0, 1, n, dtype=torch.float64)
    top, bottom = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    # eq. 5
    sigma = (top + u * (bottom - top)) ** rho
    return torch.cat([sigma, sigma.new_zeros(1)])


def lognormal_sigmas(
    shape: Sequence[int],
    *,
    p_mean: float,
    p_std: float,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Levels to train with, ln(sigma) ~ N(p_mean, p_std^2): `shape` float32 (Karras et al. 2022, table 1).

    The paper's images use -1.2 and 1.2 at sigma_data = 0.5. Raises ValueError for p_std < 0 and what is not finite.
    """
    if not (0 <= p_std < math.inf and math.isfinite(p_mean)):
        message = f"expected finite p_mean and p_std >= 0, got {p_mean} and {p_std}"
        raise ValueError(message)
    return (p_mean + p_std * standard_normal(shape, generator=generator, device=device)).exp()


def _cosine_betas(steps: int, betas: tuple[float, float] | None) -> Tensor:
    if betas is not None:
        message = f"the cosine schedule has no betas to choose, got {betas}: leave them out"
        raise ValueError(message)
    t = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    # eq. 17; a step's variance is capped at 0.999, because the last one would remove everything
    f = torch.cos((t + 0.008) / 1.008 * math.pi / 2).square()
    return (1 - f[1:] / f[:-1]).clamp(max=0.999)


def _ranged_betas(name: Schedule, steps: int, betas: tuple[float, float] | None) -> Tensor:
    first, last = betas or (1e-4, 0.02)
    if not 0 < first <= last < 1:
        message = f"expected betas with 0 < first <= last < 1, got {first} and {last}"
        raise ValueError(message)
    if name == "quadratic":
        return torch.linspace(first**0.5, last**0.5, steps, dtype=torch.float64).square()
    if name == "sigmoid":
        return torch.linspace(-6, 6, steps, dtype=torch.float64).sigmoid() * (last - first) + first
    return torch.linspace(first, last, steps, dtype=torch.float64)
