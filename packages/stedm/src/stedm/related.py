"""The pair stage: from probabilities of being neighbours to coordinates that keep the probable neighbours together.

Letters: n cells, d dimensions, k partners.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cytosol.trees import Forest
from stedm import embed, graph, pairs
from stedm.config import PairConfig
from stedm.metrics import fit_similarity
from stedm.tissue import rms_radius
from stedm.unfold import disagreement, unfold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stedm.pairs import Candidates, View

# What the regression does not know it puts near the middle: another patient's section has 0.6 of the size of held-out
# ones, a section thinned to a fifth of its counts 0.8. And its places then disagree with the neighbours: 0.77, not
# 0.25 to 0.52.
SHRUNK, DOUBTED = 0.75, 0.65
FEWEST = 30  # cells up to which a graph's paths say little


@dataclass(frozen=True)
class Related:
    """Cells with their probable neighbours: coordinates (n, d), partners (n, k) rows, chance (n, k) falling.

    foreign: the regression does not know this tissue, and the neighbours alone made the structure.
    """

    coordinates: np.ndarray
    partners: np.ndarray
    chance: np.ndarray
    foreign: bool = False


@dataclass(frozen=True)
class PairStage:
    """forest: log odds of pairs. error: RMS error of the coordinates it starts from, in their unit.

    radius: RMS radius that the regression gives to a section. gaussian: kernel of the embedding, not Student's t.
    """

    forest: Forest
    error: float
    radius: float
    gaussian: bool
    config: PairConfig

    def __call__(self, view: View, seed: int, found: Candidates | None = None) -> Related:
        """Smooth over the graph of the most probable partners, then embed it; `found` saves finding them anew.

        A section that the regression does not know (shrunk, at odds with its neighbours) is unfolded from these alone.
        """
        own, n = self.config, len(view)
        found = pairs.candidates(view, own) if found is None else found
        partners, chance = pairs.partners(found, self.forest(found.features), n, min(own.partners, n - 1))
        made = self._embedded(view.coordinates, partners, chance, own.rounds, seed)
        if n <= FEWEST or not chance.any() or rms_radius(view.coordinates) > SHRUNK * self.radius:
            return Related(made, partners, chance)
        paths = unfold(partners, chance, view.coordinates.shape[1], seed)
        if disagreement(paths, made) < DOUBTED:
            return Related(made, partners, chance)
        turned = fit_similarity(paths, made, scaled=False)(paths)
        return Related(self.settle(turned, partners, chance, seed), partners, chance, foreign=True)

    def settle(
        self, coordinates: np.ndarray, partners: np.ndarray, chance: np.ndarray, seed: int
    ) -> np.ndarray:
        """Coordinates (n, d) that something else has made, with the probable neighbours brought together again."""
        return self._embedded(coordinates, partners, chance, min(1, self.config.rounds), seed)

    def _embedded(
        self, start: np.ndarray, partners: np.ndarray, chance: np.ndarray, rounds: int, seed: int
    ) -> np.ndarray:
        own = self.config
        return embed.embed(
            embed.smooth(start, partners, chance, rounds=rounds, share=own.share),
            partners,
            chance,
            steps=own.embed,
            anchor=own.anchor,
            error=self.error,
            gaussian=self.gaussian,
            seed=seed,
        )


def alone(view: View) -> Related:
    """Coordinates without a pair model: nobody has partners."""
    n = len(view)
    return Related(view.coordinates, np.zeros((n, 0), dtype=int), np.zeros((n, 0)))


def smoothed(view: View, k: int) -> np.ndarray:
    """Coordinates averaged over each cell and its k nearest in expression, (n, d)."""
    n = len(view)
    if n < 3:
        return view.coordinates
    kin = view.kin(min(max(1, k), n - 1))
    return graph.with_themselves(view.coordinates, kin, k)


def learn(
    views: Sequence[View],
    places: Sequence[np.ndarray],
    config: PairConfig,
    error: float,
    seed: int,
    *,
    sections: int,
) -> tuple[PairStage | None, list[Related]]:
    """The pair stage of training sections, and what it makes of each view when the other sections teach it.

    places: (n, d) true ones of each view. error: RMS error of the views' coordinates, in their unit. sections: how many
    there are; further views are of the same ones again, in the same order. A lone section teaches
    itself: its pairs are many, and their features know no cell by name. The stage is None where there is nothing to
    tell apart, and the sections then keep their coordinates.
    """
    rng = np.random.default_rng(seed)
    radius = float(np.median([rms_radius(view.coordinates) for view in views[:sections]]))
    found = [pairs.candidates(view, config) for view in views]
    lessons = [pairs.lesson(f, place, config, rng) for f, place in zip(found, places, strict=True)]

    def stage(some: Sequence[pairs.Lesson | None]) -> PairStage | None:
        forest = pairs.fit(some, config, seed)
        return None if forest is None else PairStage(forest, error, radius, error < config.sharp, config)

    whole = stage(lessons)
    without = [whole]
    if sections > 1:
        without = [
            stage([one for k, one in enumerate(lessons) if k % sections != s]) for s in range(sections)
        ]
    made = []
    for k, view in enumerate(views):
        own = without[k % sections]
        made.append(alone(view) if own is None or len(view) < 3 else own(view, seed, found[k]))
    return whole, made
