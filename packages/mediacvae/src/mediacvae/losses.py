"""Losses of the autoencoder, as pure functions. Letters: n media, m ingredients, l features of the latent."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def kl(mean: Tensor, logvar: Tensor, prior_mean: Tensor, prior_logvar: Tensor) -> Tensor:
    """Kullback-Leibler divergence of two diagonal Gaussians, (n, l) each, feature by feature, (n, l), in nats.

    Kingma and Welling 2014, appendix B, for any prior.
    """
    ratio = (logvar - prior_logvar).exp()
    return 0.5 * (ratio + (mean - prior_mean) ** 2 / prior_logvar.exp() - 1 - (logvar - prior_logvar))


def free_bits(divergence: Tensor, least: float) -> Tensor:
    """Mean over media of the divergence (n, l), a scalar; a feature costs `least` nats at least (Kingma 2016, eq. 15).

    A feature that says less than that has no reason to say nothing: the posterior does not collapse.
    """
    return divergence.mean(dim=0).clamp_min(least).sum()


def hurdle(present: Tensor, amount: Tensor, logits: Tensor, mean: Tensor, log_sd: Tensor) -> Tensor:
    """Negative log likelihood of media (n,) [nats]: which ingredients are there, and of those how much.

    present: (n, m) in {0, 1}. amount: (n, m) standardised log amounts, read where present only. logits, mean:
    (n, m). log_sd: (m,) of the amounts. A log-normal hurdle: Bernoulli times log-normal.
    """
    there = F.binary_cross_entropy_with_logits(logits, present, reduction="none")
    z = (torch.where(present > 0, amount, mean) - mean) * (-log_sd).exp()
    much = 0.5 * z**2 + log_sd + 0.5 * math.log(2 * math.pi)
    return (there + present * much).sum(dim=1)
