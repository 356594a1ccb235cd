"""The whole model: regression base, pair model, embedding and confidence; fitted on sections, kept in a bundle.

`fit(tissue, config, seed)` makes a `Model`; `Model.predict(section)` gives a `Place`: coordinates, expected error, and
the graph of probable partners, which a refinement may start from. Letters as in `base`; k partners.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from stedm import base, confidence, embed, graph, pairs
from stedm.base import Regression
from stedm.config import Config
from stedm.normalise import depth
from stedm.tissue import check_teaches, in_own_order, shuffled
from stedm.trees import Forest

if TYPE_CHECKING:
    from stedm.tissue import Section, Tissue

STAGES = ("regression", "smoothed", "pairs")


@dataclass(frozen=True)
class Place:
    """Where cells are: coordinates (n, d) and sd (n,) in the training sections' unit.

    sd: expected root mean square distance from the true place. partners: (n, k) rows of the most probable neighbours,
    chance: (n, k) their probabilities, k = 0 without a pair model. stages: the coordinates after each stage.
    """

    coordinates: np.ndarray
    sd: np.ndarray
    partners: np.ndarray
    chance: np.ndarray
    stages: dict[str, np.ndarray]


@dataclass(frozen=True)
class Model:
    """What was learned. genes: names in the order of the columns. spread: median held-out error, in RMS radii."""

    genes: np.ndarray
    regression: Regression
    pair: Forest | None
    error: Forest
    factor: float
    unit: float
    gaussian: bool
    config: Config
    facts: dict[str, Any]

    @property
    def held_error(self) -> float:
        """RMS error of held-out cells, in RMS radii; never 0."""
        return max(float(self.facts["held_out_rmse"]), 1e-6)

    def predict(self, section: Section, *, seed: int | None = None) -> Place:
        """Coordinates of a section's cells, whose counts are of `genes`; its own coordinates are not looked at.

        The same cells get the same places in whatever order they come.
        """
        seed = self.config.seed if seed is None else seed
        own, back = in_own_order(section.without_coordinates())
        cells = self.regression.cells(own)
        view = pairs.View(cells, self.regression(cells), depth(own))
        made = self._staged(view, seed)
        stages = {name: self.unit * at[back] for name, at in made[0].items()}
        partners, chance = made[1], made[2]
        order = np.argsort(back)  # row of the given section for each row in own order
        sd = self.unit * confidence.sd(self.error, self.factor, view)[back]
        last = list(stages.values())[-1]
        return Place(last, sd, order[partners[back]], chance[back], stages)

    def _staged(self, view: pairs.View, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Coordinates after each stage in RMS radii, partners and their probabilities."""
        n, own = len(view), self.config.pairs
        at = view.coordinates
        none = np.zeros((n, 0), dtype=int), np.zeros((n, 0))
        stages = {"regression": at}
        if n < 3:
            return stages, *none
        kin = graph.alike(graph.joined(view.cells), min(max(1, self.config.base.smooth), n - 1))
        stages["smoothed"] = graph.with_themselves(at, kin, self.config.base.smooth)
        if self.pair is None:
            return stages, *none
        found = pairs.candidates(view, own)
        partners, chance = pairs.partners(found, self.pair(found.features), n, min(own.partners, n - 1))
        smooth = embed.smooth(at, partners, chance, rounds=own.rounds, share=own.share)
        stages["pairs"] = embed.embed(
            smooth,
            partners,
            chance,
            steps=own.embed,
            anchor=own.anchor,
            error=self.held_error,
            gaussian=self.gaussian,
            seed=seed,
        )
        return stages, partners, chance


def fit(tissue: Tissue, config: Config, *, dim: int = 2, seed: int | None = None) -> Model:
    """Learn from the sections of a tissue. Cells are shuffled first: row order must not teach anything.

    Raises DataError where nothing can be learned: no coordinates, too few cells, all at one place.
    """
    with threadpool_limits(1, user_api="openmp"):  # the trees are small: threads would wait for each other
        return _fit(tissue, config, dim, config.seed if seed is None else seed)


def _fit(tissue: Tissue, config: Config, dim: int, seed: int) -> Model:
    """`fit`, on one thread for the trees."""
    tissue = check_teaches(tissue, dim)
    rng = np.random.default_rng(seed)
    mixed = replace(tissue, sections=tuple(shuffled(section, rng)[0] for section in tissue.sections))
    fitted = base.fit(mixed, config.base, seed)
    views = [pairs.View(h.cells, h.predicted, depth(h.section)) for h in fitted.held_out]
    places = [h.place for h in fitted.held_out]
    pair = pairs.fit(views, places, config.pairs, seed) if config.pairs.use else None
    errors = [np.linalg.norm(h.predicted - h.place, axis=1) for h in fitted.held_out]
    error, factor = confidence.fit(views, errors, seed)
    held = min(fitted.error.values())
    facts = {
        "sections": list(tissue.labels),
        "cells": float(len(tissue)),
        "components": float(fitted.regression.count),
        "held_out_rmse": held,
        "kind": tissue.kind,
        "mirrored": [s for s, t in zip(tissue.labels, fitted.turns, strict=True) if np.linalg.det(t) < 0],
    }
    gaussian = held < config.pairs.sharp
    return Model(tissue.genes, fitted.regression, pair, error, factor, fitted.unit, gaussian, config, facts)
