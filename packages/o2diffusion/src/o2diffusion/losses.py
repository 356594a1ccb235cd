"""Losses over curves with padded replicates and missing samples: what is masked, even NaN, changes nothing.

Letters: b batch, t time, r replicates, e events, k quantile levels, n draws. Masks are bool, True = real.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaskedReplicateLoss(nn.Module):
    """Squared error of each real sample plus squared error of the replicates' deviations from their mean.

    Both terms are quadratic scores, so the posterior mean minimises them (a match of variances would not be
    proper: a denoiser's mean is smoother than a curve). Each condition weighs the same, however many samples
    it has.

    `coherence_weight` of the second term; `media_weight`: a sample at a media change counts 1 + media_weight
    times. Raises ValueError where one is negative.
    """

    def __init__(self, coherence_weight: float = 0.1, media_weight: float = 1.0) -> None:
        super().__init__()
        if coherence_weight < 0 or media_weight < 0:
            msg = f"expected weights of at least 0, got coherence {coherence_weight} and media {media_weight}"
            raise ValueError(msg)
        self.coherence_weight, self.media_weight = coherence_weight, media_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        replicate_mask: Tensor,
        media_proximity: Tensor | None = None,
        observed: Tensor | None = None,
        *,
        weight: Tensor | None = None,
    ) -> Tensor:
        """One scalar; 0 where nothing is real.

        pred, target, observed (b, t, r); replicate_mask (b, r); media_proximity (b, t) in [0, 1]; weight
        (b,) of a condition (the noise level's weight). A target that is not finite must be masked, else
        ValueError.
        """
        mask = replicate_mask[:, None, :].expand_as(pred)
        mask = mask if observed is None else mask & observed
        _finite_where(target, mask)
        error = torch.where(mask, pred - target, torch.zeros_like(pred))
        near = error.new_ones(()) if media_proximity is None else 1.0 + self.media_weight * media_proximity
        near = near.expand(error.shape[:2])
        loss = _mean(error.square().sum(-1) * near, mask.sum(-1) * near)
        if self.coherence_weight:
            loss = loss + self.coherence_weight * _coherence(error, mask, near)
        weight = torch.ones_like(loss) if weight is None else weight
        real = mask.any(dim=2).any(dim=1)
        return (loss * weight).sum() / real.sum().clamp(min=1)


def _mean(total: Tensor, count: Tensor) -> Tensor:
    """Sum over time divided by the count over time: (b, t) and (b, t) -> (b,); 0 where there is nothing."""
    count = count.sum(1)
    return total.sum(1) / torch.where(count > 0, count, torch.ones_like(count))


def _coherence(error: Tensor, mask: Tensor, near: Tensor) -> Tensor:
    """Squared deviations of the error from its replicate mean, by degree of freedom: (b,)."""
    count = mask.sum(-1)
    mean = error.sum(-1) / count.clamp(min=1)
    deviation = torch.where(mask, error - mean[..., None], torch.zeros_like(error))
    return _mean(deviation.square().sum(-1) * near, (count - 1).clamp(min=0) * near)


def _finite_where(target: Tensor, mask: Tensor) -> None:
    if not torch.compiler.is_compiling() and not bool((torch.isfinite(target) | ~mask).all()):
        msg = "expected finite targets where the mask is True: mask missing samples instead"
        raise ValueError(msg)


def pinball_loss(quantiles: Tensor, target: Tensor, levels: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean quantile loss over real targets and levels; the quantile minimises it (Koenker & Bassett 1978).

    quantiles (..., k), target (...), levels (k,) in (0, 1), mask (...): a scalar, 0 where nothing is real. A target
    that is not finite must be masked, else ValueError.
    """
    real = torch.ones_like(target, dtype=torch.bool) if mask is None else mask
    _finite_where(target, real)
    short = torch.where(real[..., None], target[..., None] - quantiles, torch.zeros_like(quantiles))
    loss = torch.maximum(levels * short, (levels - 1) * short)
    return loss.sum() / (real.sum() * levels.numel()).clamp(min=1)


def fair_crps(draws: Tensor, target: Tensor) -> Tensor:
    """Fair continuous ranked probability score of n draws, element by element: (n, ...), (...) -> (...).

    mean |x - y| - 1 / (n (n - 1)) sum_{i<j} |x_i - x_j|: unbiased in n (Ferro 2014, eq. 2); the pair sum
    comes from the sorted draws in O(n log n). In the target's unit. Raises ValueError with fewer than two
    draws.
    """
    n = draws.shape[0]
    if n < 2:
        msg = f"expected at least two draws for a fair score, got {n}"
        raise ValueError(msg)
    error = draws - target
    rank = torch.arange(1, n + 1, dtype=draws.dtype, device=draws.device)
    weight = (2 * rank - n - 1).reshape(-1, *[1] * target.ndim)
    pairs = (weight * error.sort(dim=0).values).sum(0)
    return error.abs().mean(0) - pairs / (n * (n - 1))


def media_proximity(
    times: Tensor, change_times: Tensor, change_mask: Tensor, tau_h: float | Tensor
) -> Tensor:
    """How near after a media change each time is: 1 at the change, exp(-dt / tau_h) later, 0 before: (b, t).

    times (b, t) [h], change_times (b, e) [h], change_mask (b, e), tau_h [h] a number or (b,): ValueError where it is
    not positive. The latest change counts; no change gives 0.
    """
    tau = torch.as_tensor(tau_h, dtype=times.dtype, device=times.device)
    if not torch.compiler.is_compiling() and not bool((tau > 0).all()):
        msg = f"expected a positive tau_h [h], got {float(tau.min()):g}"
        raise ValueError(msg)
    since = times[:, :, None] - change_times[:, None, :]
    after = change_mask[:, None, :] & (since >= 0)
    since = torch.where(after, since, torch.zeros_like(since))
    near = torch.exp(-since / (tau[:, None, None] if tau.ndim else tau))
    near = torch.where(after, near, torch.zeros_like(near))
    return torch.cat([near, torch.zeros_like(times)[..., None]], dim=-1).amax(-1)
