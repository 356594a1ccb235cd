"""The one place that builds a Lightning Trainer: `fit` trains a module through kills, signals and NaN."""

from __future__ import annotations

import copy
import logging
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden

from cytosol import ranks
from cytosol.checkpoints import CheckpointError, Checkpoints
from cytosol.device import out_of_memory_hint, pick_device, pick_precision
from cytosol.interrupts import Interrupts, TrainingInterrupted
from cytosol.optimizers import adamw, cosine_warmup
from cytosol.options import TrainerOptions
from cytosol.processes import check_processes, environment, strategy
from cytosol.progress import COLUMNS, History
from cytosol.run import LOG, Run, TrainingDiverged
from cytosol.stream import LateLoader, ShuffledBatches, data_loader, mix_seed, step_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd
    from torch.utils.data import Dataset

__all__ = [
    "CheckpointError",
    "TrainerOptions",
    "TrainingDiverged",
    "TrainingInterrupted",
    "adamw",
    "cosine_warmup",
    "fit",
    "mix_seed",
    "step_generator",
]

_SAME = ("batch_size", "ema_decay", "clip_norm")  # options that a run cannot change on its way


def fit(
    module: LightningModule,
    train_data: Dataset[Any],
    *,
    options: TrainerOptions,
    out: str | Path,
    seed: int,
    val_data: Dataset[Any] | None = None,
    resume: bool = False,
    force: bool = False,
    collate: Callable[..., Any] | None = None,
) -> pd.DataFrame:
    """Train a module and return the history (step, train_loss, val_loss, lr, grad_norm, seconds [s]).

    module: `training_step` and `validation_step` (batch, index) return the mean loss of the batch, ();
    `configure_optimizers` as in Lightning, a schedule being stepped after every step. Noise and masks come
    from `step_generator(seed, self.global_step, self.global_rank)`; dropout is seeded here, step by step.
    train_data, val_data: datasets of known length whose items depend on nothing but their number.
    out: gets `history.csv` and `checkpoints/`. Afterwards the module holds, on the CPU, the weights of the
    best validation (with `patience`; the first is made before any step), else their average (with
    `ema_decay`), else the last ones.
    resume: continue the run in `out`, bit for bit; begin where there is none. force: drop the run in `out`.
    Raises ValueError (of directories CheckpointError) for unusable data, options or directories before any step;
    TrainingDiverged for a NaN or infinite loss; RuntimeError where memory does not suffice, naming the batch size;
    TrainingInterrupted (a KeyboardInterrupt) after Ctrl-C or SIGTERM, a checkpoint saved.
    """
    out = Path(out)
    identity = _identity(module, train_data, val_data, options, seed)
    check_processes(options)
    vault = Checkpoints(out, writes=ranks.first())
    state = _earlier(vault, identity, resume=resume, force=force)
    with Interrupts() as interrupts, _own_randomness(options):
        history = History(out / "history.csv")
        run = Run(options, seed, vault, history, interrupts, identity)
        if state is not None and _complete(state, options):
            run.load(state, module)
            LOG.info("the run in %s is complete at step %d (%s)", out, run.step, run.reason)
        else:
            with _quiet(), out_of_memory_hint():
                _train(run, module, train_data, val_data, state, collate)
    run.finish(module)
    return _table(history)


def _train(
    run: Run,
    module: LightningModule,
    train_data: Dataset[Any],
    val_data: Dataset[Any] | None,
    state: dict[str, Any] | None,
    collate: Callable[..., Any] | None,
) -> None:
    options, start = run.options, 0
    if state is not None:
        start, run.restored = state["global_step"], state
        LOG.info("continuing at step %d", start)
    trainer = _build(options, run)
    trained = copy.deepcopy(module) if options.strategy == "fsdp" else module

    def batches() -> Any:
        place = {"rank": trainer.global_rank, "world": trainer.world_size}
        if val_data is not None:
            run.val = _val_loader(val_data, options, collate, **place)
        stop, n = options.max_steps, run.identity["samples"]
        order = ShuffledBatches(n, options.batch_size, seed=run.seed, start=start, stop=stop, **place)
        return _loader(train_data, order, options, collate)

    # Lightning's own validation is off; without a loader it would warn about the unused validation_step
    val = [] if is_overridden("validation_step", module) else None
    try:
        trainer.fit(trained, LateLoader(batches, options.max_steps - start), val)
    except SystemExit:  # Lightning's answer to Ctrl-C
        raise TrainingInterrupted(_interrupted(run)) from None
    if trained is not module:
        run.bring_back(module)
    if run.interrupts.received and run.reason is None:
        raise TrainingInterrupted(_interrupted(run))
    LOG.info("training ended at step %d of %d: %s", run.step, options.max_steps, _ending(run))


