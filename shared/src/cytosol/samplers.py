"""Samplers: plain functions `(denoise, x, levels, *, mask, generator, on_step, noise, ...) -> x`.

- `denoise(x, level) -> x0`: `x: (b, ...)`, `level: (b,)` in x's dtype. `ddpm` and `ddim` walk up alpha-bar
  levels; `dpm_solver_pp_2m`, `euler` and `heun` walk down sigma levels; `vp_as_ve` lets those three use an
  alpha-bar denoiser.
- `levels: (n + 1,)`: x stands at `levels[0]`, whichever that is, and n steps lead to `levels[-1]` (alpha_bar
  1 or sigma 0 is clean data). Level arithmetic is float64, the net's is x's dtype.
- `mask`: bool, broadcastable to x, True = to be generated. Elsewhere x stays as given, bit by bit, and
  `denoise` sees exactly that at every step; its own answer there is not used. To show it known values at the
  current noise instead, wrap it: `lambda x, sigma: net(torch.where(mask, x, known + sigma * eps), sigma)`.
- `noise(x, generator) -> like x` is where fresh noise comes from: correlated noise is the caller's function.
- `on_step(i, x, x0)` observes, after step i, the new x and the estimate that led there. It is not asked
  whether to go on: to stop, raise.

No gradients are kept. Bad levels raise ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from cytosol.gaussian import per_batch, posterior, randn_like
from cytosol.masking import broadcast_mask
from cytosol.schedules import alpha_bar_from_sigma

Denoise = Callable[[Tensor, Tensor], Tensor]
Levels = Tensor | Sequence[float]
Noise = Callable[[Tensor, torch.Generator | None], Tensor]
OnStep = Callable[[int, Tensor, Tensor], None]


@dataclass(frozen=True, kw_only=True)
class Churn:
    """Noise put back before each step, to forget earlier errors (Karras et al. 2022, algorithm 2); 0 is none.

    `s_churn` is shared out over the steps of the call: a walk that starts lower and keeps the same strength a
    step needs proportionally less. It is put back at levels from `s_tmin` to `s_tmax` [sigma], `s_noise` times as
    large as they say.
    """

    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = math.inf
    s_noise: float = 1.0


NO_CHURN = Churn()


@torch.no_grad()
def ddpm(
    denoise: Denoise,
    x: Tensor,
    levels: Levels,
    *,
    mask: Tensor | None = None,
    generator: torch.Generator | None = None,
    on_step: OnStep | None = None,
    noise: Noise = randn_like,
) -> Tensor:
    """Ancestral sampling with the posterior variance (Ho et al. 2020, algorithm 2), over alpha-bar levels."""
    walk = _Walk(denoise, mask, generator, on_step, noise)

    def step(x: Tensor, bar: float, bar_prev: float) -> tuple[Tensor, Tensor]:
        x0 = walk.x0(x, bar)
        mean, variance = posterior(x, x0, bar, bar_prev)
        return (mean + variance.sqrt() * walk.fresh(x) if bar_prev < 1 else mean), x0

    return walk(step, x, _alpha_bars(levels))


@torch.no_grad()
def ddim(
    denoise: Denoise,
    x: Tensor,
    levels: Levels,
    *,
    mask: Tensor | None = None,
    generator: torch.Generator | None = None,
    on_step: OnStep | None = None,
    noise: Noise = randn_like,
    eta: float = 0.0,
) -> Tensor:
    """Implicit sampling (Song et al. 2021, arXiv 2010.02502), over alpha-bar levels.

    `eta` 0 is deterministic, 1 is `ddpm`. Raises ValueError outside 0..1.
    """
    _check_eta(eta)
    walk = _Walk(denoise, mask, generator, on_step, noise)

    def step(x: Tensor, bar: float, bar_prev: float) -> tuple[Tensor, Tensor]:
        x0 = walk.x0(x, bar)
        # eq. 16
        sigma = eta * math.sqrt((1 - bar_prev) / (1 - bar) * (1 - bar / bar_prev))
        # eq. 12
        eps = (x - math.sqrt(bar) * x0) / math.sqrt(1 - bar)
        x_prev = math.sqrt(bar_prev) * x0 + math.sqrt(max(1 - bar_prev - sigma**2, 0)) * eps
        return (x_prev + sigma * walk.fresh(x) if sigma > 0 else x_prev), x0

    return walk(step, x, _alpha_bars(levels))


@torch.no_grad()
def dpm_solver_pp_2m(
    denoise: Denoise,
    x: Tensor,
    levels: Levels,
    *,
    mask: Tensor | None = None,
    generator: torch.Generator | None = None,
    on_step: OnStep | None = None,
    noise: Noise = randn_like,
    eta: float = 0.0,
) -> Tensor:
    """DPM-Solver++(2M): second order, one call a step (Lu et al. 2022, arXiv 2211.01095, algorithm 2).

    Over sigma levels, where lambda = -ln(sigma). `eta` 0 is the ODE, 1 the SDE. The first
    step and the one to sigma 0 are of first order, and it remembers one step: a start lower down is not the
    tail of a longer walk, though both tend to the same. Raises ValueError for eta outside 0..1.
    """
    _check_eta(eta)
    last: tuple[float, Tensor] | None = None
    walk = _Walk(denoise, mask, generator, on_step, noise)

    def step(x: Tensor, sigma: float, sigma_next: float) -> tuple[Tensor, Tensor]:
        nonlocal last
        x0 = walk.x0(x, sigma)
        h = math.log(sigma / sigma_next) if sigma_next > 0 else math.inf
        d = x0
        if last is not None and sigma_next > 0:
            h_last, x0_last = last
            # algorithm 2: D = (1 + 1 / 2r) x0 - (1 / 2r) x0_last, r = h_last / h
            d = x0 + (x0 - x0_last) * (h / (2 * h_last))
        last = (h, x0)
        # the exact solution for a constant D (proposition 4.1); exp(-h) is sigma_next / sigma
        keep = (sigma_next / sigma) ** (1 + eta)
        x_next = keep * x + (1 - keep) * d
        fresh = sigma_next * math.sqrt(1 - (sigma_next / sigma) ** (2 * eta))
        return (x_next + fresh * walk.fresh(x) if fresh > 0 else x_next), x0

    return walk(step, x, _sigmas(levels))


@torch.no_grad()
def euler(
    denoise: Denoise,
    x: Tensor,
    levels: Levels,
    *,
    mask: Tensor | None = None,
    generator: torch.Generator | None = None,
    on_step: OnStep | None = None,
    noise: Noise = randn_like,
    churn: Churn = NO_CHURN,
) -> Tensor:
    """Euler's method on the probability-flow ODE (Karras et al. 2022, eq. 1), over sigma levels."""
    sigmas = _sigmas(levels)
    walk = _Walk(denoise, mask, generator, on_step, noise)

    def step(x: Tensor, sigma: float, sigma_next: float) -> tuple[Tensor, Tensor]:
        x_hat, t = walk.churned(x, sigma, len(sigmas) - 1, churn)
        x0 = walk.x0(x_hat, t)
        return x_hat + (sigma_next - t) * (x_hat - x0) / t, x0

    return walk(step, x, sigmas)


