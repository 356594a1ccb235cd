"""New recipes as the network draws them.

A draw says of each ingredient how likely it is and how much of it. The recipe takes as many of them as the draw
expects, the likeliest first: with each by its own chance, recipes would be mixtures that nobody has made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit

from mediacvae.base import MAIN

if TYPE_CHECKING:
    from mediacvae.model import ConditionalMediaVAE

TINY = 1e-6


def drawn(
    vae: ConditionalMediaVAE, condition: np.ndarray, n: int, own: np.ndarray, chance: np.ndarray, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws for a condition (1, d): recipes (n, m) [g/L], and the value (n, m) of each ingredient to its draw.

    own, chance: (1, m) chances by the network alone, and those that its draws are moved to.
    """
    logits, amount = vae.draws(n, condition, seed=seed)
    grams = vae.in_grams(amount)
    if not vae.hurdle:  # no chances to move; traces are what is left of a ReLU
        return np.where(grams > MAIN, grams, 0.0), grams
    logits = logits + logit(np.clip(chance, TINY, 1 - TINY)) - logit(np.clip(own, TINY, 1 - TINY))
    count = np.rint(expit(logits).sum(axis=1, keepdims=True))
    place = np.argsort(np.argsort(-logits, axis=1, kind="stable"), axis=1)
    return np.where(place < count, grams, 0.0), logits
