"""The twelve losses as pure masked functions: one number a set, without unit, 0 where nothing is real.

Letters: b sets, n points, d axes, k neighbours. Coordinates `(b, n, d)`, `mask: (b, n)` bool, True = real; padding
changes nothing, NaN in it included. Every value and gradient is finite for coincident and collinear
points. Which loss is used when, and with what weight: `stedm.objective`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stedm.geometry import (
    TINY,
    Neighbours,
    centre,
    gather,
    gram,
    mean_square,
    rms_radius,
    square_distances,
    zero_padding,
)

MAX_LOG_CORR = 0.5  # of the V_geom clamp: a factor of exp(0.5) = 1.65 at most


def score(hat: Tensor, target: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Squared error of an estimate with the weight of its noise level, `weight: (b,)`: `(b,)`.

    With `EDMScaling.weight` it is the error of F against its target (Karras et al. 2022, eq. 8). Summed over axes'
    mean and points' mean; in a gauge that is aligned, `target` has been moved onto `hat` already.
    """
    error = zero_padding(hat, mask) - zero_padding(target, mask)
    return weight * error.square().sum((1, 2)) / (mask.sum(1).clamp_min(1) * hat.shape[-1])


def distance_score(hat: Tensor, target: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """The same without a frame: squared error of the distances, over 2 d to meet `score`'s size: `(b,)`."""
    error = _distances(hat, mask) - _distances(target, mask)
    count = (mask.sum(1).clamp_min(1) ** 2) * 2 * hat.shape[-1]
    return weight * _real_pairs(error.square(), mask).sum((1, 2)) / count


def gram_loss(geom: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """|G_pred - G_target|^2 / |G_target|^2: global structure, free of the frame: `(b,)`."""
    wanted = gram(target, mask)
    size = wanted.square().sum((1, 2))
    return (gram(geom, mask) - wanted).square().sum((1, 2)) / (size + TINY)


def gram_scale(hat: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """(tr G_pred / tr G_target - 1)^2: scale by traces: `(b,)`."""
    wanted = mean_square(target, mask)
    return ((mean_square(hat, mask) - wanted) / (wanted + TINY)).square()


def out_scale(hat: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """(RMS_pred / RMS_target - 1)^2: scale by radii: `(b,)`."""
    return (rms_radius(hat, mask) / rms_radius(target, mask) - 1).square()


def gram_learn(learned: Tensor, learned_target: Tensor, mask: Tensor) -> Tensor:
    """`gram_loss` of the learned branch alone, V - c_skip V_t, against what it should have been: `(b,)`."""
    return gram_loss(learned, learned_target, mask)


def knn_scale(geom: Tensor, target: Tensor, mask: Tensor, near: Neighbours) -> Tensor:
    """(mean length of the true nearest-neighbour edges, predicted over true, - 1)^2: `(b,)`."""
    pred, true = _edges(geom, mask, near), _edges(target, mask, near)
    return ((_edge_mean(pred, near) + TINY) / (_edge_mean(true, near) + TINY) - 1).square() * _any(near)


def knn_nca(geom: Tensor, target: Tensor, mask: Tensor, near: Neighbours) -> Tensor:
    """Cross-entropy of the true neighbours under softmax(-d^2 / tau) of predicted distances: `(b,)`.

    Neighbourhood components (Goldberger et al. 2004); tau is the mean squared length of the true edges, and log k is
    taken off, so that neighbours alone at equal distances give 0.
    """
    true = _edges(target, mask, near).square()
    tau = (_edge_mean(true, near) + TINY)[:, None, None]
    logits = -square_distances(geom, mask) / tau
    own = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    shut = own | ~mask[:, None, :]
    logits = logits.masked_fill(shut, -1e9)
    picked = torch.log_softmax(logits, -1).gather(-1, near.index)
    count = near.valid.sum(-1).clamp_min(1)
    each = -torch.where(near.valid, picked, 0.0).sum(-1) / count - count.to(picked.dtype).log()
    real = near.valid.any(-1)
    return torch.where(real, each, 0.0).sum(1) / real.sum(1).clamp_min(1)


def edge(geom: Tensor, target: Tensor, mask: Tensor, near: Neighbours) -> Tensor:
    """Squared error of the true nearest-neighbour edges' lengths over their mean square: `(b,)`."""
    pred, true = _edges(geom, mask, near), _edges(target, mask, near)
    return _edge_mean((pred - true).square(), near) / (_edge_mean(true.square(), near) + TINY)


def gen_align(gen: Tensor, gen_target: Tensor, mask: Tensor) -> Tensor:
    """Squared error of the generator against the target aligned to it, over the target's size: `(b,)`.

    The alignment is made beforehand and held: at the best rotation its own derivative is zero.
    """
    error = centre(gen, mask) - centre(gen_target, mask)
    return error.square().sum((1, 2)) / mask.sum(1).clamp_min(1) / (mean_square(gen_target, mask) + TINY)


def gen_scale(gen: Tensor, gen_target: Tensor, mask: Tensor) -> Tensor:
    """`out_scale` of the generator: `(b,)`."""
    return out_scale(gen, gen_target, mask)


def subspace(hat: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Share of the prediction's spread outside the target's column space: `(b,)` in 0..1.

    Low-rank structure: an n x d set whose columns are linear combinations of the target's has none. Free of the frame.
    """
    v = centre(hat, mask)
    with torch.no_grad():
        values, vectors = torch.linalg.eigh(gram_of_axes(target, mask))
        keep = (values > 1e-9 * values[:, -1:].clamp_min(TINY)).to(vectors)
        basis = centre(target, mask).double() @ (
            vectors * keep[:, None] / values.clamp_min(TINY).sqrt()[:, None]
        )
    inside = (basis.to(v.dtype).mT @ v).square().sum((1, 2))
    whole = v.square().sum((1, 2))
    return (whole - inside) / (whole + TINY)


def gram_of_axes(v: Tensor, mask: Tensor) -> Tensor:
    """Second moments of the centred points, `(b, d, d)` in float64 [unit squared]."""
    v = centre(v, mask).double()
    return v.mT @ v


def ctx_edge(gen: Tensor, other: Tensor, mask: Tensor, near: Neighbours) -> Tensor:
    """Context invariance: edges between the same points should not depend on who else is in the set: `(b,)`.

    other: the prediction for the same points within another set (held); mask: the points that both sets have.
    """
    both = Neighbours(near.index, near.valid & mask[:, :, None] & gather(mask, near.index))
    return edge(gen, other.detach(), mask, both)


def v_geom(hat: Tensor, target: Tensor, mask: Tensor, max_log_corr: float = MAX_LOG_CORR) -> Tensor:
    """What the geometry losses see: centred, its scale corrected by at most exp(max_log_corr): `(b, n, d)`.

    The factor is held (no gradient): scale is the business of the scale losses, and this clamp must not hide it.
    """
    with torch.no_grad():
        wanted = (rms_radius(target, mask) / rms_radius(hat, mask)).log()
        factor = wanted.clamp(-max_log_corr, max_log_corr).exp()
    return centre(hat, mask) * factor[:, None, None]


def _real_pairs(x: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask[:, :, None] & mask[:, None, :], x, 0.0)


def _distances(v: Tensor, mask: Tensor) -> Tensor:
    return (square_distances(v, mask) + TINY).sqrt()


def _edges(v: Tensor, mask: Tensor, near: Neighbours) -> Tensor:
    """Lengths of the edges to neighbours, 0 where there is none: (b, n, k)."""
    v = zero_padding(v, mask)
    length = ((gather(v, near.index) - v[:, :, None]).square().sum(-1) + TINY).sqrt()
    return torch.where(near.valid, length, 0.0)


def _edge_mean(x: Tensor, near: Neighbours) -> Tensor:
    return torch.where(near.valid, x, 0.0).sum((1, 2)) / near.valid.sum((1, 2)).clamp_min(1)


def _any(near: Neighbours) -> Tensor:
    return near.valid.any(-1).any(-1)
