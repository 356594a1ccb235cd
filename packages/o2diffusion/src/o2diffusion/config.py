"""Every default of `o2diffusion`, typed and range-checked: the only truth about defaults.

Units stand in each field's comment. A recipe in `configs/o2diffusion/` says only what differs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from cytosol.options import TrainerOptions

MAX_REPLICATES = 4  # that the network is shown together; a series of more is split
PRESETS = {  # encoder widths, denoiser widths: one that trains on two cores in minutes, and the plan's network
    "small": ((40, 64, 96), (64, 80)),
    "paper": ((256, 512, 1024, 2048), (256, 512, 1024)),
}


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape of the network."""

    preset: Literal["small", "paper"] = "small"  # widths, where they are not given
    widths: tuple[int, ...] = ()  # features of the encoder's levels, the first at full resolution
    denoiser_widths: tuple[int, ...] = ()  # the same of the denoiser, which runs once a step and draw
    patch: int = 2  # time cells the encoder folds into a token
    denoiser_patch: int = 8  # the same of the denoiser
    cond_width: int = 64  # of the condition vector
    seen_width: int = 16  # features a cell the encoder hands to the denoiser
    drug_width: int = 16  # of a drug's embedding
    dynamics_width: int = 32  # hidden width of the media-change response
    fingerprint_bits: int = 0  # of a drug's fingerprint; 0 = drugs are known by name only
    cells: int = 128  # time cells a window
    max_replicates: int = MAX_REPLICATES  # a condition: this number and no other

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("widths", "denoiser_widths"):
            if any(w < 4 or w % 4 for w in getattr(self, name)):
                msg = f"{name}: expected multiples of 4, got {getattr(self, name)!r}"
                raise ValueError(msg)
        for name, low in {
            "patch": 1,
            "denoiser_patch": 1,
            "cond_width": 1,
            "seen_width": 1,
            "drug_width": 1,
            "dynamics_width": 1,
            "cells": 16,
        }.items():
            _at_least(name, getattr(self, name), low)
        _at_least("fingerprint_bits", self.fingerprint_bits, 0)
        if self.max_replicates != MAX_REPLICATES:
            msg = f"max_replicates: expected {MAX_REPLICATES}, the network takes no more, got {self.max_replicates!r}"
            raise ValueError(msg)

    # Not filled in by __post_init__: a recipe is laid over the defaults, and the default preset's widths would win.
    @property
    def encoder_levels(self) -> tuple[int, ...]:
        """Features of the encoder's levels: those given, else the preset's."""
        return self.widths or PRESETS[self.preset][0]

    @property
    def denoiser_levels(self) -> tuple[int, ...]:
        """The same of the denoiser."""
        return self.denoiser_widths or PRESETS[self.preset][1]

    def resolved(self) -> ModelConfig:
        """The same with its widths written out: a saved model does not change shape with a later preset."""
        return replace(self, widths=self.encoder_levels, denoiser_widths=self.denoiser_levels)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How the network learns."""

    masks: int = 5  # random masks a condition
    everything: float = 0.2  # share of masks that hide all: what generation needs
    unknown_drug: float = 0.1  # share of items shown without their drug, so that the average is learned
    learning_rate: float = 2e-3  # peak
    warmup_steps: int = 100
    weight_decay: float = 0.01
    p_mean: float = 0.5  # mean of ln(sigma) in training the denoiser (Karras et al. 2022, section 5)
    p_std: float = 1.8  # its standard deviation
    draw_steps: int = 3000  # optimizer steps of the second run, which learns the joint draws; 0: none
    windows: int = 64  # media-change windows a step
    use_drugs: bool = True  # learn drugs and concentrations where the table has them
    keep_wells: bool = (
        True  # keep a hash of every curve, so that `evaluate` notices when it is asked about them
    )

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _at_least("masks", self.masks, 1)
        _at_least("windows", self.windows, 1)
        for name in ("everything", "unknown_drug"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                msg = f"{name}: expected a share in [0, 1], got {getattr(self, name)!r}"
                raise ValueError(msg)
        for name in ("learning_rate", "p_std"):
            _above(name, getattr(self, name), 0.0)
        _at_least("weight_decay", self.weight_decay, 0.0)
        _at_least("warmup_steps", self.warmup_steps, 0)
        _at_least("draw_steps", self.draw_steps, 0)


Protocol = Literal["plate", "respirometry", "intermittent", "cycles", "mixed"]


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """What `simulate` makes: plates of cultures, closed chambers, or a mixture, one experiment at a time."""

    protocol: Protocol = "plate"
    experiments: int = 2  # plates or runs
    drugs: int = 23  # per plate; species or treatments per run elsewhere
    concentrations: int = 8  # per drug, the control (0 uM) included; each a `dilution`-th of the next
    max_concentration_um: float = 22.5  # [uM]
    dilution: float = 3.0
    replicate_share: tuple[float, ...] = ()  # of conditions with 1 to 4 replicates; empty: the protocol's own
    hours: float = 412.0  # of a plate [h]
    step_h: float = 0.93  # between samples of a plate [h]
    sparse: float = 0.50  # part of a plate's time with samples two to four times as far apart
    changes: int = 5  # medium changes of a plate
    change_times_h: tuple[float, ...] = ()  # given times [h] instead of random ones
    interval_spread: float = 0.25  # relative spread of the intervals between changes
    drug_free: float = 0.0  # part of the changes after the first dosing that bring medium without drug
    faults: float = 0.10  # part of a well's time without a signal
    excluded: float = 0.12  # part of the wells that are left out from some time on, or until then
    noise: float = 1.0  # factor on sensor noise and drift
    spread: float = 1.0  # factor on the differences between replicates
    drug_seed: int = 0  # drug parameters are a function of (drug_seed, drug name)
    drug_prefix: str = "drug"  # other prefix, other drugs
    vary: bool = False  # draw duration, step, schedule, noise and spread anew for each experiment

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if self.protocol not in get_args(Protocol):
            msg = f"protocol: expected one of {', '.join(get_args(Protocol))}, got {self.protocol!r}"
            raise ValueError(msg)
        whole = {"experiments": 1, "drugs": 1, "concentrations": 1, "changes": 0, "drug_seed": 0}
        for name, low in whole.items():
            _at_least(name, getattr(self, name), low)
        for name in ("max_concentration_um", "hours", "step_h"):
            _above(name, getattr(self, name), 0.0)
        _above("dilution", self.dilution, 1.0)
        for name in ("noise", "spread", "interval_spread"):
            _at_least(name, getattr(self, name), 0.0)
        for name in ("sparse", "drug_free", "faults", "excluded"):
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:
                msg = f"{name}: expected a part in [0, 1), got {value!r}"
                raise ValueError(msg)
        share = self.replicate_share
        if share and (len(share) > 4 or min(share) < 0 or abs(sum(share) - 1.0) > 1e-6):
            msg = f"replicate_share: expected one to four parts >= 0 that sum to 1, got {share!r}"
            raise ValueError(msg)
        if any(not 0.0 < t < self.hours for t in self.change_times_h):
            msg = f"change_times_h: expected times in (0, {self.hours:g}) h, got {self.change_times_h!r}"
            raise ValueError(msg)


def _at_least(name: str, value: float, low: float) -> None:
    """Refuse a value below `low`, and NaN."""
    if not value >= low:
        msg = f"{name}: expected a number >= {low:g}, got {value!r}"
        raise ValueError(msg)


def _above(name: str, value: float, low: float) -> None:
    """Refuse a value that is not above `low`."""
    if not value > low:
        msg = f"{name}: expected a number > {low:g}, got {value!r}"
        raise ValueError(msg)


def _trainer(steps: int, **options: Any) -> TrainerOptions:
    """What all trainings of this package have in common.

    With `patience`, every tenth condition is held out and the weights that are best on them are kept.
    """
    return TrainerOptions(max_steps=steps, batch_size=16, precision="32-true", **options)


# Minutes on two cores; `trainer.max_steps` and `train.draw_steps` are the first numbers to raise.
DEFAULT = _trainer(2000, ema_decay=0.995, checkpoint_every=500, val_every=250, patience=4)
# A minute or two: a trained model has little to learn from one plate.
ADAPT = _trainer(300, ema_decay=0.98, checkpoint_every=100, val_every=50, patience=3)


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How much is drawn where a verb is not told."""

    draws: int = 100  # joint draws of a condition

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _at_least("draws", self.draws, 2)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything an experiment may be told: `simulation.*` is what `simulate` reads, `model.*`, `train.*` and
    `trainer.*` what `train` reads, `sampling.*` what the verbs that draw read.
    """

    seed: int = 0  # of masks, weights, order and draws
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    trainer: TrainerOptions = field(default_factory=lambda: DEFAULT)
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _at_least("seed", self.seed, 0)


@dataclass(frozen=True, kw_only=True)
class AdaptConfig(Config):
    """The same where training begins with a trained model (`train --from`, `impute --fit-here`): short and gentle."""

    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(learning_rate=1e-4, warmup_steps=20, draw_steps=300)
    )
    trainer: TrainerOptions = field(default_factory=lambda: ADAPT)
