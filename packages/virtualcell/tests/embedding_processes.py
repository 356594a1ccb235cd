"""One small training of an embedding, as a program for two processes, or imported."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from virtualcell.config import EmbeddingConfig, NetworkConfig, ObjectiveConfig
from virtualcell.embedding import fit_embedding
from virtualcell.simulation import simulate
from virtualcell.simulation_options import SimulationOptions
from virtualcell.sources import open_cells

WORLD = SimulationOptions(cells=120, genes=30, regulators=4, targets=4, pathways=3, hours=(6.0,))
CONFIG = EmbeddingConfig(
    genes=24,
    network=NetworkConfig(d_model=16, nhead=2, d_hid=24, output_dim=6, token_dim=8),
    objective=ObjectiveConfig(warmup_steps=2, max_tokens=16, learning_rate=5e-3),
)


def trained(out: Path, devices: int, *, steps: int = 8, config: EmbeddingConfig = CONFIG):
    """A model of simulated cells, and these cells."""
    from cytosol.options import TrainerOptions

    trainer = TrainerOptions(
        max_steps=steps, batch_size=8, checkpoint_every=4, log_every=2, devices=devices, device="cpu",
        precision="32-true",
    )  # fmt: skip
    cells = open_cells(simulate(WORLD).cells)
    return fit_embedding(cells, replace(config, trainer=trainer), out=out), cells


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    model, cells = trained(folder, 2)
    made = torch.from_numpy(model.embed(cells))
    torch.save(model.net.state_dict() | {"made": made}, folder / f"rank{os.environ['RANK']}.pt")
