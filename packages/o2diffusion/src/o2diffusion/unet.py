"""The U-Net along time whose width does not depend on how many replicates there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from o2diffusion.parts import ReplicateMaskAttention, TimeBlock

if TYPE_CHECKING:
    from collections.abc import Sequence


class AdaptiveReplicateUNet(nn.Module):
    """A U-Net along time, shared by the replicates, which meet in attention at every level.

    x: (b, t, r, d_in), replicate_mask: (b, r) bool, cond: (b, d_cond) -> (b, t, r, d_out). Any t: it is padded at its
    end to a multiple of patch * 2 ** (levels - 1) and cut again. Padded replicates come out zero and change nothing.

    The last of the d_in may be given apart, as tokens from `enter`: what stays the same from call to call is then
    entered once. The entry is linear, so it is the same to the last bits.

    widths: features at each level, multiples of `heads`. patch: time cells folded into one token at the entry and
    unfolded at the exit: on a processor few wide tokens are much cheaper than many narrow ones.
    """

    def __init__(
        self, d_in: int, d_out: int, d_cond: int, widths: Sequence[int], *, patch: int = 1, heads: int = 4
    ) -> None:
        super().__init__()
        self.widths, self.patch = tuple(widths), patch
        self.first = nn.Conv1d(d_in * patch, widths[0], 5 if patch == 1 else 3, padding="same")
        pairs = list(zip(self.widths[:-1], self.widths[1:], strict=True))
        self.down = nn.ModuleList(TimeBlock(a, a, d_cond) for a, _ in pairs)
        self.shrink = nn.ModuleList(nn.Conv1d(a, c, 3, stride=2, padding=1) for a, c in pairs)
        self.middle = TimeBlock(widths[-1], widths[-1], d_cond)
        self.meet = nn.ModuleList(ReplicateMaskAttention(w, heads) for w in widths)
        self.grow = nn.ModuleList(nn.Conv1d(c, a, 3, padding=1) for a, c in pairs)
        self.up = nn.ModuleList(TimeBlock(2 * a, a, d_cond) for a, _ in pairs)
        self.last = nn.Sequential(
            nn.GroupNorm(1, widths[0]), nn.SiLU(), nn.Conv1d(widths[0], d_out * patch, 1)
        )

    def _tokens(self, x: Tensor, replicate_mask: Tensor) -> Tensor:
        """Curves (b, t, r, d) folded into tokens, padded replicates zero: (b * r, d * patch, n)."""
        b, t, r, d = x.shape
        h = x.permute(0, 2, 3, 1).masked_fill(~replicate_mask[..., None, None], 0.0).reshape(b * r, d, t)
        h = F.pad(h, (0, -t % (self.patch * 2 ** (len(self.widths) - 1))))
        return h.unflatten(2, (-1, self.patch)).transpose(2, 3).flatten(1, 2)

    def enter(self, x: Tensor, replicate_mask: Tensor, before: int) -> Tensor:
        """What the d of the inputs that come after `before` others add to the tokens: (b, t, r, d) -> (b, r, w, n)."""
        weight = self.first.weight[:, before * self.patch : (before + x.shape[3]) * self.patch]
        h = F.conv1d(self._tokens(x, replicate_mask), weight, padding="same")
        return h.unflatten(0, replicate_mask.shape)

    def forward(
        self, x: Tensor, replicate_mask: Tensor, cond: Tensor, entered: Tensor | None = None
    ) -> Tensor:
        """The features of every time cell of every real replicate: (b, t, r, d_out).

        entered (b, r, w, n): what `enter` gave, w the first width and n the tokens.
        """
        b, t, r, d = x.shape
        real = replicate_mask.reshape(b * r, 1, 1)
        each = cond.repeat_interleave(r, dim=0)
        own = self.first.weight[:, : d * self.patch]
        h = F.conv1d(self._tokens(x, replicate_mask), own, self.first.bias, padding="same")
        if entered is not None:
            h = h + entered.flatten(0, 1)
        kept: list[Tensor] = []
        for block, meet, shrink in zip(self.down, self.meet, self.shrink, strict=False):
            h = block(h, each)
            h = h + meet(h, replicate_mask)
            kept.append(h)
            h = shrink(h)
        h = self.middle(h, each)
        h = h + self.meet[-1](h, replicate_mask)
        for block, grow in zip(reversed(self.up), reversed(self.grow), strict=True):
            h = grow(F.interpolate(h, scale_factor=2.0, mode="nearest"))
            h = block(torch.cat([h, kept.pop()], dim=1), each)
        h = self.last(h).unflatten(1, (-1, self.patch)).transpose(2, 3).flatten(2)[..., :t] * real
        return h.view(b, r, -1, t).permute(0, 3, 1, 2)
