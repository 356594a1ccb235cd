"""What the network is made of: soft bins of counts, a transformer layer, the decoder.

Letters: b cells, n tokens (CLS first), d width, h heads, o output width. The design is that of the State embedding
(Adduri et al. 2025, Methods): tokens from protein vectors, counts softly binned, layer norm after each half layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from virtualcell.attention import Scores, attention

BINS, BIN_WIDTH = 10, 512


class SoftBins(nn.Module):
    """A count as a mixture of ten learned vectors: `counts: (b, n)` of 0 and more -> `(b, n, d)`."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.hidden, self.logits = nn.Linear(1, BIN_WIDTH), nn.Linear(BIN_WIDTH, BINS)
        self.vectors = nn.Embedding(BINS, d_model)

    def forward(self, counts: Tensor) -> Tensor:
        """The mixtures; in float32, since half precision cannot tell 2,048 from 2,049."""
        with torch.autocast(counts.device.type, enabled=False):
            share = self.logits(F.leaky_relu(self.hidden(counts.float()[..., None]))).softmax(-1)
            return share @ self.vectors.weight


class Block(nn.Module):
    """A transformer layer `(b, n, d) -> (b, n, d)`; `norm_first` says where its layer norms stand."""

    def __init__(self, d_model: int, nhead: int, d_hid: int, *, dropout: float, norm_first: bool) -> None:
        super().__init__()
        self.nhead, self.norm_first, self.rate = nhead, norm_first, dropout
        self.qkv, self.out = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.norm_attend, self.norm_feed = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.up, self.down = nn.Linear(d_model, d_hid), nn.Linear(d_hid, d_model)
        self.drop = nn.Dropout(dropout)

    def forward(self, h: Tensor, seen: Tensor | Scores | None, *, first_only: bool = False) -> Tensor:
        """All tokens changed, or the first alone `(b, 1, d)`, at a fraction of the cost.

        seen: what each token may look at, broadcast to `(b, heads, n, n)`: bool, float to add, or `Scores`.
        """
        to = h[:, :1] if first_only else h
        if self.norm_first:
            to = to + self._attend(self.norm_attend(h), seen, first_only=first_only)
            return to + self._feed(self.norm_feed(to))
        to = self.norm_attend(to + self._attend(h, seen, first_only=first_only))
        return self.norm_feed(to + self._feed(to))

    def _attend(self, h: Tensor, seen: Tensor | Scores | None, *, first_only: bool) -> Tensor:
        if first_only:
            d = h.shape[-1]
            weight, bias = self.qkv.weight, self.qkv.bias
            q = F.linear(h[:, :1], weight[:d], bias[:d])
            k, v = F.linear(h, weight[d:], bias[d:]).chunk(2, -1)
            if isinstance(seen, Scores):
                seen = seen.first()
            elif seen is not None:
                seen = seen[..., :1, :]
        else:
            q, k, v = self.qkv(h).chunk(3, -1)
        q, k, v = (x.unflatten(-1, (self.nhead, -1)).transpose(1, 2) for x in (q, k, v))
        o = attention(q, k, v, seen, self.rate if self.training else 0.0)
        return self.drop(self.out(o.transpose(1, 2).flatten(2)))

    def _feed(self, x: Tensor) -> Tensor:
        return self.drop(self.down(self.drop(F.gelu(self.up(x)))))


class Decoder(nn.Module):
    """Hidden states to outputs: a residual block, a layer norm, a linear map; `(..., d) -> (..., o)`."""

    def __init__(self, d_model: int, output_dim: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(d_model, 2 * d_model), nn.Linear(2 * d_model, d_model)
        self.norm, self.last = nn.LayerNorm(d_model), nn.Linear(d_model, output_dim)

    def forward(self, h: Tensor) -> Tensor:
        """The outputs."""
        return self.last(self.norm(h + self.down(F.relu(self.up(h)))))


class _Read(torch.autograd.Function):
    """`src @ weight.T + bias`, with a vector of its own added to the first token of each cell.

    The gradient of the weight is made once: a second map of the vector alone would make another as large.
    """

    @staticmethod
    def forward(ctx: Any, src: Tensor, first: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        kind = src.device.type
        half = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        # cast here: what autocast keeps of a cast without gradient others would be given
        with torch.autocast(kind, enabled=False):
            src, small = src.to(half), weight.to(half)
            encoded = F.linear(src, small, bias.to(half))
            encoded[:, 0] += F.linear(first.to(half), small)
        ctx.save_for_backward(src, first, small)
        ctx.kind = weight.dtype
        return encoded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        src, first, weight = ctx.saved_tensors
        own = grad[:, 0].to(ctx.kind).sum(0)
        flat = grad.flatten(0, 1)
        of_weight = (flat.T @ src.flatten(0, 1)).to(ctx.kind).addr_(own, first)
        of_src = grad @ weight if ctx.needs_input_grad[0] else None
        return of_src, own @ weight.to(ctx.kind), of_weight, flat.to(ctx.kind).sum(0)


def read_with_first(src: Tensor, first: Tensor, read: nn.Linear) -> Tensor:
    """Vectors `(b, n, t)` mapped to `(b, n, d)`, `first: (t,)` added to those of slot 0."""
    if torch.compiler.is_compiling():
        encoded = read(src)
        own = F.linear(first, read.weight).to(encoded.dtype)
        return torch.cat([encoded[:, :1] + own, encoded[:, 1:]], 1)
    return _Read.apply(src, first, read.weight, read.bias)
