"""The denoiser of structures, and its preconditioning around the generator's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cytosol.edm import EDMScaling, Preconditioned
from cytosol.features import sinusoidal
from stedm.attention import Nearest, Stack, quiet_head
from stedm.geometry import centre, knn, zero_padding

if TYPE_CHECKING:
    from stedm.options import NetOptions

LEVEL = 32  # features of a noise level
SOFT = 0.05  # radius, in units of sigma_data, below which a direction fades out


def angle_features(v: Tensor, other: Tensor, mask: Tensor) -> Tensor:
    """Where a point lies seen from the centre, and how that differs in another structure: (b, n, d) -> (b, n, d + 3).

    Direction (d cosines), log radius, cosine between the two directions, difference of the log radii. Finite at the
    centre, where directions fade out. The middle two do not change when both structures are turned.
    """
    v, other = centre(v, mask), centre(other, mask)
    radius, radius_other = (((x.square().sum(-1, keepdim=True)) + SOFT**2).sqrt() for x in (v, other))
    way, way_other = v / radius, other / radius_other
    cosine = (way * way_other).sum(-1, keepdim=True)
    parts = [way, radius.log(), cosine, radius.log() - radius_other.log()]
    return zero_padding(torch.cat(parts, -1), mask)


class DiffusionScoreNet(nn.Module):
    """The net F inside the preconditioning: 4 ISABs with FiLM by noise level (the specification's).

    x: (b, n, d) scaled by c_in; c_noise: (b,); context: (b, n, c); start, guess, noisy: (b, n, d) the generator's
    structure, the last own estimate (or the start again) and the noisy structure, in units of sigma_data -> (b, n, d).
    """

    def __init__(self, dim: int, options: NetOptions) -> None:
        super().__init__()
        width = options.width
        self.enter = nn.Linear(options.context_width + 5 * dim + 3, width)
        self.neighbours = options.neighbours
        self.nearest = Nearest(width, options.heads) if options.neighbours else None
        self.level = nn.Sequential(nn.Linear(LEVEL, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = Stack(
            options.score_blocks,
            width,
            options.heads,
            options.inducing,
            d_cond=width,
            recompute=options.checkpoint,
        )
        self.head = quiet_head(width, dim)

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        *,
        context: Tensor,
        start: Tensor,
        guess: Tensor,
        noisy: Tensor,
        mask: Tensor,
    ) -> Tensor:
        """F, zero in padding."""
        small = noisy / (1 + torch.exp(4 * c_noise).to(x.dtype))[:, None, None]
        features = torch.cat([context, x, start, guess - start, small], -1)
        features = zero_padding(torch.cat([features, angle_features(noisy, start, mask)], -1), mask)
        cond = self.level(sinusoidal(c_noise * 100.0, LEVEL).to(x.dtype))
        h = self.enter(features)
        if self.nearest is not None:  # errors of a structure are alike among neighbours
            h = self.nearest(h, mask, knn(start, mask, self.neighbours))
        return zero_padding(self.head(self.blocks(h, mask, cond)), mask)


class Refiner(nn.Module):
    """D(V_t; sigma), the estimate of a clean structure: EDM around the generator's structure, or around zero.

    Everything is in units of sigma_data, the coordinates' standard deviation an axis: noise levels too. With
    `around = "generator"` what is preconditioned is V - V_gen, whose standard deviation `spread` (of held-out errors)
    takes sigma_data's place; then a net that says nothing is the best linear mix of V_gen and V_t, not a shrunk V_t.
    """

    def __init__(self, dim: int, options: NetOptions, *, spread: float) -> None:
        super().__init__()
        self.around = options.around
        self.spread = spread
        self.core = Preconditioned(
            DiffusionScoreNet(dim, options), EDMScaling(spread if options.around == "generator" else 1.0)
        )

    def forward(
        self,
        v: Tensor,
        sigma: Tensor,
        *,
        context: Tensor,
        start: Tensor,
        mask: Tensor,
        guess: Tensor | None = None,
    ) -> Tensor:
        """The estimate: v (b, n, d), sigma (b,) -> (b, n, d), centred. start: the generator's, in v's frame."""
        v, start = centre(v, mask), centre(start, mask)
        guess = start if guess is None else centre(guess, mask)
        middle = start if self.around == "generator" else torch.zeros_like(start)
        estimate = middle + self.core(
            v - middle, sigma, context=context, start=start, guess=guess, noisy=v, mask=mask
        )
        return centre(estimate, mask)

    def silent(self, v: Tensor, sigma: Tensor, *, start: Tensor, mask: Tensor) -> Tensor:
        """What it would say with F = 0, which a net must be better than: as `forward`, (b, n, d) centred."""
        v, start = centre(v, mask), centre(start, mask)
        middle = start if self.around == "generator" else torch.zeros_like(start)
        keep = self.core.scaling.c_skip(sigma)[:, None, None].to(v.dtype)
        return middle + keep * (v - middle)


def skip_only(v: Tensor, sigma: Tensor, mask: Tensor) -> Tensor:
    """The specification's skip-only estimate, c_skip V_t with sigma_data = 1: the collapse that was reported.

    v: (b, n, d), sigma: (b,) in units of sigma_data -> (b, n, d), centred.
    """
    return EDMScaling(1.0).c_skip(sigma)[:, None, None].to(v.dtype) * centre(v, mask)
