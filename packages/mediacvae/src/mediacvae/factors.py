"""What the network has put where: of each feature of its latent, the ingredients that it moves.

Letters: n pairs, m ingredients, l features of the latent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from mediacvae.attribution import baseline_of
from mediacvae.expectation import moments

if TYPE_CHECKING:
    from mediacvae.model import ConditionalMediaVAE
    from mediacvae.predictor import MediaModel

ACTIVE = 0.01  # variance of the posterior mean above which a feature says something of media (Burda 2016, section 4.3)
APART = 2.0  # standard deviations of the aggregate posterior to either side
BLOCK = 4096  # pairs looked at together


@dataclass(frozen=True)
class Factors:
    """The latent of a trained network.

    variance: (l,) of the posterior mean over training pairs. moves: factor (from 1, the most active first), level
    (`genus` for what organisms of a genus share, `strain`), variance, ingredient, chance and amount [log1p g/L]: how
    much more there is at two standard deviations above the mean than at two below.
    """

    variance: np.ndarray
    moves: pd.DataFrame

    @property
    def active(self) -> int:
        """Features whose posterior mean varies."""
        return int((self.variance > ACTIVE).sum())


@torch.no_grad()
def factors(model: MediaModel, condition: np.ndarray | None = None, *, top: int = 5) -> Factors:
    """The ingredients that each feature of the latent moves, `top` of each, the strongest first.

    condition: (1, d) of the organism for which the latent is decoded; without it, the mean training organism. Raises
    ValueError for a model without a network.
    """
    net = model.vae
    if net is None:
        msg = "this model was trained without a network (model_type=base): it has no latent"
        raise ValueError(msg)
    if condition is None:
        blank = np.zeros_like(model.conditions[:1])
        condition = baseline_of(model, blank)
    means, spread = _posterior(net, model)
    variance = means.var(axis=0)
    # of the aggregate posterior: variance of the means, mean of the variances
    wide = np.sqrt(variance + spread)
    ends = np.concatenate([means.mean(axis=0) + sign * APART * np.diag(wide) for sign in (1.0, -1.0)])
    device = net.log_sd.device
    given = net.given(torch.as_tensor(np.asarray(condition, np.float32), device=device)).expand(len(ends), -1)
    out = net.decode(torch.as_tensor(ends.astype(np.float32), device=device), given)
    amount, _, there = (part.double().cpu().numpy() for part in moments(net, *out))
    high, low = slice(0, len(variance)), slice(len(variance), None)
    chance, amount = there[high] - there[low], amount[high] - amount[low]
    rows = []
    for number, at in enumerate(np.argsort(-variance, kind="stable"), start=1):
        level = "genus" if at < net.options.genus else "strain"
        strength = np.abs(chance[at]) + np.abs(amount[at])
        rows += [
            (number, level, variance[at], model.ingredients[j], chance[at, j], amount[at, j])
            for j in np.argsort(-strength, kind="stable")[:top]
        ]
    columns = ["factor", "level", "variance", "ingredient", "chance", "amount"]
    return Factors(variance, pd.DataFrame(rows, columns=columns))


def _posterior(net: ConditionalMediaVAE, model: MediaModel) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means (n, l) of the training pairs, and the mean of their variances (l,)."""
    means, spreads, device = [], [], net.log_sd.device
    for a in range(0, len(model.pairs), BLOCK):
        organism, medium = model.pairs[a : a + BLOCK].T
        given = net.given(torch.as_tensor(model.conditions[organism].astype(np.float32), device=device))
        media = torch.as_tensor(model.media[medium].astype(np.float32), device=device)
        mean, logvar = net.posterior_of(media, given)
        means.append(mean.double().cpu().numpy())
        spreads.append(logvar.exp().double().cpu().numpy())
    return np.concatenate(means), np.concatenate(spreads).mean(axis=0)
