"""Recipes that are offered to somebody: odds, what they are like and why, in lines and on cards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mediacvae.card import article, page
from mediacvae.conditions import Organism
from mediacvae.constraints import buffers
from mediacvae.notes import SURE, ground, guessed, resting, shares
from mediacvae.predictor import MediaModel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mediacvae.growth import Odds

NEAREST, RELATIVES, REASONS = 3, 3, 8  # that a card names
TELLING = 1.2  # times the usual odds, from which being there is a reason
EDGE = 0.005  # chances nearer to 0 or 1 are told as this


@dataclass(frozen=True)
class Offer:
    """Recipes (n, m) [g/L] of a model for a condition (1, d), the mean of `organisms`. ph: that was asked for."""

    model: MediaModel
    organisms: tuple[Organism, ...]
    condition: np.ndarray
    recipes: np.ndarray
    ph: float | None = None

    @property
    def title(self) -> str:
        """Whom they are for, in words."""
        return " and ".join(one.name or one.genome_id for one in self.organisms)

    @cached_property
    def odds(self) -> Odds | None:
        """The odds of growth; None for several organisms, or where the model has none."""
        if self.model.growth is None or len(self.organisms) != 1:
            return None
        return self.model.odds_of(self.organisms[0], self.recipes)

    def notes(self) -> list[str]:
        """What to look at before one of them is made."""
        notes = [] if self.odds is None else resting(self.model, self.condition)
        if self.ph is None:
            return notes
        keeps = buffers(self.model.ingredients, self.ph)
        without = [str(at + 1) for at, row in enumerate(self.recipes) if not (row[keeps] > 0).any()]
        if not without:
            return notes
        return [
            *notes,
            f"nothing in recipe {', '.join(without)} buffers at pH {self.ph:g}: --require one that does",
        ]

    def lines(self) -> list[str]:
        """A line a recipe: size, odds, the nearest known medium."""
        made = []
        for at, row in enumerate(self.recipes):
            medium, name, like = self.model.nearest(row, 1)[0]
            grows = ""
            if self.odds is not None:
                low, high = self.odds.span[at]
                grows = f", odds of growth {self.odds.probability[at]:.2f} ({low:.2f} to {high:.2f})"
            held = int((row > 0).sum())
            size = f"{held} ingredient{'s' * (held > 1)}, {row.sum():.3g} g/L"
            made.append(f"recipe {at + 1}: {size}{grows}, nearest {medium} {name} ({like:.2f})")
        return made

    def cards(self) -> str:
        """A page of cards to print, one sheet each."""
        made = []
        for at, row in enumerate(self.recipes):
            nearest = self.model.nearest(row, NEAREST)
            made.append(
                article(
                    zip(self.model.ingredients, row.tolist(), strict=True),
                    title=f"Recipe {at + 1} for {self.title}",
                    facts=self._facts([medium for medium, _, _ in nearest]),
                    odds=None if self.odds is None else float(self.odds.probability[at]),
                    span=None if self.odds is None else tuple(self.odds.span[at].tolist()),
                    nearest=[(f"{medium} {name}", like) for medium, name, like in nearest],
                    reasons=self._reasons(row),
                )
            )
        return page(f"Media for {self.title}", made)

    def _facts(self, nearest: Iterable[str]) -> dict[str, object]:
        """What stands under a card's title."""
        facts: dict[str, object] = {}
        if len(self.organisms) == 1:
            (one,) = self.organisms
            facts |= {"Organism type": one.organism_type, "Genome": one.genome_id}
            facts["GC"] = None if one.gc is None else f"{one.gc:.1f} %"
            facts["Size"] = None if one.length is None else f"{one.length / 1e6:.2f} Mb"
        for one in self.organisms:
            of = "" if len(self.organisms) == 1 else f" of {one.name or one.genome_id}"
            facts[f"Lineage{of}"] = self._lineage(one)
        relatives = self.model.relatives(self.condition, RELATIVES)
        facts["pH"] = self._ph(nearest)
        facts["Relatives learned from"] = ", ".join(f"{name} ({like:.2f})" for name, like in relatives)
        if self.odds is not None and self.model.growth is not None:
            what, near = ground(self.model.growth, self.condition)
            facts["Odds of growth rest on"] = what if near else f"{what}; nobody like it was tried"
        return facts

    def _lineage(self, one: Organism) -> str | None:
        """The lineage that was given of an organism, or what was guessed, with its shares."""
        if one.lineage:
            return one.lineage
        guess = guessed(self.model, one, self.model.condition(one))
        if not guess:
            return None
        if guess[0][1] >= SURE:
            return f"guessed from the genomes most like it ({shares(guess)})"
        return f"A GUESS, not sure ({shares(guess)}): this medium may be of the wrong domain"

    def _ph(self, nearest: Iterable[str]) -> str | None:
        """The pH that was asked for, or that of the nearest medium of which one is known."""
        if self.ph is not None:
            return f"{self.ph:g}"
        library = self.model.library.set_index("medium_id").reindex(columns=["min_ph", "max_ph"])
        for medium in nearest:
            low, high = pd.to_numeric(library.loc[medium])
            if np.isfinite([low, high]).all():
                return f"{low:g} (as {medium})" if low == high else f"{low:g} to {high:g} (as {medium})"
        return None

    @cached_property
    def _chances(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shares (m,) of the media expected for the organism that hold an ingredient, of all media, and the doubt."""
        chance = self.model.expected(self.condition).there[0]
        usual = (self.model.media > 0).mean(axis=0)
        doubt = self.model.doubt(self.condition)[0]
        return np.clip(chance, EDGE, 1 - EDGE), np.clip(usual, EDGE, 1 - EDGE), doubt

    def _reasons(self, recipe: np.ndarray) -> list[str]:
        """Why compounds are in a recipe (m,): how much oftener relatives' media hold them; the most telling first."""
        chance, usual, doubt = self._chances
        odds = np.log(chance / (1 - chance)) - np.log(usual / (1 - usual))
        telling = np.where(recipe > 0, odds, -np.inf)
        told = [at for at in np.argsort(-telling, kind="stable")[:REASONS] if telling[at] > np.log(TELLING)]
        return [
            f"{self.model.ingredients[at]}: in {100 * chance[at]:.0f} ± {100 * doubt[at]:.0f} % of the media expected "
            f"for such an organism, in {100 * usual[at]:.0f} % of all"
            for at in told
        ]
