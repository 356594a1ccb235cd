"""What the set networks and their training are told. Loads no torch: a config may hold these as fields."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

Gauge = Literal["output", "generator", "frame", "distance"]
Around = Literal["generator", "zero"]
Estimate = Literal["mean", "sample"]


@dataclass(frozen=True, kw_only=True)
class NetOptions:
    """The shape of the set networks; the specification's is width 256, 4 score blocks, 2 generator blocks.

    Raises ValueError, naming field, value and range, for a value outside its range; so do the others here.
    """

    width: int = 64  # features inside a block
    heads: int = 4
    inducing: int = 16  # points a block sums a set up in: attention costs n times as many
    context_width: int = 256  # features a cell that the context hands on (the specification's c_dim)
    context_blocks: int = 1
    neighbours: int = 12  # nearest cells in expression that a cell looks at first; 0: none
    generator_blocks: int = 2
    score_blocks: int = 4
    around: Around = "generator"  # what the refiner's preconditioning is centred on
    checkpoint: bool = False  # recompute blocks in the backward pass instead of keeping them

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("width", "heads", "inducing", "context_width", "generator_blocks", "score_blocks"):
            at_least(name, getattr(self, name), 1)
        for name in ("neighbours", "context_blocks"):
            at_least(name, getattr(self, name), 0)
        if self.width % self.heads or self.width % 2:
            msg = f"width: expected an even multiple of heads = {self.heads}, got {self.width}"
            raise ValueError(msg)
        one_of("around", self.around, get_args(Around))


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """Stage A: the shared expression encoder."""

    width: int = 128  # hidden features
    features: int = 32  # of a cell's embedding Z
    blocks: int = 2
    hide: float = 0.2  # share of genes hidden in training
    temperature: float = 0.1  # of the contrast
    contrast: float = 0.3  # weight of the contrast beside the coordinates
    across: bool = True  # cells of other sections count as neighbours too (needs one frame for all)
    reach: int = 8  # a neighbourhood's width is the typical distance of the reach-th nearest cell
    learning_rate: float = 1e-3
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("width", "features", "blocks", "reach"):
            at_least(name, getattr(self, name), 1)
        if not 0 <= self.hide < 1:
            msg = f"hide: expected a share in [0, 1), got {self.hide!r}"
            raise ValueError(msg)
        for name in ("temperature", "learning_rate"):
            above(name, getattr(self, name), 0)
        for name in ("contrast", "weight_decay"):
            at_least(name, getattr(self, name), 0)


@dataclass(frozen=True, kw_only=True)
class PatchOptions:
    """Sets of cells to learn from and to infer with."""

    least: int = 64  # cells a training set
    most: int = 256
    random: float = 0.5  # share of a set drawn from the whole section, the rest are neighbours
    rounds: int = 3  # times the section is cut up anew in inference, and averaged

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        at_least("least", self.least, 4)
        at_least("most", self.most, self.least)
        at_least("rounds", self.rounds, 1)
        if not 0 < self.random <= 1:
            msg = f"random: expected a share in (0, 1], got {self.random!r}"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class LearnOptions:
    """How the generator and the refiner learn; how long is said by `cytosol.options.TrainerOptions`."""

    gauge: Gauge = "generator"  # which frame a target is brought into
    learning_rate: float = 1e-3  # peak
    weight_decay: float = 0.01
    warmup_steps: int = 50
    hide: float = 0.1  # share of Z's features hidden in training
    jitter: float = 0.0  # noise on the base coordinates in training, in units of sigma_data
    self_condition: float = 0.5  # share of steps that show the refiner its own last estimate
    p_std: float = 1.2  # of ln sigma; its mean follows from sigma_data
    lowest: float = 0.1  # noise level, in units of sigma_data
    stages: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0)  # highest noise level a stage, in units of sigma_data
    stall: int = 3  # validations without progress after which a stage ends anyway

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        one_of("gauge", self.gauge, get_args(Gauge))
        at_least("stall", self.stall, 1)
        for name in ("hide", "self_condition"):
            if not 0 <= getattr(self, name) <= 1:
                msg = f"{name}: expected a share in [0, 1], got {getattr(self, name)!r}"
                raise ValueError(msg)
        levels = (0.0, self.lowest, *self.stages, math.inf)
        if not self.stages or not all(a < b for a, b in pairwise(levels)):
            msg = f"stages: expected rising noise levels above lowest = {self.lowest}, got {self.stages}"
            raise ValueError(msg)
        for name in ("learning_rate", "p_std"):
            above(name, getattr(self, name), 0)
        for name in ("jitter", "weight_decay", "warmup_steps"):
            at_least(name, getattr(self, name), 0)


# Last noise level before 0 [sigma_data], from where the mean is taken: below it is less than cells are apart.
LOWEST = 0.06


@dataclass(frozen=True, kw_only=True)
class Walk:
    """How a refinement goes: from which noise level [sigma_data], in how many steps; `one_step` takes D there."""

    start: float = 1.5  # [sigma_data], the specification's 1-2
    steps: int = 6
    one_step: float = 8.0  # noise level of the one-step mean [sigma_data]
    open_loop: float = 16.0  # where open-loop sampling starts [sigma_data]

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        at_least("steps", self.steps, 1)
        above("one_step", self.one_step, 0)
        for name in ("start", "open_loop"):
            above(name, getattr(self, name), LOWEST)


def at_least(name: str, value: float, low: float) -> None:
    """Raise ValueError for a value below `low`, and for one that is not finite."""
    if not low <= value < math.inf:
        msg = f"{name}: expected at least {low:g}, got {value!r}"
        raise ValueError(msg)


def above(name: str, value: float, low: float) -> None:
    """Raise ValueError for a value that is not above `low`, and for one that is not finite."""
    if not low < value < math.inf:
        msg = f"{name}: expected more than {low:g}, got {value!r}"
        raise ValueError(msg)


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError for a word that is not allowed."""
    if value not in allowed:
        msg = f"{name}: expected one of {', '.join(allowed)}, got {value!r}"
        raise ValueError(msg)
