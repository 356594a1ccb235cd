"""Attention whose backward pass is made of matrix products, and whose bias may be known at a few edges alone.

On a CPU torch's backward pass of attention takes twice as long in half precision, and keeps what is (n, n) of every
layer once the bias is learned. Here weights are computed again, some cells at a time, and of the bias only the edges
get a gradient. Letters: b cells, h heads, n tokens, q queries, k keys, w width of a head, e edges.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

ROOM = 1 << 18  # scores computed at a time, where a single cell has no more


class Edges(NamedTuple):
    """Numbers added to the scores at known places, and nowhere else; edges stand in the order of their cells."""

    cell: Tensor  # (e,)
    query: Tensor  # (e,)
    key: Tensor  # (e,)
    value: Tensor  # (e, h)
    shape: tuple[int, int]  # cells, tokens

    def dense(self, dtype: torch.dtype) -> Tensor:
        """The same as `(b, h, n, n)`, zeros elsewhere."""
        b, n = self.shape
        h = self.value.shape[1]
        flat = torch.zeros(b, h, n, n, dtype=dtype, device=self.value.device)
        heads = torch.arange(h, device=self.value.device)
        at = (self.cell[:, None], heads, self.query[:, None], self.key[:, None])
        return flat.index_put(at, self.value.to(dtype))

    def times(self, gate: Tensor) -> Edges:
        """Each head's numbers times its gate `(h, 1, 1)`."""
        return self._replace(value=self.value * gate.flatten().to(self.value.dtype))

    def padded(self, extra: int) -> Edges:
        """The same among more tokens."""
        return self._replace(shape=(self.shape[0], self.shape[1] + extra))


class Scores(NamedTuple):
    """What is added to scores: all of it as numbers, and the edges that get the gradient of it."""

    all: Tensor  # (b, h, n, n), -inf where nothing may be seen; no gradient
    edges: Edges

    def first(self) -> Scores:
        """Of the first query alone."""
        kept = self.edges.query == 0
        edges = self.edges
        few = Edges(edges.cell[kept], edges.query[kept], edges.key[kept], edges.value[kept], edges.shape)
        return Scores(self.all[..., :1, :], few)


def scores(bias: Tensor | Edges, seen: Tensor | None, dtype: torch.dtype, *, sparse: bool) -> Tensor | Scores:
    """A bias and who may be seen, bool, broadcast to `(b, h, n, n)`, as what `attention` takes.

    sparse: edges stay edges, for a CPU outside of compiled code, without dropout: there alone it is supported.
    """
    if isinstance(bias, Edges) and sparse:
        dense = bias._replace(value=bias.value.detach()).dense(dtype)
        return Scores(dense if seen is None else dense.masked_fill_(~seen, float("-inf")), bias)
    dense = bias.dense(dtype) if isinstance(bias, Edges) else bias
    return dense if seen is None else dense.masked_fill(~seen, float("-inf"))


def attention(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | Scores | None, rate: float = 0.0) -> Tensor:
    """`q: (b, h, q, w)`, `k, v: (b, h, k, w)` -> `(b, h, q, w)`; a query sees at least one key.

    seen: bool, or float added to the scores, broadcast to `(b, h, q, k)`; or `Scores`. rate: share of weights dropped.
    """
    if isinstance(seen, Scores):
        edges = seen.edges
        return _attend(q, k, v, seen.all.to(q.dtype), edges.value, edges.cell, edges.query, edges.key)
    if seen is not None and seen.dtype != torch.bool:
        seen = seen.to(q.dtype)
    plain = q.device.type != "cpu" or q.dtype != torch.bfloat16 or torch.compiler.is_compiling()
    if plain or rate or not torch.is_grad_enabled() or (seen is not None and seen.requires_grad):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=rate)
    return _attend(q, k, v, seen, None, None, None, None)


class _Attention(torch.autograd.Function):
    """Attention by torch's fast kernel, with a backward pass that computes the weights again."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, value: Tensor | None, *at: Any
    ):
        seen = None if seen is None else seen.detach()
        o = F.scaled_dot_product_attention(q.detach(), k.detach(), v.detach(), attn_mask=seen)
        ctx.save_for_backward(q, k, v, o, seen, value, *at)
        return o

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor):
        q, k, v, o, seen, value, cell, query, key = ctx.saved_tensors
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        dvalue = None if value is None else torch.empty_like(value)
        cells, scale, kind = len(q), q.shape[-1] ** -0.5, q.dtype
        step = max(1, ROOM // (q.shape[1] * q.shape[2] * k.shape[2]))
        for start in range(0, cells, step):
            at = slice(start, min(start + step, cells))
            to, of, said, out, g = (x[at].contiguous() for x in (q, k, v, o, grad))
            # scores, and what differs little, in float32; the products of their results in the type given
            weight = _weights(to, of, None if seen is None else seen[at if len(seen) > 1 else slice(None)])
            slope = g.float() @ said.float().transpose(-1, -2)
            slope.sub_((g.float() * out).sum(-1, keepdim=True)).mul_(weight)
            dv[at] = weight.to(kind).transpose(-1, -2) @ g
            if dvalue is not None:
                low, high = torch.searchsorted(cell, torch.tensor([at.start, at.stop])).tolist()
                few = slice(low, high)
                dvalue[few] = slope[cell[few] - start, :, query[few], key[few]].to(dvalue.dtype)
            slope = slope.mul_(scale).to(kind)
            dq[at] = slope @ of
            dk[at] = slope.transpose(-1, -2) @ to
        return dq, dk, dv, None, dvalue, None, None, None


_attend = _Attention.apply


def _weights(q: Tensor, k: Tensor, seen: Tensor | None) -> Tensor:
    """What each query makes of each key, `(b, h, q, k)` in float32."""
    scores = (q.float() * q.shape[-1] ** -0.5) @ k.float().transpose(-1, -2)
    if seen is not None:
        scores = scores.masked_fill_(~seen, float("-inf")) if seen.dtype == torch.bool else scores.add_(seen)
    return torch.softmax(scores, -1)
