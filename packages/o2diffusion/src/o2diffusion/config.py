"""Every default of `o2diffusion`, typed and range-checked: the only truth about defaults.

Units stand in each field's comment. A recipe in `configs/o2diffusion/` says only what differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape of the network."""

    widths: tuple[int, ...] = (32, 48, 64, 96)  # features of the encoder's levels, the first at full resolution
    denoiser_widths: tuple[int, ...] = (24, 32, 48)  # the same of the denoiser, which runs once a step and draw
    cond_width: int = 64  # of the condition vector
    seen_width: int = 16  # features a cell the encoder hands to the denoiser
    drug_width: int = 16  # of a drug's embedding
    dynamics_width: int = 32  # hidden width of the media-change response
    fingerprint_bits: int = 0  # of a drug's fingerprint; 0 = drugs are known by name only
    max_replicates: int = 4  # curves a condition
    cells: int = 128  # time cells a window

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("widths", "denoiser_widths"):
            widths = getattr(self, name)
            if not widths or any(w < 4 or w % 4 for w in widths):
                msg = f"model.{name}: expected multiples of 4, got {widths!r}"
                raise ValueError(msg)
        if not 1 <= self.max_replicates <= 4:
            msg = f"model.max_replicates: expected 1 to 4, got {self.max_replicates!r}"
            raise ValueError(msg)
        if self.cells < 16:
            msg = f"model.cells: expected at least 16, got {self.cells!r}"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """What `simulate` makes: plates of cultures, closed chambers, or a mixture, one experiment at a time."""

    protocol: Literal["plate", "respirometry", "intermittent", "cycles", "mixed"] = "plate"
    experiments: int = 2  # plates or runs
    drugs: int = 23  # per plate; species or treatments per run elsewhere
    concentrations: int = 8  # per drug, the control (0 uM) included; each a `dilution`-th of the next
    max_concentration_um: float = 22.5  # [uM]
    dilution: float = 3.0
    replicate_share: tuple[float, ...] = ()  # of conditions with 1, 2, 3, 4 replicates; empty: the protocol's own
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

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
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
                msg = f"simulation.{name}: expected a part in [0, 1), got {value!r}"
                raise ValueError(msg)
        share = self.replicate_share
        if share and (len(share) > 4 or min(share) < 0 or abs(sum(share) - 1.0) > 1e-6):
            msg = f"simulation.replicate_share: expected one to four parts >= 0 that sum to 1, got {share!r}"
            raise ValueError(msg)
        if any(not 0.0 < t < self.hours for t in self.change_times_h):
            msg = f"simulation.change_times_h: expected times inside (0, {self.hours:g}) h, got {self.change_times_h!r}"
            raise ValueError(msg)


def _at_least(name: str, value: float, low: float) -> None:
    """Refuse a simulation value below `low`."""
    if value < low:
        msg = f"simulation.{name}: expected a number >= {low:g}, got {value!r}"
        raise ValueError(msg)


def _above(name: str, value: float, low: float) -> None:
    """Refuse a simulation value that is not above `low`."""
    if not value > low:
        msg = f"simulation.{name}: expected a number > {low:g}, got {value!r}"
        raise ValueError(msg)
