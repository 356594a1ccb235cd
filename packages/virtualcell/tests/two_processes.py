"""One small training of an embedding and one of a response, as a program for two processes, or imported."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cytosol.options import TrainerOptions
from virtualcell.config import EmbeddingConfig, NetworkConfig, ObjectiveConfig
from virtualcell.embedding import fit_embedding
from virtualcell.response_config import ResponseConfig, RowNetOptions
from virtualcell.row_model import Biology
from virtualcell.rows import Lesson, Rows
from virtualcell.simulation import simulate
from virtualcell.simulation_options import SimulationOptions
from virtualcell.sources import open_cells
from virtualcell.training_rows import fit_net

WORLD = SimulationOptions(cells=120, genes=30, regulators=4, targets=4, pathways=3, hours=(6.0,))
CONFIG = EmbeddingConfig(
    genes=24,
    network=NetworkConfig(d_model=16, nhead=2, d_hid=24, output_dim=6, token_dim=8),
    objective=ObjectiveConfig(warmup_steps=2, max_tokens=16, learning_rate=5e-3),
)
ROWS = RowNetOptions(
    tokens=20, d_model=8, nhead=2, d_hid=16, nlayers=1, dropout=0.0, learning_rate=0.02
)  # dropout is each process's own


def options(steps: int, batch: int, devices: int) -> TrainerOptions:
    return TrainerOptions(
        max_steps=steps, batch_size=batch, checkpoint_every=4, log_every=2, devices=devices, device="cpu",
        precision="32-true",
    )  # fmt: skip


def trained(out: Path, devices: int, *, steps: int = 8, config: EmbeddingConfig = CONFIG):
    """A model of simulated cells, and these cells."""
    cells = open_cells(simulate(WORLD).cells)
    return fit_embedding(cells, replace(config, trainer=options(steps, 8, devices)), out=out), cells


def lessons(count: int = 6, genes: int = 40) -> list[Lesson]:
    """Changes that lack what a feature says; some are far surer than others."""
    random = np.random.default_rng(0)
    made = []
    for i in range(count):
        features, simple = random.normal(size=(genes, 5)), random.normal(size=(1, genes))
        error = np.full(genes, (0.1, 1.0, 10.0)[i % 3])
        made.append(Lesson(Rows(features, simple), simple[0] + features[:, 0], error, f"c{i}", 1.0))
    return made


def responded(out: Path, devices: int, *, steps: int = 16) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The weights of the cell model that corrects simple predictions, and its answer to the first lesson."""
    config = ResponseConfig(network=ROWS, trainer=options(steps, 4, devices))
    net = fit_net(lessons(), Biology(), config, out=out, seed=1)
    return net.net.state_dict(), torch.from_numpy(net(lessons()[0].rows))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    model, cells = trained(folder / "embedding", 2)
    embedding = model.net.state_dict() | {"made": torch.from_numpy(model.embed(cells))}
    weights, made = responded(folder / "response", 2)
    tasks = {"embedding": embedding, "response": weights | {"made": made}}
    torch.save(tasks, folder / f"rank{os.environ['RANK']}.pt")
