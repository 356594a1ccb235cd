"""Runs that are killed and taken up again: `python killed_runs.py DIR` prints a digest for each.

Lightning is imported once and every run is a fork: a kill is a real SIGKILL and takes a second, not ten.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import TensorDataset

import cytosol.checkpoints
from cytosol.trainer import TrainerOptions, TrainingInterrupted, cosine_warmup, fit, step_generator

STEPS, EVERY = 40, 5


class Net(pl.LightningModule):
    """Noise, masks, dropout, a schedule, batch statistics; and ballast, so that a checkpoint takes time."""

    def __init__(self, ballast: int, hook) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.net = nn.Sequential(
                nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1)
            )
        self.register_buffer("ballast", torch.zeros(ballast))
        self.hook = hook

    def training_step(self, batch, _):
        self.hook(self.global_step)
        x, y = batch
        noise = torch.randn(x.shape, generator=step_generator(3, self.global_step, self.global_rank))
        return ((self.net(x + 0.1 * noise) - y) ** 2).mean()

    def validation_step(self, batch, index):
        x, y = batch
        return ((self.net(x + torch.randn(x.shape, generator=step_generator(3, index))) - y) ** 2).mean()

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        return {"optimizer": optimizer, "lr_scheduler": cosine_warmup(optimizer, 5, STEPS)}


def train(out: Path, *, ballast: int = 0, hook=lambda step: None, workers: int = 0) -> str:
    """Train or continue; return a digest of weights and history."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(37, 3, generator=g)
    data = TensorDataset(x, x.sum(1, keepdim=True))
    options = TrainerOptions(
        max_steps=STEPS,
        batch_size=8,
        log_every=3,
        val_every=7,
        checkpoint_every=EVERY,
        ema_decay=0.9,
        num_workers=workers,
        device="cpu",
    )
    net = Net(ballast, hook)
    history = fit(net, data, val_data=data, options=options, out=out, seed=3, resume=True)
    digest = hashlib.sha256(history.drop(columns="seconds").to_csv().encode())
    for name, value in net.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def fork(result: Path, run) -> int:
    """Run in a child that writes what `run` returns; return its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        result.write_text(run())
        code = 0
    except TrainingInterrupted as error:
        result.write_text(str(error))
        code = 130
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Wait; return the exit status, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def once(root: Path, name: str, **kwargs) -> tuple[int, str]:
    result = root / f"{name}.txt"
    result.unlink(missing_ok=True)
    code = ended(fork(result, lambda: train(root / name, **kwargs)))
    return code, result.read_text() if result.exists() else ""


def at(step: int, number: signal.Signals):
    """A hook that sends this very process a signal in the middle of a step."""
    return lambda now: os.kill(os.getpid(), number) if now == step else None


def kill_after_writing(share: float):
    """A hook that makes the checkpoint of step 15 be cut off after this share of it, by SIGKILL."""

    def cut(path: Path, data: memoryview) -> None:
        if "step-00000015" in path.name:
            path.with_name(f".{path.name}.0.part").write_bytes(data[: int(share * len(data))])
            os.kill(os.getpid(), signal.SIGKILL)
        whole(path, data)

    whole = cytosol.checkpoints.write_atomically

    def hook(step: int) -> None:
        cytosol.checkpoints.write_atomically = cut

    return hook


def kill_in_writing(root: Path, name: str, times: int) -> tuple[int, str]:
    """Kill from outside whenever a checkpoint is being written, `times` times; then let it end."""
    out, landed = root / name, 0
    ballast = 4_000_000
    for _ in range(times):
        child = fork(root / "lost.txt", lambda: train(out, ballast=ballast))
        directory = out / "checkpoints"
        while not list(directory.glob(".step-*.part")) and os.waitpid(child, os.WNOHANG)[0] == 0:
            time.sleep(0.0005)
        os.kill(child, signal.SIGKILL)
        landed += ended(child) == -signal.SIGKILL
    code, digest = once(root, name, ballast=ballast)
    return (code if landed == times else -landed), digest


def main(root: Path) -> None:
    report: dict[str, object] = {}
    report["reference"] = once(root, "reference")
    report["workers"] = once(root, "workers", workers=1)
    for name, hook in {
        "mid_epoch": at(17, signal.SIGKILL),
        "half_written": kill_after_writing(0.5),
        "written_not_named": kill_after_writing(1.0),
        "sigterm": at(12, signal.SIGTERM),
        "ctrl_c": at(12, signal.SIGINT),
    }.items():
        first = once(root, name, hook=hook)
        kept = sorted(path.name[:13] for path in (root / name / "checkpoints").glob("step-*"))
        report[name] = (first, kept, once(root, name))
    report["ballast_reference"] = once(root, "ballast_reference", ballast=4_000_000)
    report["outside"] = kill_in_writing(root, "outside", 3)
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
