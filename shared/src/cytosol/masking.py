"""Masked statistics, with one meaning everywhere: a mask is bool and True = real.

What stands under a False may be anything, NaN and inf included: it reaches neither a value nor a gradient.
Masks broadcast to `x` by torch's rules (trailing axes aligned), so `(b, t)` meets `(b, t, d)` as `mask[...,
None]`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Dim = int | Sequence[int] | None


def broadcast_mask(mask: Tensor, x: Tensor) -> Tensor:
    """The mask at the shape of `x`, as a view: `(..., 1 or d)`, or with fewer axes in front, to x's `(..., d)`.

    Raises ValueError where the mask is not bool or does not broadcast to `x`.
    """
    if mask.dtype != torch.bool:
        message = (
            f"expected a bool mask (True = real), got {mask.dtype}: compare it first, for example mask > 0"
        )
        raise ValueError(message)
    lead = x.ndim - mask.ndim
    if lead < 0 or any(m not in (1, n) for m, n in zip(mask.shape, x.shape[lead:], strict=True)):
        message = f"expected a mask that broadcasts to {tuple(x.shape)}, got {tuple(mask.shape)}"
        raise ValueError(message)
    return mask.expand(x.shape)


def masked_mean(x: Tensor, mask: Tensor, dim: Dim = None, *, keepdim: bool = False) -> Tensor:
    """Mean over the real entries; 0, with zero gradients, where there are none.

    `x: (..., d)` float -> x's shape without `dim`, or with `keepdim` 1 there; `mask` bool and broadcastable to `x`,
    `dim` None for all axes. Half precision is summed in float32. Raises ValueError for x that is not float, and as
    `broadcast_mask`.
    """
    wide, mask = _widened(x), broadcast_mask(mask, x)
    axes = _axes(dim, x)
    # where before the sum: 0 * nan is nan, a nan not chosen is nothing, in the gradient too.
    total = torch.where(mask, wide, 0.0).sum(axes, keepdim=keepdim)
    count = mask.sum(axes, keepdim=keepdim).clamp_min(1)
    return (total / count).to(x.dtype)


def masked_var(x: Tensor, mask: Tensor, dim: Dim = None, *, keepdim: bool = False) -> Tensor:
    """Variance of the real entries about their mean; the divisor is their number n (not n - 1).

    One real entry, or none, gives 0 with zero gradients. `x: (..., d)`; shapes and errors as in `masked_mean`.
    """
    wide, mask = _widened(x), broadcast_mask(mask, x)
    mean = masked_mean(wide, mask, dim, keepdim=True)
    deviation = torch.where(mask, wide, mean) - mean
    return masked_mean(deviation.square(), mask, dim, keepdim=keepdim).to(x.dtype)


def masked_mse(
    pred: Tensor, target: Tensor, mask: Tensor, dim: Dim = None, *, keepdim: bool = False
) -> Tensor:
    """Mean squared error over the real entries; 0, with zero gradients, where there are none.

    `pred, target: (..., d)` of one shape: nothing is broadcast between the two (ValueError), since a `(b, 1)`
    against a `(b,)` would quietly become `(b, b)`. Otherwise as `masked_mean`.
    """
    if pred.shape != target.shape:
        message = f"expected pred and target of one shape, got {tuple(pred.shape)} and {tuple(target.shape)}"
        raise ValueError(message)
    mask = broadcast_mask(mask, pred)
    error = torch.where(mask, pred, 0.0) - torch.where(mask, target, 0.0)
    return masked_mean(error.square(), mask, dim, keepdim=keepdim)


def lengths_to_mask(lengths: Tensor, max_len: int) -> Tensor:
    """The mask of rows that are real from their start: `lengths: (b,)` integer -> `(b, max_len)` bool.

    Raises ValueError for a length outside 0..max_len.
    """
    if lengths.numel() and (int(lengths.min()) < 0 or int(lengths.max()) > max_len):
        wrong = int(((lengths < 0) | (lengths > max_len)).nonzero()[0])
        message = f"expected lengths from 0 to {max_len}, got {int(lengths[wrong])} in row {wrong}"
        raise ValueError(message)
    return torch.arange(max_len, device=lengths.device) < lengths[..., None]


def key_padding(mask: Tensor) -> Tensor:
    """Torch's `key_padding_mask`, where True = ignored: `mask: (..., k)` bool -> `(..., k)` bool.

    A row without any real key keeps its first one open, because a softmax over nothing is NaN; such a row's
    output is finite, means nothing, and is masked by whoever reads it. (`scaled_dot_product_attention` takes
    our meaning.) Raises ValueError for a mask that is not bool.
    """
    ignored = ~broadcast_mask(mask, mask)
    empty = ignored.all(-1, keepdim=True)
    first = torch.arange(mask.shape[-1], device=mask.device) == 0
    return ignored & ~(empty & first)


def _axes(dim: Dim, x: Tensor) -> tuple[int, ...]:
    if dim is None:
        return tuple(range(x.ndim))
    return (dim,) if isinstance(dim, int) else tuple(dim)


def _widened(x: Tensor) -> Tensor:
    if not x.is_floating_point():
        message = f"expected a floating point tensor, got {x.dtype}: convert it first, for example x.float()"
        raise ValueError(message)
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
