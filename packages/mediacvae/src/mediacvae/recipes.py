"""Recipes: vectors of g/L over a list of ingredients; as tables, plausible or not, and a choice of different ones.

Letters: n recipes, m ingredients; x: (n, m) [g/L], 0 where an ingredient is absent.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mediacvae.ingredients import is_carbon
from mediacvae.names import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = ("recipe", "ingredient", "g_per_l")
FOOD = 0.01  # [g/L] above which a carbon or complex source counts as one
FEWEST = 3  # ingredients of a recipe
RANGE = (0.5, 99.5)  # percentiles of real media within which a recipe lies


@dataclass(frozen=True)
class Plausible:
    """What real media look like: their total and their number of ingredients; and what feeds.

    carbon: (m,) bool, ingredients that are a carbon or complex source (`mediacvae.ingredients.is_carbon`).
    """

    total: tuple[float, float]  # [g/L]
    count: tuple[float, float]
    carbon: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, ingredients: Sequence[str]) -> Plausible:
        """Ranges of real media x (n, m): from the 0.5th to the 99.5th percentile.

        Media of fewer than `FEWEST` of the ingredients say nothing of their number: the rest of them is among rarer
        ingredients. Of the 2,923 MediaDive media with 3 or more of the 256 commonest ingredients, 84 % are valid; 15 %
        name no carbon source there (half of these hold a carbonate, a fifth name a source among their rarer ones).
        Raises ValueError where there are no media, or numbers that are negative or not finite.
        """
        x = _checked(x, len(ingredients))
        if not len(x):
            msg = "plausible recipes are learnt from real media: expected at least 1, got 0"
            raise ValueError(msg)
        total = np.percentile(x.sum(axis=1), RANGE)
        counts = (x > 0).sum(axis=1)
        counts = counts[counts >= FEWEST] if (counts >= FEWEST).any() else counts
        count = [
            np.percentile(counts, end, method=how)
            for end, how in zip(RANGE, ("lower", "higher"), strict=True)
        ]
        carbon = np.array([is_carbon(name) for name in ingredients], dtype=bool)
        return cls((float(total[0]), float(total[1])), (float(count[0]), float(count[1])), carbon)

    def valid(self, x: np.ndarray) -> np.ndarray:
        """Which recipes x (n, m) are finite, not negative, in range, and hold a carbon or complex source: (n,) bool.

        Raises ValueError for another number of ingredients.
        """
        return np.asarray(~np.logical_or.reduce(list(self._faults(x).values())))

    def why(self, x: np.ndarray) -> list[list[str]]:
        """For each recipe of x (n, m), what is not plausible about it; an empty list where nothing is."""
        x = np.asarray(x, dtype=float)
        said: list[list[str]] = [[] for _ in x]
        texts = {
            "finite": lambda row: "holds amounts that are not finite",
            "negative": lambda row: f"holds a negative amount ({np.nanmin(row):.3g} g/L)",
            "total": lambda row: (
                f"{row.sum():.3g} g/L in all, real media have {self.total[0]:.3g} to {self.total[1]:.3g}"
            ),
            "count": lambda row: (
                f"{int((row > 0).sum())} ingredients, real media have {self.count[0]:.3g} to {self.count[1]:.3g}"
            ),
            "food": lambda row: f"no carbon or complex source above {FOOD:g} g/L",
        }
        for name, fault in self._faults(x).items():
            for i in np.flatnonzero(fault):
                said[i].append(texts[name](x[i]))
        return said

    def _faults(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Each fault by name, (n,) bool; a recipe that is not finite has no other fault."""
        x = np.asarray(x, dtype=float)
        _shaped(x, len(self.carbon))
        finite = np.asarray(np.isfinite(x).all(axis=1), dtype=bool)
        x = np.where(finite[:, None], x, 0.0)
        total, count = x.sum(axis=1), (x > 0).sum(axis=1)
        made = {
            "finite": ~finite,
            "negative": (x < 0).any(axis=1),
            "total": (total < self.total[0]) | (total > self.total[1]),
            "count": (count < self.count[0]) | (count > self.count[1]),
            "food": ~(x[:, self.carbon] > FOOD).any(axis=1),
        }
        return {name: fault & (finite | (name == "finite")) for name, fault in made.items()}


def to_table(x: np.ndarray, ingredients: Sequence[str], *, least: float = 0.0) -> pd.DataFrame:
    """Recipes (n, m) [g/L] as rows `recipe, ingredient, g_per_l`: numbered from 1, the largest amount of each first.

    least: amounts [g/L] up to this one are left out. Ingredients are spelt as given.
    Raises ValueError for amounts that are negative or not finite.
    """
    x = _checked(x, len(ingredients))
    if not least >= 0:
        msg = f"least: expected a number of g/L >= 0, got {least!r}"
        raise ValueError(msg)
    rows: list[np.ndarray] = [np.flatnonzero(row > least) for row in x]
    rows = [at[np.argsort(-row[at], kind="stable")] for at, row in zip(rows, x, strict=True)]
    at = np.concatenate(rows) if rows else np.zeros(0, dtype=int)
    recipe = np.repeat(np.arange(len(x)), [len(one) for one in rows])
    return pd.DataFrame(
        {
            "recipe": recipe + 1,
            "ingredient": np.array([str(name) for name in ingredients], dtype=object)[at],
            "g_per_l": x[recipe, at],
        },
        columns=pd.Index(COLUMNS),
    )


