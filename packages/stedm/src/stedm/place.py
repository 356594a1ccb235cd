"""The whole model: regression, pairs, networks, confidence; what it makes of a section.

`learning.fit(tissue, config, seed)` makes a `Model`; `Model.predict(section)` gives a `Place`: coordinates, expected
error, the graph of probable partners, and the coordinates after each stage. Letters as in `base`; k partners, r draws.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from stedm import networks, pairs, related
from stedm.base import Regression
from stedm.confidence import ErrorModel
from stedm.config import Config
from stedm.networks import Networks, Shown
from stedm.normalise import depth
from stedm.related import PairStage
from stedm.tissue import in_own_order, place_of, typical_count

if TYPE_CHECKING:
    import torch

    from stedm.options import Estimate
    from stedm.tissue import Section

# Of the training sections' counts a cell: below it, what held-out cells said of the networks says nothing.
SHALLOW = 0.5
NO_NETWORKS = "this model was trained without networks (networks.use=false): it cannot refine or draw samples"


@dataclass(frozen=True)
class Place:
    """Where cells are: coordinates (n, d) and sd (n,) in the training sections' unit.

    sd: expected root mean square distance from the true place. partners: (n, k) rows of the most probable neighbours,
    chance: (n, k) their probabilities, k = 0 without a pair model. stages: the coordinates after each stage. draws:
    (r, n, d) of the refiner, moved onto one another, r = 0 where it was not asked. foreign: the section is so unlike
    the training sections that its probable neighbours alone made the structure.
    """

    coordinates: np.ndarray
    sd: np.ndarray
    partners: np.ndarray
    chance: np.ndarray
    stages: dict[str, np.ndarray]
    draws: np.ndarray
    foreign: bool

    def neighbours(self, rows: np.ndarray, n: int) -> sparse.csr_matrix:
        """The probabilities as a matrix (n, n) of the file of n cells whose rows these cells are, (own,)."""
        own, k = np.repeat(rows, self.partners.shape[1]), self.chance.ravel() > 0
        at = (own[k], rows[self.partners.ravel()[k]])
        return sparse.csr_matrix((self.chance.ravel()[k].astype(np.float32), at), shape=(n, n))


@dataclass(frozen=True)
class Model:
    """What was learned. genes: (g,) names in the order of the columns. unit: mean RMS radius of the training sections.

    pair, networks: None where the configuration leaves them out, or nothing was to be learned. error: of each cell.
    facts: of the training: sections, cells, components, held_out_rmse [RMS radii], kind, count (typical, a cell),
    mirrored (sections). history: of the networks' runs, kept with a fresh model only.
    """

    genes: np.ndarray
    regression: Regression
    pair: PairStage | None
    networks: Networks | None
    error: ErrorModel
    unit: float
    config: Config
    facts: dict[str, Any]
    history: pd.DataFrame | None = None

    @property
    def refines(self) -> bool:
        """Whether `predict` refines unless told otherwise: held-out cells said that it helps."""
        return self.networks is not None and self.networks.believed

    def shallow(self, section: Section) -> bool:
        """Whether a section's cells have far fewer counts than those of the training sections."""
        return self.facts["kind"] == "counts" and typical_count(section) < SHALLOW * self.facts["count"]

    def to(self, device: torch.device) -> Model:
        """The model itself, its set networks moved to a device; the encoder stays on the CPU."""
        if self.networks is not None:
            self.networks.net.to(device)
        return self

    def predict(
        self,
        section: Section,
        *,
        refine: bool | None = None,
        estimate: Estimate = "mean",
        draws: int | None = None,
        seed: int | None = None,
    ) -> Place:
        """Coordinates of a section's cells, whose counts are of `genes`; its own coordinates are not looked at.

        The same cells get the same places in whatever order they come. refine: whether the networks correct what
        regression and pairs made; None: as the held-out cells advised, and never for a foreign or shallow section.
        estimate: `mean` of the posterior, or one `sample` of it. draws: that a mean averages or that a sample keeps, 1
        or more. draws and seed: None for the configuration's. Raises ValueError for other genes, and where networks
        are asked for that the model does not have.
        """
        seed = self.config.seed if seed is None else seed
        if self.networks is None and (refine or estimate == "sample"):
            raise ValueError(NO_NETWORKS)
        if estimate == "sample" and refine is False:
            msg = "estimate 'sample' needs the refiner: leave --no-refine out, or ask for the mean"
            raise ValueError(msg)
        own, back = in_own_order(section.without_coordinates())
        view = self._view(own)
        stages, made = self._staged(view, seed)
        if refine is None:
            advised = self.refines and not made.foreign and not self.shallow(section)
            refine = estimate == "sample" or advised
        drawn = np.zeros((0, *view.coordinates.shape))
        if refine and len(own) > 1:
            drawn = self._refined(view, stages, made, estimate, draws, seed)
        return self._placed(view, stages, made, drawn, back)

    def refine(
        self,
        section: Section,
        coordinates: np.ndarray,
        *,
        estimate: Estimate = "mean",
        draws: int | None = None,
        seed: int | None = None,
    ) -> Place:
        """Coordinates (n, d) of a section's cells that anything made, in any unit, corrected by the networks.

        They are scaled to the training sections' RMS radius first; the rest as in `predict`. Raises ValueError where
        the model has no networks, for other genes, for coordinates of another shape or not finite, or where all are
        the same.
        """
        seed = self.config.seed if seed is None else seed
        if self.networks is None:
            raise ValueError(NO_NETWORKS)
        shape = (len(section), self.regression.coefficients.shape[1])
        if coordinates.shape != shape or not np.isfinite(coordinates).all():
            msg = (
                f"section {section.label}: expected finite coordinates {shape}, got shape {coordinates.shape}"
            )
            raise ValueError(msg)
        own, back = in_own_order(section.without_coordinates())
        start = (coordinates - coordinates.mean(axis=0))[np.argsort(back)]
        size = np.sqrt((start**2).sum(axis=1).mean())
        if not size > 0:
            msg = f"section {section.label}: expected cells at different places, all coordinates are the same"
            raise ValueError(msg)
        view = self._view(own)
        _, made = self._staged(view, seed)
        stages = {"given": start / size}
        drawn = self._refined(view, stages, made, estimate, draws, seed)
        return self._placed(view, stages, made, drawn, back)

    def shown(self, section: Section, seed: int | None = None) -> Shown:
        """A section with coordinates as the networks see it: what `diagnose` looks at, in RMS radii.

        Raises ValueError for other genes, DataError for a section without coordinates.
        """
        own, _ = in_own_order(section)
        view = self._view(own)
        _, made = self._staged(view, self.config.seed if seed is None else seed)
        return Shown(view.joined, made, place_of(own) / self.unit)

    def _view(self, section: Section) -> pairs.View:
        """What regression and pairs may know of a section: its coordinates are not looked at."""
        if section.counts.shape[1] != len(self.genes):
            there = section.counts.shape[1]
            msg = f"section {section.label}: expected counts of the model's {len(self.genes)} genes, got {there}"
            raise ValueError(msg)
        cells = self.regression.cells(section)
        return pairs.View(cells, self.regression(cells), depth(section))

    def _placed(
        self,
        view: pairs.View,
        stages: dict[str, np.ndarray],
        made: related.Related,
        drawn: np.ndarray,
        back: np.ndarray,
    ) -> Place:
        """Everything in the caller's order and unit."""
        order = np.argsort(back)  # row of the given section for each row in own order
        placed = {name: self.unit * at[back] for name, at in stages.items()}
        sd = self.unit * self.error(view, made)[back]
        last = list(placed.values())[-1]
        partners, chance = order[made.partners[back]], made.chance[back]
        draws = self.unit * drawn[:, back]
        return Place(last, sd, partners, chance, placed, draws, made.foreign)

    def _staged(self, view: pairs.View, seed: int) -> tuple[dict[str, np.ndarray], related.Related]:
        """Coordinates after each stage in RMS radii, and the pair stage's partners."""
        stages = {"regression": view.coordinates}
        if len(view) < 3:
            return stages, related.alone(view)
        stages["smoothed"] = related.smoothed(view, self.config.base.smooth)
        if self.pair is None:
            return stages, related.alone(view)
        made = self.pair(view, seed)
        stages["pairs"] = made.coordinates
        return stages, made

    def _refined(
        self,
        view: pairs.View,
        stages: dict[str, np.ndarray],
        made: related.Related,
        estimate: Estimate,
        draws: int | None,
        seed: int,
    ) -> np.ndarray:
        """Add the networks' stages to what was given or made so far; the draws (r, n, d)."""
        nets, before = self.networks, stages.get("given", made.coordinates)
        none = np.zeros((0, *before.shape))
        if nets is None or len(view) < 2:
            return none
        looked = nets.look(Shown(view.joined, replace(made, coordinates=before), np.zeros_like(before)), seed)
        stages["generator"] = settled(self.pair, seed)(looked.generated.double().numpy(), made)
        if nets.net.refiner is None:
            if estimate == "sample":
                msg = "this model was trained without a refiner (networks.refiner_steps=0): it cannot draw samples"
                raise ValueError(msg)
            return none
        count = self.config.networks.draws if draws is None else draws
        found, drawn = networks.estimates(looked, self.config.walk, estimate, count)
        stages[estimate] = settled(self.pair, seed)(found, made) if estimate == "mean" else found
        return drawn


def settled(pair: PairStage | None, seed: int) -> networks.Settle:
    """What brings probable neighbours together again; without a pair model, nothing."""

    def settle(coordinates: np.ndarray, made: related.Related) -> np.ndarray:
        if pair is None or not made.chance.any():
            return coordinates
        return pair.settle(coordinates, made.partners, made.chance, seed)

    return settle
