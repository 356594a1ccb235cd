"""Does it grow, yes or no: a Gaussian process over organisms and media, fitted to what was tried.

The log odds are a sum of effects: of the medium, of the organism (its own, and shared with those like it), and of the
two together. Known results of the organism at hand are fitted with the rest: each changes all its odds. Laplace's
approximation (Rasmussen and Williams 2006, algorithms 3.1 and 3.2). Letters: n results, p organisms, t media.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.special import expit

from mediacvae.kernels import Kernel

ROUNDS, CLOSE = 50, 1e-6  # of Newton's method
DOUBT = 0.3  # share of the variance that draws odds to the middle; all of it makes them too timid
FOUR_IN_FIVE = 1.2816  # standard deviations to either side of a normal's middle that hold 80 %
MOST = 4000  # results that are fitted; of more, whole organisms are left out


@dataclass(frozen=True)
class Strengths:
    """Variances of the effects on the log odds; chosen on the Tramontano (2018) strains, by genus left out."""

    common: float = 0.3
    medium: float = 1.5  # of a medium's own
    recipe: float = 0.3  # shared by media of like ingredients
    organism: float = 6.0
    kin: float = 2.0  # shared by organisms of whom the like is known
    genus: float = 0.3
    species: float = 0.5
    taste: float = 3.0  # of organisms of whom the like is known, for media of like ingredients
    own_taste: float = 0.5  # of the organism itself


@dataclass(frozen=True)
class Who:
    """Organisms: id, genus and species (empty: not known), conditions (p, d)."""

    ids: Sequence[str]
    genus: Sequence[str]
    species: Sequence[str]
    conditions: np.ndarray


@dataclass(frozen=True)
class Odds:
    """Of results: mean and variance of the log odds, (n,)."""

    mean: np.ndarray
    variance: np.ndarray

    @property
    def probability(self) -> np.ndarray:
        """That it grows, (n,): between the odds of the mean and the mean of the odds (MacKay 1992, eq. 10)."""
        return expit(self.mean / np.sqrt(1 + DOUBT * np.pi * self.variance / 8))

    @property
    def span(self) -> np.ndarray:
        """Between which probabilities the odds lie four times in five, (n, 2)."""
        return expit(self.mean[:, None] + np.sqrt(self.variance)[:, None] * [-FOUR_IN_FIVE, FOUR_IN_FIVE])


@dataclass(frozen=True)
class GrowthModel:
    """What was tried. organism, medium: (n,) numbers into `who` and `media` (ids); grew: (n,) bool.

    kernel: how alike organisms are. recipes: the ingredients of each medium, as `plain` names. strengths: of the
    effects, as variances.
    """

    kernel: Kernel
    who: Who
    media: tuple[str, ...]
    recipes: Mapping[str, frozenset[str]]
    organism: np.ndarray
    medium: np.ndarray
    grew: np.ndarray
    strengths: Strengths = Strengths()

    def odds(
        self,
        who: Who,
        organism: np.ndarray,
        media: Sequence[str],
        recipes: Mapping[str, frozenset[str]],
        known: Sequence[tuple[int, str, bool]] = (),
    ) -> Odds:
        """Odds of growth of organisms (n,) of `who` on media (n,), whose ingredients are in `recipes`.

        organism: numbers of `who`. known: results (number of the organism in `who`, medium, growth) that are learned
        from as well.
        """
        both = {**self.recipes, **recipes}
        asked = _Cases(who, np.asarray(organism), tuple(media), both)
        cases, grew = self._with(who, known, both)
        k = self._covariance(cases, cases)
        weights, root, lower = _laplace(k, grew)
        cross = self._covariance(asked, cases)
        down = solve_triangular(lower, root[:, None] * cross.T, lower=True)
        variance = self._own(asked) - (down**2).sum(axis=0)
        return Odds(cross @ weights, np.maximum(variance, 0.0))

    def information(self, odds: Odds) -> np.ndarray:
        """What trying would say about the log odds, (n,) in nats: the mutual information (Houlsby 2011, eq. 2)."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(21)
        values = expit(odds.mean[:, None] + np.sqrt(odds.variance)[:, None] * nodes)
        weights = weights / weights.sum()
        return np.maximum(_entropy(values @ weights) - _entropy(values) @ weights, 0.0)

    def _with(
        self, who: Who, known: Sequence[tuple[int, str, bool]], recipes: Mapping[str, frozenset[str]]
    ) -> tuple[_Cases, np.ndarray]:
        """What was tried, and what is known beside it."""
        if not known:
            media = tuple(self.media[at] for at in self.medium)
            return _Cases(self.who, self.organism, media, recipes), self.grew
        together = Who(
            [*self.who.ids, *who.ids],
            [*self.who.genus, *who.genus],
            [*self.who.species, *who.species],
            np.concatenate([self.who.conditions, who.conditions]),
        )
        rows = np.concatenate([self.organism, [len(self.who.ids) + at for at, _, _ in known]]).astype(
            np.int64
        )
        media = (*(self.media[at] for at in self.medium), *(name for _, name, _ in known))
        grew = np.concatenate([self.grew, [grew for _, _, grew in known]]).astype(bool)
        return _Cases(together, rows, media, recipes), grew

    def _covariance(self, a: _Cases, b: _Cases) -> np.ndarray:
        own = self.strengths
        kin = self.kernel.correlation(a.conditions, b.conditions)[np.ix_(a.organism, b.organism)]
        same = _same(a.ids, b.ids)
        medium = _same(a.media, b.media)
        recipe = a.likeness(b)
        return (
            own.common
            + own.medium * medium
            + own.recipe * recipe
            + own.organism * same
            + own.kin * kin
            + own.genus * _same(a.genus, b.genus)
            + own.species * _same(a.species, b.species)
            + (own.taste * kin + own.own_taste * same) * recipe
        )

    def _own(self, a: _Cases) -> np.ndarray:
        """The variance of each case before anything is known of it."""
        own = self.strengths
        known = (self.kernel.own(a.conditions) > 0)[a.organism]
        kind = np.array([name != "" for name in a.genus]) * own.genus
        kind = kind + np.array([name != "" for name in a.species]) * own.species
        each = own.common + own.medium + own.recipe + own.organism + own.own_taste + kind
        return each + (own.kin + own.taste) * known


