"""Noise levels to learn from: where they lie for these data, and how high they reach while the net learns.

The specification's curriculum waited for open-loop sampling from high noise, which its refiner could not do, and stood
still. Here a stage ends when the net has learnt its highest levels on held-out sets (the size of F is right there), or
when `stall` validations in a row brought nothing: it cannot stand still.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cytosol.schedules import lognormal_sigmas

if TYPE_CHECKING:
    import torch
    from torch import Tensor

EDM_MEAN, EDM_SIGMA = -1.2, 0.5  # P_mean and sigma_data of Karras et al. 2022, table 1
LEARNED = (0.9, 1.1)  # RMS(F_pred) / RMS(F_target)
GAIN = 0.01  # of the ratio: less is no progress


def p_mean(sigma_data: float) -> float:
    """Mean of ln sigma for data of this size: EDM's, moved along with sigma_data, so that its place stays.

    At 0.5 it is -1.2, at the specification's 0.157 it is -2.36. Raises ValueError unless sigma_data > 0.
    """
    if not 0 < sigma_data < math.inf:
        msg = f"expected a finite sigma_data > 0, got {sigma_data}: is the data constant?"
        raise ValueError(msg)
    return EDM_MEAN + math.log(sigma_data / EDM_SIGMA)


def training_levels(
    count: int,
    *,
    lowest: float,
    highest: float,
    p_std: float,
    generator: torch.Generator | None = None,
    sigma_data: float = 1.0,
) -> Tensor:
    """Levels to train with, log-normal about `p_mean`, folded back into lowest..highest [sigma_data]: (count,).

    In the unit of sigma_data. Raises ValueError as `p_mean` does.
    """
    mean = p_mean(sigma_data)
    log = lognormal_sigmas((count,), p_mean=mean, p_std=p_std, generator=generator).log()
    low, high = math.log(lowest * sigma_data), math.log(highest * sigma_data)
    # reflected at both ends rather than clipped: no level is met by many draws
    folded = (log - low) % (2 * (high - low))
    folded = folded.where(folded <= high - low, 2 * (high - low) - folded)
    return (low + folded).exp()


@dataclass(frozen=True)
class Curriculum:
    """Where the curriculum stands: `highest` noise level [sigma_data] of the present stage, and how it got there.

    stages: that level of each stage. patience: validations without progress that end a stage. stage: its number. stall:
    validations without progress so far.
    """

    stages: tuple[float, ...]
    patience: int
    stage: int = 0
    stall: int = 0
    best: float = math.inf  # distance of the ratio from 1, the least of this stage

    @property
    def highest(self) -> float:
        """The highest noise level to train with now [sigma_data]."""
        return self.stages[self.stage]

    @property
    def done(self) -> bool:
        """Whether this is the last stage."""
        return self.stage == len(self.stages) - 1

    def after(self, ratio: float) -> Curriculum:
        """Where it stands after a validation that found this ratio of F's size at the stage's highest levels."""
        off = abs(ratio - 1) if math.isfinite(ratio) else math.inf
        stall = 0 if off < self.best - GAIN else self.stall + 1
        moved = replace(self, stall=stall, best=min(off, self.best))
        if self.done or not (LEARNED[0] <= ratio <= LEARNED[1] or stall >= self.patience):
            return moved
        return replace(self, stage=self.stage + 1, stall=0, best=math.inf)
