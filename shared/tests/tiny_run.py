"""A run of a dozen steps, for the tests of training."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import TensorDataset

from cytosol.options import TrainerOptions
from cytosol.trainer import fit

LINE = torch.linspace(-1, 1, 12).reshape(-1, 1)
DATA = TensorDataset(LINE, 3 * LINE + 1)


class Line(pl.LightningModule):
    """y = a x + b by least squares; `hook(step)` runs in every step."""

    def __init__(self, hook=lambda step: None, lr=0.1):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Linear(1, 1)
        self.hook, self.lr = hook, lr
        self.trace = []

    def training_step(self, batch, _):
        x, y = batch
        factor = self.hook(self.global_step)
        loss = ((self.net(x) - y) ** 2).mean()
        self.trace.append(self.net.weight.item())
        return loss if factor is None else loss * factor

    def validation_step(self, batch, _):
        assert not self.training
        x, y = batch
        return ((self.net(x) - y) ** 2).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def make_options(**changes):
    words = {"max_steps": 12, "batch_size": 4, "device": "cpu", "checkpoint_every": 5, "log_every": 4}
    return TrainerOptions(**(words | changes))


def train(out, module=None, *, seed=0, data=DATA, val_data=None, resume=False, force=False, **changes):
    module = module or Line()
    history = fit(
        module,
        data,
        val_data=val_data,
        options=make_options(**changes),
        out=out,
        seed=seed,
        resume=resume,
        force=force,
    )
    return module, history
