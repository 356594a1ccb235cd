"""What is usual in media that people make, and recipes put right by it.

Letters: b media of a library, n recipes, m ingredients; amounts in g/L.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mediacvae.base import MAIN
from mediacvae.ingredients import substance
from mediacvae.recipes import Plausible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediacvae.constraints import Constraints

MOST = 95  # percentile of an ingredient's amounts, above which no draw goes


@dataclass(frozen=True)
class Practice:
    """Of a library's media. usual, most: (m,) [g/L], median and `MOST`th percentile of an ingredient where it is.

    ingredients: the names of the m columns. plausible: what media look like as a whole. forms: as `forms` gives them.
    """

    ingredients: tuple[str, ...]
    plausible: Plausible
    usual: np.ndarray
    most: np.ndarray
    forms: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, media: np.ndarray, ingredients: Sequence[str]) -> Practice:
        """Of media (b, m) [g/L]; an ingredient that is in none is usually 0, and may be any amount."""
        held = np.where(media > 0, media, np.nan)
        none = ~(media > 0).any(axis=0)
        held[:1, none] = 0.0
        most = np.nanpercentile(held, MOST, axis=0, method="higher")
        return cls(
            tuple(ingredients),
            Plausible.fit(media, ingredients),
            np.nanmedian(held, axis=0),
            np.where(none, np.inf, most),
            forms(ingredients),
        )

    def obeying(
        self, recipes: np.ndarray, value: np.ndarray, chance: np.ndarray, constraints: Constraints
    ) -> np.ndarray:
        """Recipes (n, m) [g/L] that obey, with one form of each substance and a carbon or complex source that feeds.

        value: (n, m) what an ingredient is worth, by which a form is chosen; chance: (n or 1, m), by which food is.
        Raises ValueError as `Constraints.apply`.
        """
        recipes = constraints.apply(recipes, self.ingredients, usual=self.usual)
        kept = np.isin(self.ingredients, list(constraints.require))
        recipes = one_form(recipes, value, self.forms, kept)
        cap = np.array([constraints.cap.get(name, np.inf) for name in self.ingredients])
        food = self.plausible.carbon & ~constraints.forbidden(self.ingredients) & (cap > MAIN)
        return fed(recipes, chance, food, np.minimum(np.maximum(self.usual, MAIN * 1.01), cap))


def forms(ingredients: Sequence[str]) -> tuple[np.ndarray, ...]:
    """Numbers of ingredients that are forms of one substance, a vector (f,) a substance of which there are several."""
    found: dict[str, list[int]] = {}
    for at, name in enumerate(ingredients):
        found.setdefault(substance(name), []).append(at)
    return tuple(np.array(own) for own in found.values() if len(own) > 1)


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


def fed(recipes: np.ndarray, chance: np.ndarray, food: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Recipes (n, m) with food each: where there is none, that of most chance (n or 1, m).

    food: (m,) bool, carbon and complex sources that are allowed. amount: (m,) [g/L] that is given of them.
    """
    chance = np.broadcast_to(chance, recipes.shape)
    hungry = np.flatnonzero(~((recipes > MAIN) & food).any(axis=1)) if food.any() else np.zeros(0, dtype=int)
    recipes = recipes.copy()
    best = np.argmax(np.where(food, chance[hungry], -1.0), axis=1)
    recipes[hungry, best] = amount[best]
    return recipes
