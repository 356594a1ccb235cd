"""What a model is trained against, as pure functions: likelihood of counts, distances of two populations of cells.

Letters: b sets, n and m cells of two populations, g genes. Masks are bool, True = real; padding may hold anything, NaN
too. Values and gradients are finite where points coincide and where a mean is 0. Populations are compared in
float32, or float64 where they come so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from virtualcell.checks import refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

TINY = 1e-12  # the smallest mean of counts
LARGE = 100.0  # sizes r above this by Stirling's series: lgamma(x + r) - lgamma(r) cancels there in float32
SPREADS = (0.5, 1.0, 2.0)  # bandwidths of the kernels, in root mean squares of the distances


def negative_binomial(counts: Tensor, mean: Tensor, log_dispersion: Tensor) -> Tensor:
    """Log likelihood of each count, `(...)` as the three broadcast; variance = mean + exp(log_dispersion) mean^2.

    `counts`: 0 and more, fractions too; `mean`: 0 and more. With r = exp(-log_dispersion) and p = r / (r + mean) it is
    scipy's `nbinom.logpmf(counts, r, p)`; towards -inf it is Poisson's.
    """
    counts, mean, log_dispersion = torch.broadcast_tensors(counts, mean.clamp_min(TINY), log_dispersion)
    r = torch.exp(-log_dispersion)
    rest = torch.log1p(mean / r)
    made = -r * rest
    # most counts are 0, and what follows is 0 for them
    at = (counts > 0).nonzero(as_tuple=True)
    x, own = counts[at], log_dispersion[at]
    more = _rising(x, r[at], own) - torch.lgamma(x + 1) + x * (torch.log(mean[at]) - rest[at])
    return made.index_put(at, more, accumulate=True)


def energy_distance(
    x: Tensor,
    y: Tensor,
    x_mask: Tensor | None = None,
    y_mask: Tensor | None = None,
    *,
    unbiased: bool = False,
) -> Tensor:
    """2 E|x - y| - E|x - x'| - E|y - y'| of populations `(..., n, g)` and `(..., m, g)`: `(...)`, Szekely & Rizzo 2013.

    In one dimension it is the square of `scipy.stats.energy_distance`. unbiased: x' and y' are other cells than x and
    y, so that the mean over small samples is the distance of what they are drawn from; needs two cells in each.
    Raises ValueError for shapes that do not fit, and for a population without cells.
    """
    x, y, x_mask, y_mask = _two(x, y, x_mask, y_mask, least=2 if unbiased else 1)
    between = _mean(torch.cdist(x, y), x_mask, y_mask)
    return (
        2 * between
        - _within(torch.cdist(x, x), x_mask, unbiased=unbiased)
        - _within(torch.cdist(y, y), y_mask, unbiased=unbiased)
    )


def mmd(
    x: Tensor,
    y: Tensor,
    x_mask: Tensor | None = None,
    y_mask: Tensor | None = None,
    *,
    bandwidths: Sequence[float] | None = None,
    unbiased: bool = False,
) -> Tensor:
    """Squared maximum mean discrepancy of `(..., n, g)` and `(..., m, g)`: `(...)` (Gretton et al. 2012).

    The kernel is the mean over `bandwidths` h of exp(-d^2 / 2 h^2); None: .5, 1 and 2 times the root mean square of
    the distances between the populations, through which no gradient goes. Masks, `unbiased` and ValueError as in
    `energy_distance`; ValueError also for a bandwidth of 0 or less.
    """
    x, y, x_mask, y_mask = _two(x, y, x_mask, y_mask, least=2 if unbiased else 1)
    between, own, other = (torch.cdist(a, b).square() for a, b in ((x, y), (x, x), (y, y)))
    if bandwidths is None:
        size = _mean(between.detach(), x_mask, y_mask).clamp_min(TINY).sqrt()
        widths = [spread * size for spread in SPREADS]
    else:
        if not bandwidths or min(bandwidths) <= 0:
            refuse(f"bandwidths: expected numbers above 0, got {list(bandwidths)}")
        widths = [between.new_tensor(h) for h in bandwidths]
    crossing = _mean(_kernel(between, widths), x_mask, y_mask)
    within = (
        _within(_kernel(square, widths), mask, unbiased=unbiased)
        for square, mask in ((own, x_mask), (other, y_mask))
    )
    return sum(within, -2 * crossing)


def _rising(counts: Tensor, r: Tensor, log_dispersion: Tensor) -> Tensor:
    """lgamma(x + r) - lgamma(r) - x log r."""
    small = r.clamp_max(LARGE)
    exact = torch.lgamma(counts + small) - torch.lgamma(small) + counts * log_dispersion
    large = r.clamp_min(LARGE)
    series = (counts + large - 0.5) * torch.log1p(counts / large) - counts
    return torch.where(r < LARGE, exact, series + (1 / (counts + large) - 1 / large) / 12)


def _kernel(square: Tensor, widths: Sequence[Tensor]) -> Tensor:
    return torch.stack([torch.exp(-square / (2 * h**2)[..., None, None]) for h in widths]).mean(0)


def _two(
    x: Tensor, y: Tensor, x_mask: Tensor | None, y_mask: Tensor | None, *, least: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both populations with zeros for padding, moved to where the first one's mean is 0, and their masks."""
    if x.ndim < 2 or y.ndim != x.ndim or x.shape[:-2] != y.shape[:-2] or x.shape[-1] != y.shape[-1]:
        refuse(
            f"populations: expected (..., cells, genes) of the same genes, got {tuple(x.shape)}, {tuple(y.shape)}"
        )
    x_mask, y_mask = _mask(x, x_mask, least), _mask(y, y_mask, least)
    kind = torch.float64 if torch.float64 in (x.dtype, y.dtype) else torch.float32
    x = x.masked_fill(~x_mask[..., None], 0).to(kind)
    y = y.masked_fill(~y_mask[..., None], 0).to(kind)
    # distances do not change, and near 0 they lose no digits
    middle = (x.sum(-2, keepdim=True) / x_mask.sum(-1)[..., None, None]).detach()
    return x - middle, y - middle, x_mask, y_mask


def _mask(x: Tensor, mask: Tensor | None, least: int) -> Tensor:
    if mask is None:
        mask = x.new_ones(x.shape[:-1], dtype=torch.bool)
    if mask.dtype != torch.bool or mask.shape != x.shape[:-1]:
        refuse(
            f"mask: expected bool {tuple(x.shape[:-1])}, True = real, got {mask.dtype} {tuple(mask.shape)}"
        )
    if not mask.shape[-1] or int(mask.sum(-1).min()) < least:
        refuse(f"populations: expected {least} or more real cells in each, got {_fewest(mask)}")
    return mask


def _fewest(mask: Tensor) -> int:
    return int(mask.sum(-1).min()) if mask.numel() else 0


def _mean(values: Tensor, x_mask: Tensor, y_mask: Tensor) -> Tensor:
    """Mean of `(..., n, m)` over real pairs."""
    return _over(values, x_mask[..., :, None] & y_mask[..., None, :])


def _within(values: Tensor, mask: Tensor, *, unbiased: bool) -> Tensor:
    """Mean over the pairs of one population, of a cell with itself too unless unbiased."""
    if not unbiased:
        return _mean(values, mask, mask)
    own = torch.eye(mask.shape[-1], dtype=torch.bool, device=mask.device)
    return _over(values, mask[..., :, None] & mask[..., None, :] & ~own)


def _over(values: Tensor, pairs: Tensor) -> Tensor:
    return torch.where(pairs, values, 0).sum((-2, -1)) / pairs.sum((-2, -1))
