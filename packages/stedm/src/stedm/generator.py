"""The first structure, straight from the context: a correction of the base coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stedm.attention import Stack, quiet_head
from stedm.geometry import centre

if TYPE_CHECKING:
    from stedm.options import NetOptions


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
        self.head = quiet_head(width, dim)

    def forward(self, context: Tensor, p: Tensor, mask: Tensor) -> Tensor:
        """The structure (b, n, d), in units of sigma_data as p."""
        p = centre(p, mask)
        h = self.blocks(self.enter(torch.cat([context, p], -1)), mask)
        return centre(p + self.head(h), mask)
