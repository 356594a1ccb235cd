"""What the network expects of an organism: moments over its latent. Letters as in `model`; s draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from mediacvae.base import MAIN, Expected

if TYPE_CHECKING:
    from mediacvae.model import ConditionalMediaVAE

# Gauss-Hermite nodes and weights of a standard normal (Abramowitz and Stegun 25.4.46, n = 5): an amount's spread
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@torch.no_grad()
def expected(net: ConditionalMediaVAE, conditions: np.ndarray, *, draws: int, seed: int = 0) -> Expected:
    """Means over latent, thinned networks and the spread of amounts, for conditions (n, d): `Expected`, (n, m) each."""
    given, mean, sd = _prior(net, conditions)
    samples = net.samples(draws, seed=seed)
    total = [torch.zeros(len(mean), net.media_dim, device=mean.device) for _ in range(3)]
    for at in range(draws):
        # The same draws for all: what one can expect does not depend on who else is asked about
        noise, masks = samples.row(at)
        out = net.decode(mean + sd * noise, given, masks)
        for sum_, part in zip(total, moments(net, *out), strict=True):
            sum_ += part / draws
    return Expected(*(part.double().cpu().numpy() for part in total))


@torch.no_grad()
def doubt(net: ConditionalMediaVAE, conditions: np.ndarray, *, draws: int, seed: int = 0) -> np.ndarray:
    """How far thinned networks differ about the chance of each ingredient, (n, m): standard deviation.

    The latent is the middle of its prior: how far media differ for one organism is no doubt about the organism.
    """
    given, mean, _ = _prior(net, conditions)
    samples = net.samples(draws, seed=seed)
    chances = [moments(net, *net.decode(mean, given, samples.row(at).masks))[2] for at in range(draws)]
    return torch.stack(chances).std(dim=0, correction=0).double().cpu().numpy()


def _prior(
    net: ConditionalMediaVAE, conditions: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What conditions (n, d) give, and mean and standard deviation of the latent (n, l)."""
    given = net.given(torch.as_tensor(np.asarray(conditions, dtype=np.float32), device=net.log_sd.device))
    mean, logvar = net.prior_of(given)
    return given, mean, (0.5 * logvar).exp()


def moments(
    net: ConditionalMediaVAE, logits: torch.Tensor, amount: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean log1p g/L, chance of more than `MAIN` g/L and chance of being there, (n, m), of one latent each.

    logits, amount: (n, m), as `ConditionalMediaVAE.decode` gives them.
    """
    if not net.hurdle:
        log1p = amount.relu()
        there = (log1p.expm1() > MAIN).to(amount)  # below it are traces that a ReLU leaves
        return log1p, there, there
    there, spread = logits.sigmoid(), net.amount_log_sd.exp()
    log1p, main = torch.zeros_like(amount), torch.zeros_like(amount)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        grams = net.grams(amount + float(node) * spread)
        log1p += float(weight) * torch.log1p(grams)
        main += float(weight) * (grams > MAIN)
    return there * log1p, there * main, there
