"""What the network is made of: soft bins of counts, a transformer layer, the decoder.

Letters: b cells, n tokens (CLS first), d width, h heads, o output width. The design is that of the State embedding
(Adduri et al. 2025, Methods): tokens from protein vectors, counts softly binned, layer norm after each half layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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

    def forward(self, h: Tensor, seen: Tensor | None, *, first_only: bool = False) -> Tensor:
        """All tokens changed, or the first alone `(b, 1, d)`, at a fraction of the cost.

        seen: what each token may look at, broadcast to `(b, heads, n, n)`: bool, or float added to the scores.
        """
        to = h[:, :1] if first_only else h
        if self.norm_first:
            to = to + self._attend(self.norm_attend(h), seen, first_only=first_only)
            return to + self._feed(self.norm_feed(to))
        to = self.norm_attend(to + self._attend(h, seen, first_only=first_only))
        return self.norm_feed(to + self._feed(to))

    def _attend(self, h: Tensor, seen: Tensor | None, *, first_only: bool) -> Tensor:
        if first_only:
            d = h.shape[-1]
            weight, bias = self.qkv.weight, self.qkv.bias
            q = F.linear(h[:, :1], weight[:d], bias[:d])
            k, v = F.linear(h, weight[d:], bias[d:]).chunk(2, -1)
            seen = seen if seen is None or seen.shape[-2] == 1 else seen[..., :1, :]
        else:
            q, k, v = self.qkv(h).chunk(3, -1)
        q, k, v = (x.unflatten(-1, (self.nhead, -1)).transpose(1, 2) for x in (q, k, v))
        if seen is not None and seen.dtype != torch.bool:
            seen = seen.to(q.dtype)
        rate = self.rate if self.training else 0.0
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=rate)
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
