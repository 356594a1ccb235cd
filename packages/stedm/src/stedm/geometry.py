"""Geometry of masked point sets: Gram matrices, factors, rigid alignment, nearest neighbours. Pure functions.

Letters: b sets, n points, d axes, k neighbours. `v: (b, n, d)`, `mask: (b, n)` bool, True = real. What stands under
False may be anything, NaN included. An alignment and a factorisation are made outside the autograd graph, in float64:
gradients through an eigen- or singular value decomposition are not finite where points coincide or lie on a line.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TINY = 1e-12  # [unit of the coordinates, squared] below which a spread counts as none
ROWS = 4096  # rows of a distance matrix made at once


def zero_padding(x: Tensor, mask: Tensor) -> Tensor:
    """The same with zeros where nothing is real, in value and gradient: `x: (b, n, ...)`."""
    return torch.where(mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim)), x, 0.0)


def weighted_mean(v: Tensor, weight: Tensor) -> Tensor:
    """Mean of points `(b, n, d)` with weights of at least 0, `(b, n)`: `(b, 1, d)`; 0 where all weights are 0."""
    total = weight.sum(-1)
    share = weight / torch.where(total > 0, total, 1.0)[:, None]
    return (share[..., None] * v).sum(1, keepdim=True)


def centre(v: Tensor, mask: Tensor) -> Tensor:
    """Points about the mean of the real ones; padding is zero: `(b, n, d)`."""
    v = zero_padding(v, mask)
    return zero_padding(v - weighted_mean(v, mask.to(v.dtype)), mask)


def mean_square(v: Tensor, mask: Tensor) -> Tensor:
    """Mean squared distance from the centre: `(b,)` [unit squared]."""
    return centre(v, mask).square().sum((1, 2)) / mask.sum(1).clamp_min(1)


def rms_radius(v: Tensor, mask: Tensor) -> Tensor:
    """Root of `mean_square`, at least sqrt(TINY), so that its gradient is finite: `(b,)` [unit]."""
    return (mean_square(v, mask) + TINY).sqrt()


def gram(v: Tensor, mask: Tensor) -> Tensor:
    """Inner products of the centred points, zero in padding: `(b, n, n)` [unit squared]."""
    v = centre(v, mask)
    return v @ v.transpose(1, 2)


@torch.no_grad()
def factor_from_gram(g: Tensor, d: int) -> Tensor:
    """Coordinates whose inner products are nearest to g: `(..., n, n) -> (..., n, d)`, largest axis first.

    Classical scaling (Torgerson 1952): eigenvectors times the roots of the eigenvalues, negative ones taken as 0; axes
    that g does not have are zero. Signs are fixed: each axis has a third moment of at least 0 (or, of a symmetric
    one, its largest entry is positive), so that the order of points does not matter. No gradient. Raises ValueError
    for a g that is not square or not finite, or d < 1.
    """
    if g.ndim < 2 or g.shape[-1] != g.shape[-2] or d < 1:
        msg = f"expected square Gram matrices and d of at least 1, got {tuple(g.shape)} and d = {d}"
        raise ValueError(msg)
    if not bool(g.isfinite().all()):
        msg = "expected finite Gram matrices: set padding to zero first, as `gram` does"
        raise ValueError(msg)
    n = g.shape[-1]
    values, vectors = torch.linalg.eigh((g.double() + g.double().mT) / 2)
    take = min(d, n)
    values, vectors = values[..., -take:].flip(-1), vectors[..., -take:].flip(-1)
    v = _fixed_signs(vectors) * values.clamp_min(0).sqrt()[..., None, :]
    return torch.nn.functional.pad(v, (0, d - take)).to(g.dtype)


def _fixed_signs(vectors: Tensor) -> Tensor:
    """Unit vectors (..., n, d) with a sign that does not depend on the order of points."""
    third = vectors.pow(3).sum(-2, keepdim=True)
    largest = vectors.gather(-2, vectors.abs().argmax(-2, keepdim=True))
    symmetric = third.abs() < 1e-9
    return vectors * torch.where(torch.where(symmetric, largest, third) < 0, -1.0, 1.0)


def intrinsic(v: Tensor, mask: Tensor, d: int) -> Tensor:
    """Coordinates with their frame forgotten: centred, along principal axes, signs fixed: `(b, n, d)`. No gradient.

    The same as `factor_from_gram(gram(v, mask), d)`, by the small d x d problem where there are fewer axes than points.
    """
    v = centre(v, mask).detach()
    _, vectors = torch.linalg.eigh(v.double().mT @ v.double())
    along = (v.double() @ vectors.flip(-1))[..., :d]
    norm = along.square().sum(1, keepdim=True).sqrt()
    unit = along / torch.where(norm > 0, norm, 1.0)
    along = _fixed_signs(unit) * norm
    return zero_padding(torch.nn.functional.pad(along, (0, d - along.shape[-1])).to(v.dtype), mask)


@dataclass(frozen=True)
class Alignment:
    """A similarity transform a set: x -> (x - source) @ rotation * scale + target."""

    rotation: Tensor  # (b, d, d), orthogonal
    scale: Tensor  # (b,)
    source: Tensor  # (b, 1, d)
    target: Tensor  # (b, 1, d)

    def __call__(self, x: Tensor) -> Tensor:
        """Other points moved alike: `(b, n, d)`."""
        return (x - self.source) @ self.rotation * self.scale[:, None, None] + self.target


@torch.no_grad()
def align(
    source: Tensor,
    target: Tensor,
    mask: Tensor,
    *,
    weight: Tensor | None = None,
    reflect: bool = True,
    scale: bool = False,
) -> Alignment:
    """The rigid motion that brings `source` nearest to `target` in (weighted) squared error. No gradient.

    Orthogonal Procrustes (Schoenemann 1966), without reflections Kabsch 1976; `scale` fits one factor too (of at least
    0). Coincident and collinear points get one of the equally good rotations. weight: `(b, n)` of at least 0.
    """
    w = mask.double() if weight is None else zero_padding(weight.double(), mask)
    a, b = zero_padding(source.double(), mask), zero_padding(target.double(), mask)
    a0, b0 = weighted_mean(a, w), weighted_mean(b, w)
    a, b = a - a0, b - b0
    u, s, vt = torch.linalg.svd((a * w[..., None]).mT @ b)
    if not reflect:
        flip = torch.ones_like(s)
        flip[..., -1] = torch.linalg.det(u @ vt).sign()
        u, s = u * flip[..., None, :], s * flip
    size = (w[..., None] * a.square()).sum((1, 2))
    factor = (
        torch.where(size > TINY, s.sum(-1) / size.clamp_min(TINY), 1.0) if scale else torch.ones_like(size)
    )
    kind = source.dtype
    return Alignment((u @ vt).to(kind), factor.to(kind), a0.to(kind), b0.to(kind))


def turned(v: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Random orthogonal matrices, uniform over rotations and reflections: `v: (b, n, d) -> (b, d, d)`."""
    b, _, d = v.shape
    q, r = torch.linalg.qr(torch.randn(b, d, d, generator=generator, dtype=torch.float64))
    return (q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None, :]).to(v)


