"""The whole model: what an organism of which something is known can expect, new recipes, known media, odds.

`training.fit(dataset, config)` makes a `MediaModel`. Letters: n recipes, m ingredients, d condition features, b media
of the library, p training organisms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mediacvae import drafts
from mediacvae.base import MAIN, Expected, KernelBase
from mediacvae.conditions import LINEAGE, Conditioner, binomial
from mediacvae.config import TrainConfig
from mediacvae.constraints import Constraints
from mediacvae.expectation import doubt, expected
from mediacvae.growth import GrowthModel, Odds, Who, plain
from mediacvae.model import ConditionalMediaVAE
from mediacvae.names import nearest_medium
from mediacvae.placing import place
from mediacvae.practice import Practice
from mediacvae.ranking import Ranker
from mediacvae.recipes import Plausible, diverse, shortlist

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediacvae.conditions import Organism

ALIKE = 0.93  # share of the greatest likeness to a real recipe that a consensus keeps, for amounts that fit better
TRIES = 16  # draws for each recipe asked for


def worth(made: Expected) -> np.ndarray:
    """What an ingredient is worth in a recipe, (n, m): its chance, and the squared error of leaving it out."""
    return made.main + made.amount**2


@dataclass(frozen=True)
class MediaModel:
    """What was learned. ingredients: names of the columns of `media` (b, m) [g/L], the library.

    conditioner: organisms to conditions. base, vae, ranker, growth: regression, network, ranks and odds of growth; vae
    and growth are None where there is none. library: medium_id, name and what else is known, a row a medium. organisms:
    genome_id, organism_name, organism_type, genus of the training organisms, whose conditions are `conditions` (p, d).
    pairs: (e, 2) int64, rows of `organisms` and of `library`: what was learned from. config: what training was told.
    facts: what it says of itself, as JSON types.
    """

    ingredients: tuple[str, ...]
    conditioner: Conditioner
    base: KernelBase
    vae: ConditionalMediaVAE | None
    ranker: Ranker
    growth: GrowthModel | None
    library: pd.DataFrame
    media: np.ndarray
    organisms: pd.DataFrame
    conditions: np.ndarray
    pairs: np.ndarray
    config: TrainConfig
    facts: dict[str, Any]
    share: float  # of the network in what is expected

    @cached_property
    def practice(self) -> Practice:
        """What is usual in the media of the library."""
        return Practice.of(self.media, self.ingredients)

    @property
    def plausible(self) -> Plausible:
        """What the media of the library look like."""
        return self.practice.plausible

    def condition(self, organism: Organism) -> np.ndarray:
        """The condition (1, d) of an organism, its lineage that of genomes like its own where none is given.

        ValueError where nothing is known that the model knows how to read.
        """
        made = self.conditioner([organism])
        if not np.isfinite(made).any():
            asked = ", ".join(block.name for block in self.conditioner.blocks)
            msg = f"{organism.genome_id}: the model was trained on {asked}, and none of it is known"
            raise ValueError(msg)
        return self._placed(made)

    def missing(self, condition: np.ndarray) -> list[str]:
        """The blocks of a condition (1, d) that are not known."""
        columns = self.conditioner.columns
        return [name for name, own in columns.items() if not np.isfinite(condition[0, own]).any()]

    def expected(self, conditions: np.ndarray) -> Expected:
        """What organisms with conditions (n, d) can expect, (n, m) each: kernel regression and the network, mixed."""
        base = self.base(conditions)
        if self.vae is None:
            return base
        its = expected(self.vae, conditions, draws=self.config.draws, seed=self.config.seed)
        return base.mix(its, self.share)

    def doubt(self, conditions: np.ndarray) -> np.ndarray:
        """How far the network's weights leave chances open for conditions (n, d): standard deviation (n, m).

        0 without a network.
        """
        if self.vae is None:
            return np.zeros((len(conditions), len(self.ingredients)))
        return self.share * doubt(self.vae, conditions, draws=self.config.draws, seed=self.config.seed)

    def consensus(self, conditions: np.ndarray, constraints: Constraints | None = None) -> np.ndarray:
        """One recipe (n, m) [g/L] for each of conditions (n, d): its amounts are means over what relatives get."""
        made = self.expected(conditions)
        value = worth(made)
        main = shortlist(value, made.main, ALIKE)
        grams = np.where(main, np.maximum(np.expm1(made.amount), MAIN * 1.01), 0.0)
        trace = ~main & (made.there > 0.5)
        grams += np.where(trace, np.minimum(self.practice.usual, MAIN), 0.0)
        place = np.argsort(np.argsort(-np.where(main, 2.0 + value, made.there * trace), axis=1), axis=1)
        grams[place >= self.plausible.count[1]] = 0.0  # of more than real media have, what matters least
        return self.practice.obeying(grams, value, made.main, constraints or Constraints())

    def generate(
        self,
        condition: np.ndarray,
        n: int,
        *,
        constraints: Constraints | None = None,
        plausible: bool = True,
        diversity: float = 0.5,
        seed: int | None = None,
    ) -> np.ndarray:
        """Recipes (n, m) [g/L] for one condition (1, d): the consensus, then likely draws that differ.

        diversity: from 0 (the likeliest only) to 1. Raises ValueError where the model has no network and more than
        the consensus is asked for, and where too few plausible recipes obey the constraints.
        """
        own = (constraints or Constraints()).checked(self.ingredients)
        first = self.consensus(condition, own)
        if n == 1 and (self.vae is None or not plausible or self.plausible.valid(first).all()):
            return self._only_plausible(first, 1, plausible=plausible)
        if self.vae is None:
            msg = "this model was trained without a network (model_type=base): it makes one recipe, ask for -n 1"
            raise ValueError(msg)
        made = self.expected(condition)
        drawn, value = self._drawn(
            self.vae, condition, n * TRIES, made.there, self.config.seed if seed is None else seed
        )
        drawn = self.practice.obeying(drawn, value, made.main, own)
        if plausible and not self.plausible.valid(first).all():  # then the likeliest of the draws comes first
            first = first[:0]
        ready = self._only_plausible(np.concatenate([first, drawn]), n, plausible=plausible)[len(first) :]
        score = self.ranker.scores(condition, self.base(condition).main, ready)[0]
        return np.concatenate([first, ready[diverse(ready, score, n - len(first), diversity)]])

    def rank(self, condition: np.ndarray, top: int | None = None) -> pd.DataFrame:
        """Known media for a condition (1, d), the most promising first: rank, medium_id, name, probability.

        probability: of being on record for the organism. top: how many; without it, all.
        """
        scores = self.scores(condition)
        score, chance = scores[0], self.ranker.probability(scores)[0]
        order = np.argsort(-score, kind="stable")[:top]
        return pd.DataFrame(
            {
                "rank": np.arange(1, len(order) + 1),
                "medium_id": self.library["medium_id"].to_numpy()[order],
                "name": self.library["name"].to_numpy()[order],
                "probability": chance[order],
            }
        )

    def scores(self, conditions: np.ndarray) -> np.ndarray:
        """What `rank` goes by, (n, b), for conditions (n, d)."""
        return self.ranker.scores(conditions, self.base(conditions).main, self.media)

    def tried(self, organism: Organism, known: Sequence[tuple[str, bool]] = ()) -> pd.DataFrame:
        """Odds of growth on every medium that was ever tried: medium_id, probability, information [nats].

        known: results (medium, growth) of the organism. information: what trying it would say. Raises ValueError for a
        model that knows no odds, and for a medium that it does not know.
        """
        return self.predict_growth(organism, list(self._growth.media), known)

    def predict_growth(
        self, organism: Organism, media: Sequence[str], known: Sequence[tuple[str, bool]] = ()
    ) -> pd.DataFrame:
        """Odds of growth on media by id: medium_id, probability, information [nats]; `known` as in `tried`.

        Raises ValueError for a model that knows no odds, and for a medium that it does not know.
        """
        growth = self._growth
        recipes = {name: self.recipe(name) for name in [*media, *(name for name, _ in known)]}
        who = self._who(organism)
        odds = growth.odds(
            who,
            np.zeros(len(media), dtype=np.int64),
            media,
            recipes,
            [(0, name, grew) for name, grew in known],
        )
        return pd.DataFrame(
            {
                "medium_id": list(media),
                "probability": odds.probability,
                "information": growth.information(odds),
            }
        )

    def odds_of(self, organism: Organism, recipes: np.ndarray) -> Odds:
        """Odds of growth on recipes (n, m) [g/L] that nobody has tried; ValueError for a model that knows no odds."""
        names = [f"recipe {at + 1}" for at in range(len(recipes))]
        held = {
            name: frozenset(plain(self.ingredients[at]) for at in np.flatnonzero(row > 0))
            for name, row in zip(names, recipes, strict=True)
        }
        return self._growth.odds(self._who(organism), np.zeros(len(names), dtype=np.int64), names, held)

    def recipe(self, medium_id: str) -> frozenset[str]:
        """Ingredients, as `growth.plain`, of a medium that was tried, or of the library; ValueError for another id."""
        if self.growth is not None and medium_id in self.growth.recipes:
            return self.growth.recipes[medium_id]
        own = self.media[self.library["medium_id"].to_numpy() == medium_id]
        if not len(own):
            msg = f"medium: {medium_id!r} is not known to the model{nearest_medium(medium_id, self.names)}"
            raise ValueError(msg)
        return frozenset(plain(self.ingredients[at]) for at in np.flatnonzero(own[0] > 0))

    def nearest(self, recipe: np.ndarray, top: int = 3) -> list[tuple[str, str, float]]:
        """The media of the library most like a recipe (m,): id, name and cosine of log1p g/L."""
        logs = np.log1p(np.asarray(self.media, dtype=np.float64))
        own = np.log1p(recipe)
        like = logs @ own / np.maximum(np.linalg.norm(logs, axis=1) * np.linalg.norm(own), 1e-12)
        order = np.argsort(-like, kind="stable")[:top]
        ids, names = self.library["medium_id"].to_numpy(), self.library["name"].to_numpy()
        return [(str(ids[at]), str(names[at]), float(like[at])) for at in order]

    def relatives(self, condition: np.ndarray, top: int = 3) -> list[tuple[str, float]]:
        """The training organisms most like a condition (1, d): name and likeness from 0 to 1."""
        like = self.base.kernel.cosine(condition, self.conditions)[0]
        order = np.argsort(-like, kind="stable")
        names = self.organisms["organism_name"].fillna(self.organisms["genome_id"]).astype(str).to_numpy()
        genera = self.organisms["genus"].fillna("").astype(str).to_numpy()
        found: dict[str, float] = {}
        for at in order:  # sources name some by their strain alone
            name = names[at] if genera[at] in names[at] else f"{genera[at]} {names[at]}"
            found.setdefault(name, float(like[at]))
            if len(found) == top:
                break
        return list(found.items())

    @property
    def _growth(self) -> GrowthModel:
        if self.growth is None:
            msg = "the model knows no odds of growth: its dataset has no result of a source that also reports no growth"
            raise ValueError(msg)
        return self.growth

    @cached_property
    def names(self) -> dict[str, str]:
        """Names of media, tried or of the library, by id; empty where none is known."""
        known = dict.fromkeys(self.growth.media if self.growth else (), "")
        known |= self.facts["dataset"].get("tried", {})
        return known | dict(zip(self.library["medium_id"], self.library["name"].fillna(""), strict=True))

    def _who(self, organism: Organism) -> Who:
        """The organism as the odds know it; by its name it has a genus and a species."""
        genus, species = binomial(organism.name)
        return Who([organism.genome_id], [genus], [species], self._placed(self.conditioner([organism])))

    def _placed(self, condition: np.ndarray) -> np.ndarray:
        lineage = place(self.base.kernel, condition, self.conditions)
        if lineage is not None:
            condition[:, self.conditioner.columns[LINEAGE]] = lineage
        return condition

    def _drawn(
        self, vae: ConditionalMediaVAE, condition: np.ndarray, n: int, chance: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws (n, m) [g/L] of the network, moved to the mixed chances (1, m), and what each ingredient is worth."""
        own = expected(vae, condition, draws=self.config.draws, seed=seed).there
        grams, value = drafts.drawn(vae, condition, n, own, chance, seed=seed)
        return np.minimum(grams, self.practice.most), value

    def _only_plausible(self, recipes: np.ndarray, n: int, *, plausible: bool) -> np.ndarray:
        """The recipes (n and more, m) that are plausible, where only these are wanted; the first stays the first."""
        if not plausible:
            return recipes
        good = self.plausible.valid(recipes)
        if good.sum() < n:
            why = self.plausible.why(recipes[~good][:1])[0]
            msg = (
                f"expected {n} plausible recipes, found {good.sum()} in {len(recipes)} draws ({'; '.join(why)}): "
                "loosen the constraints, ask for fewer, or allow implausible ones"
            )
            raise ValueError(msg)
        return recipes[good]
