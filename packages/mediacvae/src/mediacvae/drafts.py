"""New recipes as the network draws them, and what every recipe is put right in.

A draw says of each ingredient how likely it is and how much of it. The recipe takes as many of them as the draw
expects, the likeliest first: with each by its own chance, recipes would be mixtures that nobody has made. Letters:
n recipes, m ingredients; amounts in g/L.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit

from mediacvae.base import MAIN
from mediacvae.ingredients import substance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediacvae.constraints import Constraints
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


def forms(ingredients: Sequence[str]) -> list[np.ndarray]:
    """Numbers of ingredients that are forms of one substance, where there are several."""
    found: dict[str, list[int]] = {}
    for at, name in enumerate(ingredients):
        found.setdefault(substance(name), []).append(at)
    return [np.array(own) for own in found.values() if len(own) > 1]


def one_form(
    recipes: np.ndarray, value: np.ndarray, same: Sequence[np.ndarray], kept: np.ndarray
) -> np.ndarray:
    """Recipes (n, m) with one form of each substance, that of most value (n, m), and those that must be kept (m,)."""
    recipes = recipes.copy()
    for own in same:
        part = np.where(recipes[:, own] > 0, np.where(kept[own], np.inf, value[:, own]), -np.inf)
        best = part >= part.max(axis=1, keepdims=True)
        recipes[:, own] = np.where(best, recipes[:, own], 0.0)
    return recipes


def fed(
    recipes: np.ndarray, chance: np.ndarray, food: np.ndarray, usual: np.ndarray, cap: np.ndarray
) -> np.ndarray:
    """Recipes (n, m) with a carbon or complex source each: where there is none, that of most chance (n or 1, m).

    food: (m,) bool, sources that are allowed. usual, cap: (m,) [g/L], the amount it gets and may have.
    """
    chance = np.broadcast_to(chance, recipes.shape)
    hungry = np.flatnonzero(~((recipes > MAIN) & food).any(axis=1))
    recipes = recipes.copy()
    for row in hungry if food.any() else ():
        best = int(np.argmax(np.where(food, chance[row], -1.0)))
        recipes[row, best] = min(max(usual[best], MAIN * 1.01), cap[best])
    return recipes


def caps(ingredients: Sequence[str], constraints: Constraints) -> np.ndarray:
    """The greatest amounts (m,) that are allowed."""
    return np.array([constraints.cap.get(name, np.inf) for name in ingredients])
