"""What each cell is told of the set it stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stedm.attention import Nearest, Stack
from stedm.geometry import centre, knn, zero_padding

if TYPE_CHECKING:
    from stedm.options import NetOptions


class SetEncoderContext(nn.Module):
    """Embeddings and base coordinates of a set's cells -> a context vector each, in O(n (m + k)).

    z: (b, n, h) expression embedding, p: (b, n, d) base coordinates in units of sigma_data (zeros where there are
    none), mask: (b, n) bool -> (b, n, c). A cell first looks at the cells nearest in expression, then at the set.
    """

    def __init__(self, features: int, dim: int, options: NetOptions) -> None:
        super().__init__()
        width = options.width
        self.neighbours = options.neighbours
        self.enter = nn.Linear(features + dim, width)
        self.nearest = Nearest(width, options.heads) if options.neighbours else None
        self.blocks = Stack(
            options.context_blocks, width, options.heads, options.inducing, recompute=options.checkpoint
        )
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, options.context_width))

    def forward(self, z: Tensor, p: Tensor, mask: Tensor) -> Tensor:
        """The context of each cell; zero in padding."""
        z = zero_padding(z, mask)
        x = self.enter(torch.cat([z, centre(p, mask)], -1))
        if self.nearest is not None:
            x = self.nearest(x, mask, knn(z, mask, self.neighbours))
        return zero_padding(self.leave(self.blocks(x, mask)), mask)
