"""Pure blocks of the network: convolution along time, attention across replicates.

Letters: b batch, r and s replicates, d feature width, t time, h heads. Curves travel as (b * r, d, t) through
convolutions, so replicates share every weight; only `ReplicateMaskAttention` lets them see each other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ReplicateMaskAttention(nn.Module):
    """Attention among the real replicates of a condition at each time: no order, no trace of padded ones.

    x: (b * r, d, t), replicate_mask: (b, r) bool, True = real -> (b * r, d, t), zero in padded replicates. A
    condition without any real replicate gives zeros. Scaled dot product as in Vaswani et al. 2017, eq. 1.
    """

    def __init__(self, d: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(1, d)
        self.qkv = nn.Conv1d(d, 3 * d, 1)
        self.out = nn.Conv1d(d, d, 1)

    def forward(self, x: Tensor, replicate_mask: Tensor) -> Tensor:
        """The replicates' mutual part of x: what to add to it, (b * r, d, t)."""
        b, r = replicate_mask.shape
        _, d, t = x.shape
        # NaN times a weight of zero would be NaN
        x = x.masked_fill(~replicate_mask.reshape(b * r, 1, 1), 0.0)
        q, k, v = self.qkv(self.norm(x)).view(b, r, 3, self.heads, d // self.heads, t).unbind(2)
        # Replicate by replicate: a few products of whole arrays are faster than very many matrices of 4 x 4.
        logits = torch.stack([(q * one[:, None]).sum(dim=3) for one in k.unbind(1)])
        logits = logits / (d // self.heads) ** 0.5
        real = replicate_mask.t()[..., None, None, None]
        weights = torch.softmax(logits.masked_fill(~real, -1e4), dim=0) * real
        mixed = torch.zeros_like(q)
        for weight, one in zip(weights, v.unbind(1), strict=True):
            mixed = torch.addcmul(mixed, weight[..., None, :], one[:, None].expand_as(q))
        return self.out(mixed.reshape(b * r, d, t)) * replicate_mask.reshape(b * r, 1, 1)


class TimeBlock(nn.Module):
    """Two convolutions along time with a condition between them, added to what came in.

    x: (b * r, d_in, t), cond: (b * r, d_cond) -> (b * r, d, t). Norms run over one curve only, so a curve does not
    depend on its batch.
    """

    def __init__(self, d_in: int, d: int, d_cond: int, kernel: int = 5) -> None:
        super().__init__()
        self.first = nn.Conv1d(d_in, d, kernel, padding=kernel // 2)
        self.second = nn.Conv1d(d, d, kernel, padding=kernel // 2)
        self.norm_in, self.norm = nn.GroupNorm(1, d_in), nn.GroupNorm(1, d)
        self.film = nn.Linear(d_cond, 2 * d)
        self.skip = nn.Conv1d(d_in, d, 1) if d_in != d else nn.Identity()
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        """Curves with what the block adds to them: (b * r, d, t)."""
        h = self.first(F.silu(self.norm_in(x)))
        gain, shift = self.film(cond)[..., None].chunk(2, dim=1)
        h = self.second(F.silu(self.norm(h) * (1 + gain) + shift))
        return self.skip(x) + h
