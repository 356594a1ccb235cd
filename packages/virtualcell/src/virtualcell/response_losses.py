"""What a predicted population is held against: a mean, cells as a distribution, counts by their likelihood.

Letters: b rows, p predicted cells, m real cells (one with NaN is none), n tokens; `real: (b, n)` bool are scored.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cytosol.masking import masked_mean
from virtualcell.losses import energy_distance, negative_binomial

TINY = 1e-12


def squared_error(values: Tensor, target: Tensor, real: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean squared error of the mean of `values: (b, p, n)` against `target: (b, n)`: ().

    weight: (b, n) or (b,), 0 and more; genes of weight 0 may hold anything.
    """
    if weight is not None:
        weight = (weight if weight.ndim == 2 else weight[:, None]).expand(real.shape)
        real = real & (weight > 0)
    error = (values.mean(1) - target.masked_fill(~real, 0.0)).square()
    if weight is None:
        return masked_mean(error, real)
    return masked_mean(error * weight, real) / masked_mean(weight, real).clamp_min(TINY)


def amount_scored(real: Tensor, weight: Tensor | None = None) -> Tensor:
    """What `squared_error` is the mean over: how many genes `real: (b, n)` scores, or their weight, a scalar."""
    if weight is None:
        return real.sum()
    weight = weight if weight.ndim == 2 else weight[:, None]
    return weight.expand(real.shape).masked_fill(~real, 0.0).sum()


def real_cells(cells: Tensor, real: Tensor) -> Tensor:
    """Which of `cells: (b, m, n)` are cells, (b, m) bool."""
    return (cells.isfinite() | ~real[:, None]).all(-1)


def population_energy(values: Tensor, cells: Tensor, real: Tensor) -> Tensor:
    """Energy distance of `values: (b, p, n)` to `cells: (b, m, n)`, () the mean over rows; distances are root mean
    squares over genes, so that it does not grow with their number. Unbiased where there are two cells and more.
    """
    there = real_cells(cells, real)
    scale = real.sum(-1).clamp_min(1).sqrt()[:, None, None]
    x, y = ((each / scale).masked_fill(~real[:, None], 0.0) for each in (values, cells))
    unbiased = min(values.shape[1], int(there.sum(-1).min())) > 1
    return energy_distance(x, y, y_mask=there, unbiased=unbiased).mean()


def population_likelihood(values: Tensor, log_dispersion: Tensor, cells: Tensor, real: Tensor) -> Tensor:
    """Log likelihood a gene of real counts `cells: (b, m, n)` under the predicted population, (): each of its p cells
    is negative binomial with ln mean `values` and `log_dispersion` (b, p, n), and as likely as any other.
    """
    there = real_cells(cells, real)
    counts = cells.masked_fill(~(there[..., None] & real[:, None]), 0.0)[:, :, None]  # (b, m, 1, n)
    told = negative_binomial(counts, values[:, None].exp(), log_dispersion[:, None])
    by_cell = told.masked_fill(~real[:, None, None], 0.0).sum(-1)
    mixed = torch.logsumexp(by_cell, -1) - math.log(values.shape[1])  # (b, m)
    return masked_mean(mixed / real.sum(-1).clamp_min(1)[:, None], there)