@torch.no_grad()
def heun(
    denoise: Denoise,
    x: Tensor,
    levels: Levels,
    *,
    mask: Tensor | None = None,
    generator: torch.Generator | None = None,
    on_step: OnStep | None = None,
    noise: Noise = randn_like,
    churn: Churn = NO_CHURN,
) -> Tensor:
    """Heun's method: second order, two calls a step (Karras et al. 2022, algorithm 2), over sigma levels."""
    sigmas = _sigmas(levels)
    walk = _Walk(denoise, mask, generator, on_step, noise)

    def step(x: Tensor, t: float, t_next: float) -> tuple[Tensor, Tensor]:
        # algorithm 2, lines 4-6
        x_hat, t_hat = walk.churned(x, t, len(sigmas) - 1, churn)
        # lines 7-8
        x0 = walk.x0(x_hat, t_hat)
        d = (x_hat - x0) / t_hat
        x_next = x_hat + (t_next - t_hat) * d
        if t_next == 0:
            return x_next, x0
        # lines 10-11
        x0 = walk.x0(x_next, t_next)
        d_next = (x_next - x0) / t_next
        return x_hat + (t_next - t_hat) * (d + d_next) / 2, x0

    return walk(step, x, sigmas)


def vp_as_ve(denoise: Denoise) -> Denoise:
    """A `denoise(x, alpha_bar)` of scaled x, made the `denoise(x, sigma)` that sigma samplers call.

    `x: (b, ...)`, levels `(b,)`. Start from `x_t / sqrt(alpha_bar)` at `sigma_from_alpha_bar(alpha_bar)`; at sigma 0
    both x are the same.
    """

    def unscaled(x: Tensor, sigma: Tensor) -> Tensor:
        bar = alpha_bar_from_sigma(sigma)
        return denoise(per_batch(bar.sqrt(), x).to(x.dtype) * x, bar)

    return unscaled


