"""One small training of generator and refiner, as a program for two processes, or imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from cytosol.options import TrainerOptions
from stedm.fitting import Plan, train_structure
from stedm.options import LearnOptions, NetOptions, PatchOptions
from stedm.patches import Cells


def sections(count: int = 3, n: int = 60) -> list[Cells]:
    """Cells whose embedding says where they are, and base coordinates that are off."""
    made = []
    for k in range(count):
        random = torch.Generator().manual_seed(k)
        v = torch.randn(n, 2, generator=random)
        z = torch.cat([v, v.square()], 1) + 0.1 * torch.randn(n, 4, generator=random)
        made.append(Cells(z, v + 0.5 * torch.randn(n, 2, generator=random), v))
    return made


def train(out: Path, devices: int, *, refiner_steps: int = 4) -> dict[str, torch.Tensor]:
    """The trained weights, and what they `made` of a section; nothing is random but the sets, drawn alike both ways."""
    plan = Plan(
        net=NetOptions(
            width=16, heads=2, inducing=4, context_width=16, neighbours=4, score_blocks=1, around="generator"
        ),
        patches=PatchOptions(least=32, most=32),
        learn=LearnOptions(hide=0.0, jitter=0.0, warmup_steps=2),
        trainer=TrainerOptions(
            max_steps=8,
            batch_size=4,
            val_every=4,
            checkpoint_every=4,
            log_every=2,
            devices=devices,
            device="cpu",
        ),
        refiner_steps=refiner_steps,
        weights={"ctx_edge": 0.0},
    )
    parts = sections()
    net, _ = train_structure(parts[:2], plan, out=out, seed=3, held=parts[2:])
    cells = parts[2]
    with torch.no_grad():
        made = net(cells.z[None], cells.p[None], torch.ones(1, len(cells), dtype=torch.bool))
    return net.state_dict() | {"made": made}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    torch.save(train(folder, 2), folder / f"rank{os.environ['RANK']}.pt")
