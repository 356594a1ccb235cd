"""From quantiles to normal scores and back: what lets a diffusion draw curves with exact marginals.

A cell's law is given by k quantiles at normal scores `SCORES`, equally spaced; between them the map from value to
score is linear, beyond them it goes on with the last slope. The diffusion works on scores, whose marginals are
standard normal, and so has only the dependence between cells to learn (a Gaussian copula's coordinates; Sklar 1959).

Letters: b batch, t time, r replicates, k quantiles, n draws.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

K = 17
SCORE_MAX = 2.4
STEP = 2 * SCORE_MAX / (K - 1)
SCORES = torch.linspace(-SCORE_MAX, SCORE_MAX, K)
LEVELS = torch.distributions.Normal(0.0, 1.0).cdf(SCORES)
# Pinball losses weighted by the density make up the CRPS (Gneiting & Ranjan 2011, eq. 10); the floor trains the tails.
WEIGHTS = torch.exp(-0.5 * SCORES**2) / math.sqrt(2 * math.pi) + 0.03
LIMIT = 4.0  # scores beyond it are cut: a fault must not throw the diffusion


def to_scores(value: Tensor, quantiles: Tensor) -> Tensor:
    """Normal scores of `value` (...) under `quantiles` (..., k), increasing: (...), within +-LIMIT."""
    index = (value[..., None] >= quantiles).sum(-1).clamp(1, K - 1)
    low = quantiles.gather(-1, (index - 1)[..., None])[..., 0]
    high = quantiles.gather(-1, index[..., None])[..., 0]
    part = (value - low) / (high - low).clamp_min(1e-9)
    return ((index - 1 + part) * STEP - SCORE_MAX).clamp(-LIMIT, LIMIT)


def from_scores(score: Tensor, quantiles: Tensor) -> Tensor:
    """Values (...) of normal scores (...): the inverse of `to_scores`; quantiles (..., k) broadcast over draws."""
    place = (score + SCORE_MAX) / STEP
    index = place.floor().clamp(0, K - 2).long()
    knots = quantiles.expand(*score.shape, K)
    low = knots.gather(-1, index[..., None])[..., 0]
    high = knots.gather(-1, (index + 1)[..., None])[..., 0]
    return low + (place - index) * (high - low)


def quantile(level: float, quantiles: Tensor) -> Tensor:
    """The quantile (...) at `level` in (0, 1) of the law given by `quantiles` (..., k)."""
    score = torch.special.ndtri(torch.tensor(level, dtype=torch.float64)).to(quantiles)
    return from_scores(score.expand(quantiles.shape[:-1]), quantiles)


def exact_scores(score: Tensor) -> Tensor:
    """The draws' ranks at each cell, as evenly spread normal scores: (n, ...) -> (n, ...).

    Ensemble copula coupling (Schefzik, Thorarinsdottir & Gneiting 2013): the dependence of the draws is kept, their
    marginals become exactly those of the quantiles.
    """
    n = len(score)
    rank = score.argsort(dim=0).argsort(dim=0).to(score.dtype)
    return torch.special.ndtri((rank + 0.5) / n)
