"""The first structure, straight from the context: a correction of the base coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stedm.attention import Stack
from stedm.geometry import centre

if TYPE_CHECKING:
    from stedm.options import NetOptions

START = (
    0.05  # size of the last layer's weights at the start, where the generator says about what the base says
)


class MetricSetGenerator(nn.Module):
    """Context and base coordinates -> structure: (b, n, c), (b, n, d), (b, n) -> (b, n, d), centred.

    Two ISABs and an MLP (the specification's). The output is p + correction, in units of sigma_data.
    """

    def __init__(self, dim: int, options: NetOptions) -> None:
        super().__init__()
        width = options.width
        self.enter = nn.Linear(options.context_width + dim, width)
        self.blocks = Stack(
            options.generator_blocks, width, options.heads, options.inducing, recompute=options.checkpoint
        )
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, dim)
        )
        last = self.head[-1]
        nn.init.normal_(last.weight, std=START / width**0.5)
        nn.init.zeros_(last.bias)

    def forward(self, context: Tensor, p: Tensor, mask: Tensor) -> Tensor:
        """The structure."""
        p = centre(p, mask)
        h = self.blocks(self.enter(torch.cat([context, p], -1)), mask)
        return centre(p + self.head(h), mask)
