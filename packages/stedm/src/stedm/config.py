"""Every default of `stedm`, typed and range-checked: the only truth about defaults.

Coordinates are in units of a section's RMS radius wherever no other unit is named. Each class raises ValueError, naming
field, value and range, for a value outside its range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from cytosol.options import TrainerOptions
from stedm.options import (
    EncoderOptions,
    LearnOptions,
    NetOptions,
    PatchOptions,
    Walk,
    above,
    at_least,
    one_of,
)

Embedding = Literal["learned", "components"]
Pattern = Literal["layers", "niches", "gradients"]


@dataclass(frozen=True, kw_only=True)
class BaseConfig:
    """The regression of coordinates on expression."""

    genes: int = 1000  # with the highest Moran's I over the training sections
    gene_power: float = 0.5  # a gene's weight is its mean Moran's I to this power
    components: tuple[int, ...] = (8, 15, 30, 60)  # principal components a view; held-out sections choose
    penalties: tuple[float, ...] = (0.01, 0.1, 1.0)  # ridge on the kernel; held-out sections choose
    bandwidth: float = 1.0  # of the kernel, in median squared distances
    landmarks: int = 1000  # cells that carry the kernel (Nystroem above)
    folds: int = 5  # of one section's cells, where there is only one section
    rounds: int = 4  # of turning and mirroring training sections onto what the others predict
    thinned: float = 0.3  # share of counts in a second, shallower look at a held-out section; 1: none
    smooth: int = 5  # neighbours in expression over which a query's coordinates are averaged; 0: none

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("genes", "landmarks"):
            at_least(name, getattr(self, name), 2)
        at_least("folds", self.folds, 2)
        for name in ("rounds", "smooth", "gene_power"):
            at_least(name, getattr(self, name), 0)
        if not self.components or min(self.components) < 1:
            msg = f"components: expected whole numbers >= 1, got {self.components!r}"
            raise ValueError(msg)
        if not self.penalties or not all(0 < penalty < math.inf for penalty in self.penalties):
            msg = f"penalties: expected numbers > 0, got {self.penalties!r}"
            raise ValueError(msg)
        above("bandwidth", self.bandwidth, 0.0)
        if not 0.0 < self.thinned <= 1.0:
            msg = f"thinned: expected a share in (0, 1], got {self.thinned!r}"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class PairConfig:
    """The probability that two cells are neighbours, and the embedding of its graph."""

    use: bool = True  # without: the base's coordinates are the answer
    near: int = 60  # candidate partners of a cell by predicted place
    alike: int = 30  # and by expression
    negatives: float = 4.0  # pairs that are no neighbours for each that is one
    trees: int = 200
    partners: int = 15  # most probable partners that make the graph
    rounds: int = 3  # of smoothing coordinates over the graph
    share: float = 0.7  # of a cell's coordinates that come from its partners in a round
    embed: int = 150  # steps of the embedding; 0: the smoothed coordinates are the answer
    anchor: float = 3.0  # weight of the smoothed coordinates, as a Gaussian prior of the held-out error
    sharp: float = 0.2  # held-out RMSE below which the embedding's kernel is Gaussian, not Student's t

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("near", "alike", "trees", "partners"):
            at_least(name, getattr(self, name), 1)
        for name in ("rounds", "embed", "anchor", "sharp"):
            at_least(name, getattr(self, name), 0)
        above("negatives", self.negatives, 0.0)
        if not 0.0 <= self.share <= 1.0:
            msg = f"share: expected a share in [0, 1], got {self.share!r}"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class NetworksConfig:
    """Encoder, generator and refiner: which are used, and for how long each learns."""

    use: bool = True  # without: regression and pairs are the answer
    embedding: Embedding = "learned"  # by the encoder; or the regression's components as they are
    encoder_steps: int = 200
    encoder_cells: int = 256  # a step
    surroundings: int = 8  # nearest in expression that a cell's embedding is told of; 0: none
    refiner_steps: int = 200  # 0: no refiner; the generator's are trainer.max_steps
    draws: int = 4  # that a posterior mean is the average of

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        one_of("embedding", self.embedding, get_args(Embedding))
        for name in ("encoder_steps", "encoder_cells", "draws"):
            at_least(name, getattr(self, name), 1)
        for name in ("surroundings", "refiner_steps"):
            at_least(name, getattr(self, name), 0)


def _trainer() -> TrainerOptions:
    return TrainerOptions(max_steps=300, batch_size=4, val_every=25, checkpoint_every=100, patience=6)


def _learn() -> LearnOptions:
    return LearnOptions(hide=0.5)  # sections are few: without, their cells are learned by heart


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """What `simulate` makes: sections of one tissue, each cut a little differently."""

    pattern: Pattern = "layers"
    sections: int = 3
    cells: int = 500  # a section
    genes: int = 400
    spatial: int = 120  # genes that vary over space; the others do not
    depth: float = 2000.0  # mean counts a cell
    dim: Literal[2, 3] = 2
    turned: bool = True  # sections are turned and one in two mirrored
    batch: float = 0.2  # spread of a gene's log mean between sections

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        one_of("pattern", self.pattern, get_args(Pattern))
        for name, low in {"sections": 1, "cells": 1, "genes": 2, "spatial": 1, "batch": 0}.items():
            at_least(name, getattr(self, name), low)
        above("depth", self.depth, 0.0)
        if self.spatial > self.genes:
            msg = f"spatial: expected at most genes = {self.genes}, got {self.spatial}"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything an experiment may be told: `simulation.*` is what `simulate` reads, the rest what `train` reads."""

    seed: int = 0
    base: BaseConfig = field(default_factory=BaseConfig)
    pairs: PairConfig = field(default_factory=PairConfig)
    networks: NetworksConfig = field(default_factory=NetworksConfig)
    encoder: EncoderOptions = field(default_factory=EncoderOptions)
    net: NetOptions = field(default_factory=NetOptions)
    patches: PatchOptions = field(default_factory=PatchOptions)
    learn: LearnOptions = field(default_factory=_learn)
    trainer: TrainerOptions = field(default_factory=_trainer)
    walk: Walk = field(default_factory=Walk)
    simulation: SimulationConfig = field(default_factory=SimulationConfig)

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        at_least("seed", self.seed, 0)
