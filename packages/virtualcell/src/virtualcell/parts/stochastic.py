"""Noise: of each gene by itself (intrinsic), and of the cell that all its genes share (extrinsic).

Elowitz et al. 2002 split expression noise so. How much of each a gene has depends on the cell's own state, so cells
differ in how variable they are; expression behind a logarithm is lowered by half its variance, noise or no noise drawn.
Letters: b cells, n tokens, d width, r sources (half of each kind).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from virtualcell.options import StochasticOptions
from virtualcell.part import Info, Part, Room, Stage


class Stochastic(Part):
    """Intrinsic and extrinsic noise whose size the cell's state decides."""

    name = "stochastic"
    stage = Stage.OUTPUT
    reads = ("generator",)
    Options = StochasticOptions

    def __init__(self, room: Room, options: StochasticOptions) -> None:
        super().__init__(room, options)
        d, half = room.d_model, options.noise_dim // 2
        self.norm = nn.LayerNorm(d)
        self.size = nn.Linear(d, options.noise_dim)  # softplus^-1 of each source's size for a gene
        self.cell_size = nn.Linear(d, half)  # how variable this cell is
        self.out = nn.Linear(options.noise_dim, d, bias=False)
        self.drift = nn.Linear(options.noise_dim, d, bias=False)

    def forward(self, h: Tensor, mask: Tensor, **inputs: Any) -> tuple[Tensor, Info]:
        """The change by gene `(b, n, d)`, and the size of each kind of noise `(b, n)` in the units of h.

        `generator`: noise is drawn from it. Without one it is drawn in training from torch's own, and left at its
        mean otherwise. `uncertainty: (b, n)` is the standard deviation of both kinds together.
        """
        size = self._sizes(self.norm(h))
        change = self.drift(-0.5 * size.square())
        generator = inputs.get("generator")
        if generator is not None or self.training:
            change = change + self.out(size * self._draw(h, generator).to(size.dtype))
        weight = self.out.weight.square().sum(0)  # d of a unit source
        variance = (size.float().square() * weight).unflatten(-1, (2, -1)).sum(-1) / h.shape[-1]
        variance = variance.masked_fill(~mask[..., None], 1.0)  # the slope of a root at 0 is infinite
        info = {
            "intrinsic": variance[..., 0].sqrt() * mask,
            "extrinsic": variance[..., 1].sqrt() * mask,
            "uncertainty": variance.sum(-1).sqrt() * mask,
        }
        return change, info

    def _sizes(self, inner: Tensor) -> Tensor:
        """How strongly each source acts on each gene, `(b, n, r)`: intrinsic first."""
        size = F.softplus(self.size(inner))
        intrinsic, extrinsic = size.chunk(2, -1)
        return torch.cat([intrinsic, extrinsic * F.softplus(self.cell_size(inner[:, :1]))], -1)

    def _draw(self, h: Tensor, generator: torch.Generator | None) -> Tensor:
        """Unit sources `(b, n, r)`: a gene's own, then the cell's, the same for all its genes.

        A cell after the other, so that its draws do not depend on how many follow.
        """
        half = self.options.noise_dim // 2
        device = h.device if generator is None else generator.device
        n = h.shape[1]
        rows = [torch.randn((n + 1, half), generator=generator, device=device) for _ in range(len(h))]
        drawn = torch.stack(rows).to(h.device)
        return torch.cat([drawn[:, 1:], drawn[:, :1].expand(-1, n, -1)], -1)
