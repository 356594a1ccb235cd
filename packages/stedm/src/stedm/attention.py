"""Attention over masked sets in O(n m): multihead blocks, induced set attention, attention to the nearest.

Lee et al. 2019 (Set Transformer), with layer norms before each step. Letters: b sets, n points, m inducing points, w
width, k neighbours. Masks are bool, True = real; padding may hold anything, NaN too, and comes out as zero. All blocks
follow a reordering of the points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from cytosol.features import FiLM
from stedm.geometry import gather, zero_padding

if TYPE_CHECKING:
    from stedm.geometry import Neighbours


QUIET = 0.05  # size of a head's output at the start


class MAB(nn.Module):
    """A multihead attention block: queries `(b, q, w)` look at keys `(b, n, w)` with `mask: (b, n)` -> `(b, q, w)`.

    cond: `(b, d_cond)` scales and shifts the features before the feed-forward half. Keys must be finite. Raises
    ValueError for a `cond` without `d_cond`, or the other way round.
    """

    def __init__(self, width: int, heads: int, *, d_cond: int = 0) -> None:
        super().__init__()
        self.heads = heads
        self.norm_query, self.norm_key, self.norm = (nn.LayerNorm(width) for _ in range(3))
        self.query, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.film = FiLM(d_cond, width) if d_cond else None
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor, cond: Tensor | None = None) -> Tensor:
        """The queries, changed. Raises ValueError as the class says."""
        if (self.film is None) != (cond is None):
            msg = f"expected cond exactly where d_cond is above 0, got {'none' if cond is None else 'one'}"
            raise ValueError(msg)
        q = self._split(self.query(self.norm_query(queries)))
        k, v = (self._split(x) for x in self.key_value(self.norm_key(keys)).chunk(2, -1))
        # a softmax over nothing is NaN: a set without real keys looks at all, and what it sees is masked by the reader
        seen = mask | ~mask.any(-1, keepdim=True)
        h = F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None, None, :])
        h = queries + self.out(h.transpose(1, 2).flatten(2))
        inner = self.norm(h)
        if self.film is not None and cond is not None:
            inner = self.film(inner, cond)
        return h + self.feed(inner)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class ISAB(nn.Module):
    """Induced set attention: the set speaks to m inducing points, they answer: `(b, n, w) -> (b, n, w)`, O(n m).

    mask: `(b, n)`. cond: as `MAB`.
    """

    def __init__(self, width: int, heads: int, inducing: int, *, d_cond: int = 0) -> None:
        super().__init__()
        self.points = nn.Parameter(torch.randn(1, inducing, width) / width**0.5)
        self.gather = MAB(width, heads, d_cond=d_cond)
        self.spread = MAB(width, heads, d_cond=d_cond)

    def forward(self, x: Tensor, mask: Tensor, cond: Tensor | None = None) -> Tensor:
        """The points, each changed by what the set says."""
        x = zero_padding(x, mask)
        h = self.gather(self.points.expand(len(x), -1, -1), x, mask, cond)
        all_real = torch.ones(h.shape[:2], dtype=torch.bool, device=h.device)
        return zero_padding(self.spread(x, h, all_real, cond), mask)


class Nearest(nn.Module):
    """Attention of each point to its nearest ones and itself: `(b, n, w) -> (b, n, w)`, O(n k).

    A set summed up in few inducing points cannot tell a point what its own neighbours are like; this can. mask:
    `(b, n)`, near: `(b, n, k)`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_query, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.to_key, self.to_value = nn.Linear(width, width), nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, mask: Tensor, near: Neighbours) -> Tensor:
        """The points, each changed by its neighbours."""
        x = zero_padding(x, mask)
        inner = self.norm(x)
        own = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)[..., None]
        index, valid = torch.cat([own, near.index], 2), torch.cat([mask[..., None], near.valid], 2)
        query = self._split(self.to_query(inner))
        key, value = (self._split(gather(layer(inner), index)) for layer in (self.to_key, self.to_value))
        logits = (query[:, :, None] * key).sum(-1) / query.shape[-1] ** 0.5
        share = logits.masked_fill(~(valid | ~mask[..., None])[..., None], -1e9).softmax(2)
        h = x + self.out((share[..., None] * value).sum(2).flatten(2))
        return zero_padding(h + self.feed(self.norm_feed(h)), mask)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1))


def quiet_head(width: int, dim: int) -> nn.Sequential:
    """The last layers, `(..., w) -> (..., dim)`, which say almost nothing at the start: a correction begins small."""
    last = nn.Linear(width, dim)
    nn.init.normal_(last.weight, std=QUIET / width**0.5)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), last)


class Stack(nn.Module):
    """Several ISABs, one after the other: `(b, n, w) -> (b, n, w)`, as each of them.

    recompute: trade time for memory in the backward pass.
    """

    def __init__(
        self, blocks: int, width: int, heads: int, inducing: int, *, d_cond: int = 0, recompute: bool = False
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ISAB(width, heads, inducing, d_cond=d_cond) for _ in range(blocks))
        self.recompute = recompute

    def forward(self, x: Tensor, mask: Tensor, cond: Tensor | None = None) -> Tensor:
        """The points after all blocks."""
        for block in self.blocks:
            if self.recompute and torch.is_grad_enabled():
                x = checkpoint(block, x, mask, cond, use_reentrant=False)
            else:
                x = block(x, mask, cond)
        return x
