"""One small run, as a program: `torchrun --nproc-per-node 2 two_processes.py OUT 2 ddp`, or imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import TensorDataset

from cytosol.trainer import TrainerOptions, cosine_warmup, fit, step_generator

BATCH = 8


class Net(pl.LightningModule):
    """Noise for the whole batch, of which each process takes the rows that it holds.

    The loss never reaches `unheard`, and `late` only in the second half of a batch: in one of two processes. `single`
    is one number.
    """

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.net = nn.Sequential(nn.Linear(3, 16), nn.SiLU(), nn.Linear(16, 1))
        self.late, self.unheard = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(2))
        self.single = nn.Parameter(torch.tensor(0.1))

    def training_step(self, batch, _):
        x, y = batch
        noise = torch.randn(BATCH, 3, generator=step_generator(5, self.global_step))
        first = self.global_rank * len(x)
        errors = self.net(x + 0.1 * noise[first : first + len(x)]) * self.single.exp() - y
        half = max(0, BATCH // 2 - first)
        if half < len(x):
            errors = torch.cat([errors[:half], errors[half:] + self.late])
        return (errors**2).mean()

    def validation_step(self, batch, _):
        x, y = batch
        return ((self.net(x) * self.single.exp() - y) ** 2).mean()

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        return {"optimizer": optimizer, "lr_scheduler": cosine_warmup(optimizer, 5, 30)}


def train(out: Path, devices: int, strategy: str = "auto", *, max_steps: int = 30, resume: bool = False):
    """Return the trained weights and the history."""
    x = torch.randn(37, 3, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(x, x.sum(1, keepdim=True))
    options = TrainerOptions(
        max_steps=max_steps,
        batch_size=BATCH,
        log_every=5,
        val_every=10,
        checkpoint_every=10,
        ema_decay=0.9,
        devices=devices,
        strategy=strategy,
        device="cpu",
    )
    net = Net()
    history = fit(net, data, val_data=data, options=options, out=out, seed=5, resume=resume)
    return net.state_dict(), history


def main(out: Path, devices: int, strategy: str) -> None:
    train(out, devices, strategy, max_steps=20)
    weights, history = train(out, devices, strategy, resume=True)
    rank = os.environ["RANK"]
    torch.save({"weights": weights, "val_loss": history.val_loss.dropna().tolist()}, out / f"rank{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