@dataclass(frozen=True)
class _Walk:
    """What the samplers share: the net's estimate, fresh noise, what is held, and the loop over levels."""

    denoise: Denoise
    mask: Tensor | None
    generator: torch.Generator | None
    on_step: OnStep | None
    noise: Noise

    def __call__(
        self, step: Callable[[Tensor, float, float], tuple[Tensor, Tensor]], x: Tensor, levels: list[float]
    ) -> Tensor:
        """One step after another; `step(x, level, next level) -> (x, x0)`."""
        for i, (level, level_next) in enumerate(pairwise(levels)):
            moved, x0 = step(x, level, level_next)
            x = self.held(moved, x)
            if self.on_step is not None:
                self.on_step(i, x, x0)
        return x

    def x0(self, x: Tensor, level: float) -> Tensor:
        """The denoiser's estimate where it counts, x elsewhere; a shape that would broadcast is refused."""
        x0 = self.denoise(x, torch.full((len(x),), level, dtype=x.dtype, device=x.device))
        if x0.shape != x.shape:
            message = f"expected denoise to give x's shape {tuple(x.shape)}, got {tuple(x0.shape)}"
            raise ValueError(message)
        return self.held(x0.to(x.dtype), x)

    def fresh(self, x: Tensor) -> Tensor:
        """Noise like x."""
        return self.noise(x, self.generator)

    def held(self, moved: Tensor, x: Tensor) -> Tensor:
        """`moved` where it is to be generated, x elsewhere."""
        return moved if self.mask is None else torch.where(broadcast_mask(self.mask, x), moved, x)

    def churned(self, x: Tensor, t: float, n: int, churn: Churn) -> tuple[Tensor, float]:
        """Lift x by fresh noise, and say to which level (Karras et al. 2022, algorithm 2, lines 4-6)."""
        gamma = min(churn.s_churn / n, math.sqrt(2) - 1) if churn.s_tmin <= t <= churn.s_tmax else 0.0
        if gamma == 0:
            return x, t
        t_hat = t + gamma * t
        return self.held(x + math.sqrt(t_hat**2 - t**2) * churn.s_noise * self.fresh(x), x), t_hat


def _floats(levels: Levels) -> list[float]:
    values = [float(v) for v in torch.as_tensor(levels, dtype=torch.float64, device="cpu")]
    if len(values) < 2:
        message = f"expected at least two levels (where x stands, and where to go), got {len(values)}"
        raise ValueError(message)
    return values


def _alpha_bars(levels: Levels) -> list[float]:
    bars = _floats(levels)
    if bars[0] < 0 or bars[-1] > 1 or any(not a < b for a, b in pairwise(bars)):
        message = f"expected alpha-bar levels that rise within 0..1, got {_short(bars)}"
        raise ValueError(message)
    return bars


def _sigmas(levels: Levels) -> list[float]:
    sigmas = _floats(levels)
    if sigmas[0] == math.inf or sigmas[-1] < 0 or any(not a > b for a, b in pairwise(sigmas)):
        message = f"expected finite sigma levels that fall towards 0, got {_short(sigmas)}"
        raise ValueError(message)
    return sigmas


def _short(values: list[float]) -> str:
    shown = [f"{value:.4g}" for value in values]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:3], "...", *shown[-2:]])


def _check_eta(eta: float) -> None:
    if not 0 <= eta <= 1:
        message = f"expected eta from 0 (deterministic) to 1 (as much noise as the diffusion), got {eta}"
        raise ValueError(message)
