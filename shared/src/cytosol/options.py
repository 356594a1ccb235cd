"""What a training run may be told. Loads no torch: a package's `config.py` holds it as one of its fields."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Processes:
    """How many processes train together, and what each of them holds; every field is plain JSON.

    Raises ValueError, naming field, value and range, for a value outside its range.
    """

    devices: int = 1  # processes a machine, one device each
    nodes: int = 1  # machines; several are started by torchrun or srun
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"  # all weights in each, or a share; auto: ddp of several

    def __post_init__(self) -> None:
        for name in ("devices", "nodes"):
            _whole(name, getattr(self, name), 1)
        if self.strategy not in ("auto", "ddp", "fsdp"):
            _refuse("strategy", self.strategy, "auto, ddp or fsdp")
        if self.strategy != "auto" and self.processes == 1:
            _refuse("strategy", self.strategy, "devices or nodes above 1 with it")

    @property
    def processes(self) -> int:
        """All of them, on all machines."""
        return self.devices * self.nodes


@dataclass(frozen=True, kw_only=True)
class TrainerOptions(Processes):
    """How long, in what steps and on what to train; every field is plain JSON.

    Raises ValueError, naming field, value and range, for a value outside its range.
    """

    max_steps: int  # optimizer steps, 1 and up
    batch_size: int  # samples a step over all processes together, a multiple of their number
    max_minutes: float | None = None  # [min] of this process; a resumed run gets them anew
    log_every: int = 50  # steps a row of the history
    val_every: int = 500  # steps between validations
    checkpoint_every: int = 500  # steps between checkpoints
    patience: int | None = None  # validations without improvement before stopping; keeps the best weights
    ema_decay: float | None = None  # of the exponential moving average of the weights, 0 to below 1
    clip_norm: float | None = 1.0  # largest gradient norm; None: as it comes
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"  # auto: bf16 where the device has it
    device: str = "auto"  # auto, cpu, cuda, mps
    num_workers: int = 0  # processes that read data; 0: the training process reads

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_steps", "batch_size", "log_every", "val_every", "checkpoint_every"):
            _whole(name, getattr(self, name), 1)
        _whole("num_workers", self.num_workers, 0)
        if self.patience is not None:
            _whole("patience", self.patience, 1)
        for name in ("max_minutes", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                _refuse(name, value, "a positive number or none")
        if self.ema_decay is not None and not 0 <= self.ema_decay < 1:
            _refuse("ema_decay", self.ema_decay, "0 to below 1, or none")
        if self.precision not in ("auto", "32-true", "bf16-mixed"):
            _refuse("precision", self.precision, "auto, 32-true or bf16-mixed")
        if self.device not in ("auto", "cpu", "cuda", "mps"):
            _refuse("device", self.device, "auto, cpu, cuda or mps")
        if self.batch_size % self.processes:
            told = f"devices={self.devices}" + (f" times nodes={self.nodes}" if self.nodes > 1 else "")
            _refuse("batch_size", self.batch_size, f"a multiple of {told}")

    def as_dict(self) -> dict[str, int | float | str | None]:
        """The fields and their values, ready for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _whole(name: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        _refuse(name, value, f"a whole number, {least} or more")


def _refuse(name: str, value: object, expected: str) -> None:
    msg = f"{name} = {value!r}: expected {expected}"
    raise ValueError(msg)