def from_table(frame: pd.DataFrame, ingredients: Sequence[str]) -> np.ndarray:
    """The vectors x (n, m) [g/L] of a table `recipe, ingredient, g_per_l`; recipes in the order of their numbers.

    Raises ValueError, naming the row, for a missing column, an unknown ingredient (with the nearest known one), one
    named twice in a recipe, and amounts that are negative or not finite.
    """
    if missing := [name for name in COLUMNS if name not in frame.columns]:
        msg = f"recipes: expected the columns {', '.join(COLUMNS)}; {', '.join(missing)} is missing"
        raise ValueError(msg)
    place = {str(name): j for j, name in enumerate(ingredients)}
    given = [list(frame[name]) for name in COLUMNS]
    rows = [_row(f"recipes, row {i}", one, place) for i, one in enumerate(zip(*given, strict=True), start=1)]
    numbers = sorted({recipe for recipe, _, _ in rows})
    order = {recipe: i for i, recipe in enumerate(numbers)}
    x = np.full((len(numbers), len(place)), np.nan)
    for i, (recipe, j, amount) in enumerate(rows, start=1):
        if not np.isnan(x[order[recipe], j]):
            msg = f"recipes, row {i}: {given[1][i - 1]!r} is named twice in recipe {recipe}"
            raise ValueError(msg)
        x[order[recipe], j] = amount
    return np.nan_to_num(x, nan=0.0)


def _row(where: str, row: tuple[object, object, object], place: Mapping[str, int]) -> tuple[int, int, float]:
    """Number of the recipe, place of the ingredient and g/L of a table's row."""
    recipe, name, amount = (str(value).strip() for value in row)
    if not re.fullmatch(r"[0-9]{1,9}(\.0)?", recipe):
        msg = f"{where}: recipe: expected a whole number, got {recipe!r}"
        raise ValueError(msg)
    if name not in place:
        msg = f"{where}: unknown ingredient {name!r}{nearest(name, place, as_read=str.lower)}"
        raise ValueError(msg)
    try:
        value = float(amount)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        msg = f"{where}: g_per_l of {name!r}: expected a finite number >= 0, got {amount!r}"
        raise ValueError(msg)
    return int(float(recipe)), place[name], value


def shortlist(value: np.ndarray, chance: np.ndarray, share: float) -> np.ndarray:
    """Which ingredients to put in recipes, (n, m) bool: in the order of their value, and as many as are worth it.

    value: (n, m) any numbers, more is better. chance: (n, m) of being in the true recipe, by which the Jaccard index
    that k ingredients can expect is about sum of theirs / (k + sum of the others'). share: the list is the longest one
    that expects at least this share of the greatest; lists have `FEWEST` ingredients at least.
    """
    order = np.argsort(-value, axis=1, kind="stable")
    hits = np.cumsum(np.take_along_axis(chance, order, axis=1), axis=1)
    k = np.arange(1, value.shape[1] + 1)
    alike = hits / (k + chance.sum(axis=1, keepdims=True) - hits)
    length = np.where(alike >= share * alike.max(axis=1, keepdims=True), k, 0).max(axis=1)
    made = np.zeros(value.shape, dtype=bool)
    np.put_along_axis(made, order, k <= np.maximum(length, FEWEST)[:, None], axis=1)
    return made


def diverse(x: np.ndarray, score: np.ndarray, n: int, share: float = 0.5) -> np.ndarray:
    """Rows of x (r, m) for n good recipes that differ: maximal marginal relevance.

    Carbonell and Goldstein 1998, eq. 1. score: (r,) any finite numbers, more is better; scaled here to 0 to 1. share: 0
    takes the best, 1 the most unlike (cosine of log1p g/L) those already taken. The first row is always the best. Fewer
    come back where x has fewer. Raises ValueError for scores that do not fit x or are not finite, n below 1, and a
    share out of range.
    """
    x, score = _checked(x, np.asarray(x).shape[-1]), np.asarray(score, dtype=float)
    if score.shape != (len(x),) or not np.isfinite(score).all():
        msg = f"score: expected {len(x)} finite numbers, got shape {score.shape}"
        raise ValueError(msg)
    if n < 1 or not 0.0 <= share <= 1.0:
        msg = f"n and share: expected n >= 1 and a share in [0, 1], got {n!r} and {share!r}"
        raise ValueError(msg)
    if not len(x):
        return np.zeros(0, dtype=int)
    good = (score - score.min()) / max(float(np.ptp(score)), np.finfo(float).tiny)
    unit = np.log1p(x)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), np.finfo(float).tiny)
    taken = [int(good.argmax())]
    like = unit @ unit[taken[0]]
    while len(taken) < min(n, len(x)):
        gain = (1.0 - share) * good - share * like
        gain[taken] = -np.inf
        taken.append(int(gain.argmax()))
        like = np.maximum(like, unit @ unit[taken[-1]])
    return np.array(taken)


def _checked(x: np.ndarray, m: int) -> np.ndarray:
    """Amounts (n, m) in float64; ValueError where one is negative or not finite."""
    x = np.asarray(x, dtype=float)
    _shaped(x, m)
    bad = np.asarray(~(np.isfinite(x) & (x >= 0)))
    if bad.any():
        i, j = (int(at[0]) for at in np.nonzero(bad))
        msg = f"recipe {i + 1}, ingredient {j + 1}: expected a finite number of g/L >= 0, got {x[i, j]}"
        raise ValueError(msg)
    return x


def _shaped(x: np.ndarray, m: int) -> None:
    """Refuse what is not (n, m)."""
    if x.ndim != 2 or x.shape[1] != m:
        msg = f"recipes: expected a table of {m} ingredients a row, got shape {x.shape}"
        raise ValueError(msg)