def square_distances(v: Tensor, mask: Tensor) -> Tensor:
    """Squared distances of all pairs, smooth where points coincide, zero in padding: `(b, n, n)`."""
    v = zero_padding(v, mask)
    both = mask[:, :, None] & mask[:, None, :]
    return torch.where(both, (v[:, :, None] - v[:, None, :]).square().sum(-1), 0.0)


@dataclass(frozen=True)
class Neighbours:
    """The nearest points of each point: `index: (b, n, k)` into the set, `valid: (b, n, k)` bool."""

    index: Tensor
    valid: Tensor


@torch.no_grad()
def knn(v: Tensor, mask: Tensor, k: int) -> Neighbours:
    """The k nearest other real points, `(b, n, k)` nearest first; fewer are valid in a smaller set.

    v: `(b, n, d)`; the distances are made in chunks of rows.
    """
    _b, n, _ = v.shape
    v = zero_padding(v, mask)
    k_real = min(k, n)
    index, valid = [], []
    for first in range(0, n, ROWS):
        rows = slice(first, min(first + ROWS, n))
        distance = torch.cdist(v[:, rows], v, compute_mode="donot_use_mm_for_euclid_dist")
        distance = distance.masked_fill(~mask[:, None, :], torch.inf)
        own = torch.arange(n, device=v.device)[rows]
        distance[:, torch.arange(len(own)), own] = torch.inf
        near, which = distance.topk(k_real, largest=False)
        index.append(which)
        valid.append(near.isfinite() & mask[:, rows, None])
    pad = (0, k - k_real)
    padded = [torch.nn.functional.pad(torch.cat(parts, 1), pad) for parts in (index, valid)]
    return Neighbours(*padded)


def gather(x: Tensor, index: Tensor) -> Tensor:
    """Entries of other points: `x: (b, n, ...)`, `index: (b, n, k) -> (b, n, k, ...)`."""
    b, n, k = index.shape
    flat = index.reshape(b, n * k, *[1] * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])
    return x.gather(1, flat).reshape(b, n, k, *x.shape[2:])


@torch.no_grad()
def jaccard(v: Tensor, target: Tensor, mask: Tensor, k: int = 10) -> Tensor:
    """Mean overlap (intersection over union) of each point's k nearest in two structures of a set: `(b,)` in 0..1.

    A set of k + 1 points or fewer has no other neighbours to choose from, and gets 1.
    """
    near, true = knn(v, mask, k), knn(target, mask, k)
    both = (near.index[..., :, None] == true.index[..., None, :]) & near.valid[..., :, None]
    hits = (both & true.valid[..., None, :]).any(-1).sum(-1)
    union = near.valid.sum(-1) + true.valid.sum(-1) - hits
    return torch.where(mask, hits / union.clamp_min(1), 0.0).sum(1) / mask.sum(1).clamp_min(1)
