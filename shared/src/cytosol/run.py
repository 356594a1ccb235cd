"""One training run as a Lightning callback: guard, average, validate, record, stop, save, in this order."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from cytosol.averaging import WeightAverage
from cytosol.bundle import load_weights
from cytosol.progress import History, Ticker
from cytosol.sharding import shared_like, shared_states, total_norm, whole, whole_module
from cytosol.stream import mix_seed, seed_global

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightning.pytorch import LightningModule, Trainer
    from torch import Tensor

    from cytosol.checkpoints import Checkpoints
    from cytosol.interrupts import Interrupts
    from cytosol.options import TrainerOptions

LOG = logging.getLogger("cytosol.trainer")
_CHECK_EVERY = 20  # steps between looks at the loss where looking means waiting for the device
_STOPS = (None, "max_minutes", "signal")


class TrainingDiverged(RuntimeError):
    """The loss or its gradient is NaN or infinite; the last checkpoint is from before that."""


class Run(Callback):
    """The state of a run beyond Lightning's, and what happens around each step.

    It is whole only between steps: `on_train_batch_end` is where it is saved, and an exception leaves a
    checkpoint only if it struck before the optimizer touched the weights.

    step: steps done; saved: the step of the newest checkpoint; reason: why it ended, None while it runs or after a
    signal. best: weights of the lowest validation loss, `best_loss`; bad_rounds: validations since without a lower one.
    """

    def __init__(
        self,
        options: TrainerOptions,
        seed: int,
        vault: Checkpoints,
        history: History,
        interrupts: Interrupts,
        identity: dict[str, Any],
    ) -> None:
        self.options, self.seed, self.vault, self.history = options, seed, vault, history
        self.interrupts, self.identity = interrupts, identity
        self.val: tuple[Any, Sequence[int]] | None = None  # loader of this process, samples in each batch
        self.restored: dict[str, Any] | None = None
        self.step = self.saved = self.bad_rounds = 0
        self.best_loss = float("inf")
        self.best: dict[str, Tensor] | None = None
        self.outcome: dict[str, Any] = {}
        self.average: WeightAverage | None = None
        self.reason: str | None = None
        self._between_steps = True
        self._loss = self._norm = torch.zeros(())
        self._bad = torch.zeros((), dtype=torch.bool)
        self._lr = float("nan")
        self._deadline = float("inf")
        self._ticker = Ticker(options.max_steps)

    # --- beginning

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up a checkpoint, or prove that one can be written."""
        self.interrupts.forward = getattr(trainer.strategy.launcher, "kill", None)
        self.interrupts.install()
        if self.options.ema_decay is not None:
            self.average = WeightAverage(pl_module, self.options.ema_decay)
        self._bad = torch.zeros((), dtype=torch.bool, device=pl_module.device)
        for config in trainer.lr_scheduler_configs:
            config.interval = "step"  # the stream has no epochs
        if self.restored is not None:
            self._restore(trainer, pl_module, self.restored)
            self.restored = None
        elif self.options.patience is not None:
            # no step may be the best one, where training goes on from a model
            self._judge(pl_module, self._validate(trainer, pl_module))
        if not trainer.is_global_zero:
            self.history.path = None  # every process keeps the rows, one writes them
        self.history.rewrite()
        self.vault.prove(self._state(trainer, pl_module))
        if self.options.max_minutes is not None:
            self._deadline = time.monotonic() + 60 * self.options.max_minutes

    def load(self, state: dict[str, Any], module: LightningModule) -> None:
        """Take up what of a saved state needs no trainer."""
        load_weights(module, shared_like(state["state_dict"], module))
        run = state["run"]
        self.step = self.saved = state["global_step"]
        self.bad_rounds, self.best_loss = run["bad_rounds"], run["best_loss"]
        self.best = None if run["best"] is None else shared_like(run["best"], module)
        self.reason = run["reason"]
        self.history.load(run["history"])
        if self.options.ema_decay is not None:
            self.average = WeightAverage(module, self.options.ema_decay)
            self.average.load(run["average"])

    def _restore(self, trainer: Trainer, module: LightningModule, state: dict[str, Any]) -> None:
        self.load(state, module)
        self.reason = None
        for optimizer, saved in zip(trainer.optimizers, state["optimizer_states"], strict=True):
            optimizer.load_state_dict(shared_states(saved, optimizer))
        for config, saved in zip(trainer.lr_scheduler_configs, state["lr_schedulers"], strict=True):
            config.scheduler.load_state_dict(saved)
        # `global_step`, which modules read, counts from the beginning of the run and not of this process
        loop = trainer.fit_loop.epoch_loop.automatic_optimization
        loop.optim_progress.optimizer.step.total.completed = self.step

    # --- a step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Seed what draws from nowhere else (dropout) for this very step; `fit` puts the old state back."""
        seed_global(mix_seed("global", self.seed, self.step, trainer.global_rank), pl_module.device)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Keep the loss, a scalar, for the guard."""
        self._loss = loss.detach()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Clip the gradient and stop, by TrainingDiverged, before a bad one gets into the weights."""
        self._between_steps = False
        weights = [p for p in pl_module.parameters() if p.grad is not None]
        self._norm = total_norm([cast("Tensor", p.grad) for p in weights]).to(self._loss.device)
        if self.options.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(weights, self.options.clip_norm, self._norm)
        self._bad |= ~(torch.isfinite(self._loss) & torch.isfinite(self._norm))
        self._lr = optimizer.param_groups[0]["lr"]
        if pl_module.device.type == "cpu" or self.step % _CHECK_EVERY == 0:
            self._check_finite(trainer)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Average, validate, record, stop, save."""
        self.step += 1
        if self.average is not None:
            self.average.update(self.step)
        self.history.add(self._loss, self._norm)
        reason = self._why_stop(trainer)
        row = None
        if self._due(self.options.val_every, reason) and self.val is not None and reason != "signal":
            self._check_finite(trainer)
            val_loss = self._validate(trainer, pl_module)
            row = self._close_row(trainer, val_loss)
            reason = self._judge(pl_module, val_loss) or reason
        elif self._due(self.options.log_every, reason) and reason != "signal":
            row = self._close_row(trainer, None)
        self.reason = None if reason == "signal" else reason
        self._between_steps = True
        if self._due(self.options.checkpoint_every, reason):
            self._check_finite(trainer)
            self._save(trainer, pl_module)
        if trainer.is_global_zero:
            self._ticker.show(self.step, row)
        trainer.should_stop = reason is not None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the progress line, and take from a module in shares what will be needed of it."""
        self._ticker.close()
        if self.options.strategy == "fsdp":
            average = self.average.average if self.average else None
            self.outcome = whole({"weights": pl_module.state_dict(), "best": self.best, "average": average})

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the progress line; save where the state is whole: of several processes, others would wait for ever."""
        self._ticker.close()
        alone = trainer.world_size == 1 and not isinstance(exception, TrainingDiverged)
        if alone and self._between_steps and self.step > self.saved and not bool(self._bad):
            self._save(trainer, pl_module)

    # --- what a step is made of

    def _due(self, every: int, reason: str | None) -> bool:
        return self.step % every == 0 or reason is not None

    def _why_stop(self, trainer: Trainer) -> str | None:
        if self.step >= self.options.max_steps:
            return "max_steps"
        code = 2 if self.interrupts.received else int(time.monotonic() > self._deadline)
        if trainer.world_size > 1:  # all processes stop at the same step, or the last one waits for ever
            wish = torch.tensor(code, device=trainer.strategy.root_device)
            code = int(trainer.strategy.reduce(wish, reduce_op="max"))
        return _STOPS[code]

    def _check_finite(self, trainer: Trainer) -> None:
        bad = bool(self._bad)
        if trainer.world_size > 1:
            bad = trainer.strategy.reduce_boolean_decision(bad, all=False)
        if bad:
            files = self.vault.files()
            kept = f"the last finite checkpoint is {files[-1]}" if files else "there is no checkpoint yet"
            msg = (
                f"training diverged by step {self.step + 1}: loss {float(self._loss):g}, gradient norm "
                f"{float(self._norm):g}, learning rate {self._lr:g}; lower it or check the data; {kept}"
            )
            raise TrainingDiverged(msg)

    @torch.no_grad()
    def _validate(self, trainer: Trainer, module: LightningModule) -> float:
        """Return the mean loss over all validation samples, with the averaged weights where there are any."""
        loader, sizes = cast("tuple[Any, Sequence[int]]", self.val)
        total = torch.zeros(2, device=module.device)
        training = [part for part in module.modules() if part.training]
        module.eval()
        try:
            with self.average.in_place() if self.average else nullcontext(), whole_module(module):
                for index, (batch, size) in enumerate(zip(loader, sizes, strict=True)):
                    seed_global(mix_seed("val", self.seed, index, trainer.global_rank), module.device)
                    batch = trainer.strategy.batch_to_device(batch)
                    with trainer.precision_plugin.val_step_context():
                        loss = cast("Tensor", module.validation_step(batch, index))
                    total += torch.stack((loss.detach().float() * size, torch.full_like(loss, size).float()))
        finally:
            for part in training:
                part.training = True
        total = trainer.strategy.reduce(total, reduce_op="sum")
        return float(total[0] / total[1])

    def _judge(self, module: LightningModule, val_loss: float) -> str | None:
        if not val_loss < float("inf"):
            msg = f"validation loss is {val_loss} at step {self.step}; check the validation data and the loss"
            raise TrainingDiverged(msg)
        if self.options.patience is None:
            return None
        if val_loss < self.best_loss:
            self.best_loss, self.bad_rounds = val_loss, 0
            with self.average.in_place() if self.average else nullcontext():
                self.best = {name: value.detach().clone() for name, value in module.state_dict().items()}
            return None
        self.bad_rounds += 1
        return "patience" if self.bad_rounds >= self.options.patience else None

    def _close_row(self, trainer: Trainer, val_loss: float | None) -> list[float]:
        means = trainer.strategy.reduce(self.history.means(), reduce_op="mean")
        row = self.history.close_row(self.step, means, val_loss, self._lr)
        if trainer.is_global_zero:
            val = "" if val_loss is None else f", validation loss {val_loss:.5g}"
            LOG.info("step %d of %d: loss %.5g%s", self.step, self.options.max_steps, row[1], val)
        return row

    # --- saving

    def _save(self, trainer: Trainer, module: LightningModule) -> None:
        state = self._state(trainer, module)  # of shares, every process's
        if trainer.is_global_zero and self.step > self.saved:
            self.vault.save(self.step, state)
        if trainer.world_size > 1:
            trainer.strategy.barrier()  # no process goes on to read what another is still writing
        self.saved = self.step

    def _state(self, trainer: Trainer, module: LightningModule) -> dict[str, Any]:
        state = {
            "state_dict": dict(module.state_dict()),
            "optimizer_states": [optimizer.state_dict() for optimizer in trainer.optimizers],
            "lr_schedulers": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
            "hyper_parameters": dict(module.hparams),
            "global_step": self.step,
            "epoch": 0,
            "pytorch-lightning_version": lightning.__version__,
            "run": {
                "identity": self.identity,
                "reason": self.reason,
                "best": self.best,
                "best_loss": self.best_loss,
                "bad_rounds": self.bad_rounds,
                "average": self.average.average if self.average else None,
                "history": self.history.state(),
            },
        }
        return whole(state) if self.options.strategy == "fsdp" else state

    def bring_back(self, module: LightningModule) -> None:
        """Give a whole module what its copy in shares has learned."""
        load_weights(module, self.outcome["weights"])
        self.best = self.outcome["best"]
        if self.options.ema_decay is not None:
            self.average = WeightAverage(module, self.options.ema_decay)
            self.average.load(self.outcome["average"])

    def finish(self, module: LightningModule) -> None:
        """Leave the weights that the run is for in the module: the best, else the averaged, else the last."""
        if self.best is not None:
            load_weights(module, self.best)
        elif self.average is not None:
            self.average.copy_to_module()