def _build(options: TrainerOptions, run: Run) -> Trainer:
    device = pick_device(options.device)
    precision: Any = pick_precision(device) if options.precision == "auto" else options.precision
    return Trainer(
        accelerator=device.type,
        devices=options.devices,
        num_nodes=options.nodes,
        strategy=strategy(options),
        plugins=[environment(options)],
        precision=precision,
        max_steps=options.max_steps,
        max_epochs=-1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        callbacks=[run],
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        default_root_dir=run.vault.directory,
    )


def _loader(data: Dataset[Any], batches: Any, options: TrainerOptions, collate: Any) -> Any:
    pin = pick_device(options.device).type == "cuda"
    return data_loader(data, batches, collate=collate, workers=options.num_workers, pin=pin)


def _val_loader(
    data: Dataset[Any], options: TrainerOptions, collate: Any, *, rank: int, world: int
) -> tuple[Any, list[int]]:
    """Return the loader of this process's share and the number of samples in each of its batches."""
    n, share = _length(data), options.batch_size // world
    batches = [list(range(first, min(first + share, n))) for first in range(0, n, share)][rank::world]
    return _loader(data, batches, options, collate), [len(batch) for batch in batches]


def _identity(
    module: LightningModule, train_data: Any, val_data: Any, options: TrainerOptions, seed: int
) -> dict[str, Any]:
    """Check what can be checked before training; return what makes the run this run."""
    samples = _length(train_data)
    if not samples or (val_data is not None and not _length(val_data)):
        msg = f"the {'validation' if samples else 'training'} data is empty; check the table and its split"
        raise ValueError(msg)
    if val_data is not None and not is_overridden("validation_step", module):
        msg = f"val_data was given, but {type(module).__name__} has no validation_step"
        raise ValueError(msg)
    if options.patience is not None and val_data is None:
        msg = f"patience = {options.patience} needs validation data; give val_data or leave patience out"
        raise ValueError(msg)
    return {"seed": seed, "samples": samples} | {name: getattr(options, name) for name in _SAME}


def _length(data: Any) -> int:
    try:
        return len(data)
    except TypeError:
        msg = f"{type(data).__name__} has no length; give a dataset whose samples can be drawn by number"
        raise ValueError(msg) from None


def _earlier(
    vault: Checkpoints, identity: dict[str, Any], *, resume: bool, force: bool
) -> dict[str, Any] | None:
    if not (resume or ranks.first()):
        return None  # the first process sees to what is there
    if force and not resume:
        vault.discard()
    if not resume:
        if files := vault.files():
            msg = (
                f"{files[-1]} is from an earlier run; resume it, force a new one, or choose another directory"
            )
            raise CheckpointError(msg)
        return None
    state = vault.newest()
    if state is not None:
        for name, value in state["run"]["identity"].items():
            if identity[name] != value:
                msg = (
                    f"the run in {vault.directory.parent} was started with {name} = {value}, now it is "
                    f"{identity[name]}; resume with {value}, or force a new run"
                )
                raise CheckpointError(msg)
    return state


def _complete(state: dict[str, Any], options: TrainerOptions) -> bool:
    return state["global_step"] >= options.max_steps or state["run"]["reason"] == "patience"


def _ending(run: Run) -> str:
    options = run.options
    return {
        "max_minutes": f"max_minutes = {options.max_minutes} are over",
        "patience": f"no better validation loss than {run.best_loss:.5g} in {options.patience} rounds",
    }.get(str(run.reason), "all steps done")


def _interrupted(run: Run) -> str:
    kept = f"continue with resume from step {run.saved}" if run.saved else "no checkpoint was due yet"
    return f"training stopped by {run.interrupts.received or 'Ctrl-C'} at step {run.step}; {kept}"


def _table(history: History) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(history.rows, columns=pd.Index(COLUMNS)).astype({"step": "int64"})


@contextmanager
def _own_randomness(options: TrainerOptions) -> Iterator[None]:
    kind = pick_device(options.device).type
    devices = [torch.cuda.current_device()] if kind == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's greetings (hardware, tips) out of the log; its warnings stay, but one about itself."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