class _Cases:
    """Organisms on media, case by case."""

    def __init__(
        self,
        who: Who,
        organism: np.ndarray,
        media: tuple[str, ...],
        recipes: Mapping[str, frozenset[str]],
    ) -> None:
        self.conditions, self.organism, self.media = who.conditions, organism, np.array(media, dtype=object)
        self.ids = np.array(who.ids, dtype=object)[organism]
        self.genus = np.array(who.genus, dtype=object)[organism]
        self.species = np.array(who.species, dtype=object)[organism]
        self.recipes = recipes

    def likeness(self, other: _Cases) -> np.ndarray:
        """Cosine of what media hold, case by case; a medium is like itself also where its recipe is not known."""
        mine, row = np.unique(self.media.astype(str), return_inverse=True)
        its, column = np.unique(other.media.astype(str), return_inverse=True)
        words = sorted(frozenset[str]().union(*(self.recipes.get(name, ()) for name in mine)))
        left, right = (_unit_rows(media, self.recipes, words) for media in (mine, its))
        table = np.where(mine[:, None] == its[None], 1.0, left @ right.T)
        return table[np.ix_(row, column)]


def plain(ingredient: str) -> str:
    """An ingredient's name without capitals, signs and crystal water: sources spell it in many ways."""
    name = re.sub(r"[x·・*]\s*\d*\s*h2o|\bhydrate\b|anhydrous", "", ingredient.lower())
    return re.sub(r"[^a-z0-9]", "", name)


def _unit_rows(media: np.ndarray, recipes: Mapping[str, frozenset[str]], words: Sequence[str]) -> np.ndarray:
    """Which of the words media (t,) hold, (t, w), as parts of rows of length one over all that they hold."""
    held = [recipes.get(name, frozenset()) for name in media]
    there = np.array([[word in one for word in words] for one in held], dtype=float)
    size = np.array([max(len(one), 1) for one in held], dtype=float)
    return there.reshape(len(held), len(words)) / np.sqrt(size)[:, None]


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether labels (n,) and (b,) are the same, and not empty, as numbers (n, b)."""
    return ((a[:, None] == b[None]) & (a != "")[:, None]).astype(float)


def _laplace(k: np.ndarray, grew: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (n,), root of the curvature (n,) and Cholesky factor (n, n) at the most probable log odds."""
    f = np.zeros(len(k))
    for _ in range(ROUNDS):
        p = expit(f)
        root = np.sqrt(np.maximum(p * (1 - p), 1e-8))
        lower = np.linalg.cholesky(np.eye(len(k)) + root[:, None] * k * root)
        b = root**2 * f + grew - p
        inner = cho_solve((lower, True), root * (k @ b))
        weights = b - root * inner
        moved = np.abs(k @ weights - f).max()
        f = k @ weights
        if moved < CLOSE:
            break
    p = expit(f)
    root = np.sqrt(np.maximum(p * (1 - p), 1e-8))
    return weights, root, np.linalg.cholesky(np.eye(len(k)) + root[:, None] * k * root)


def _entropy(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return -(p * np.log(p) + (1 - p) * np.log1p(-p))
