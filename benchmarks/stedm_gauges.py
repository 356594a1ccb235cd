"""Generator and refiner on bdtnp, gauge by gauge: what each learns, on the half of the embryo that it never saw.

    uv run --with anndata python benchmarks/stedm_gauges.py bdtnp.h5ad --out gauges.csv [--gauge generator ...]
        [--around generator] [--steps 500] [--refiner-steps 300] [--seed 0]

The first half trains (15 % of its cells held out to choose weights by and to measure the generator's error), the second
half scores. Cells are shuffled. Base: kernel ridge on z-scored genes, out of fold for the cells that train; embedding:
40 principal components, with the surroundings of `stedm.surroundings`. One generator serves all gauges. The table holds
what `stedm.diagnose` says, and the scores of the whole second half (`probe` = section).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import torch

from cytosol.options import TrainerOptions
from cytosol.trainer import fit
from stedm.diagnose import diagnose
from stedm.fitting import batches
from stedm.geometry import align, jaccard, mean_square
from stedm.options import LearnOptions, NetOptions, PatchOptions, Walk
from stedm.patches import Cells, PatchDataset, collate, measured_sigma
from stedm.sampling import Reconstruction
from stedm.structure import StructureNet
from stedm.surroundings import with_surroundings
from stedm.training import GeneratorTraining, RefinerTraining, measured_spread

GAUGES = ("generator", "output", "frame", "distance")
PATCHES = PatchOptions(least=96, most=160)
COMPONENTS, FOLDS, HELD, NEIGHBOURS, RIDGE = 40, 5, 0.15, 8, 0.03


def kernel_ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Coordinates of new cells by kernel ridge regression with a Gaussian kernel of half the median distance."""
    square = lambda a, b: (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T  # noqa: E731
    apart = square(x, x)
    width = np.median(apart) / 4
    solved = np.linalg.solve(np.exp(-apart / width) + RIDGE * np.eye(len(x)), y)
    return np.exp(-square(new, x) / width) @ solved


def load(path: Path) -> tuple[Cells, Cells, Cells]:
    """Training, held-out and test cells."""
    random = np.random.default_rng(0)
    table = anndata.read_h5ad(path)
    table = table[random.permutation(table.n_obs)]
    x = np.asarray(table.X, dtype=float)
    x = (x - x.mean(0)) / (x.std(0) + 1e-6)
    v = np.asarray(table.obsm["spatial"], dtype=float)
    train = (table.obs["section"] == "random_half_1").to_numpy()
    v = v - v[train].mean(0)
    v = v / np.sqrt((v[train] ** 2).sum(1).mean())
    _, s, axes = np.linalg.svd(x[train], full_matrices=False)
    z = 3 * x @ axes[:COMPONENTS].T / (s[0] / np.sqrt(train.sum()))
    p, fold = np.zeros_like(v), random.integers(0, FOLDS, train.sum())
    xt, vt, out = x[train], v[train], np.zeros_like(v[train])
    for k in range(FOLDS):
        out[fold == k] = kernel_ridge(xt[fold != k], vt[fold != k], xt[fold == k])
    p[train], p[~train] = out, kernel_ridge(xt, vt, x[~train])
    tensors = [torch.as_tensor(a, dtype=torch.float32) for a in (z, p, v)]
    generator = torch.Generator().manual_seed(0)
    first, second = (
        with_surroundings(Cells(*(t[torch.as_tensor(rows)] for t in tensors)), NEIGHBOURS, generator)
        for rows in (train, ~train)
    )
    cut = round((1 - HELD) * len(first))
    part = lambda rows: Cells(first.z[rows], first.p[rows], first.v[rows])  # noqa: E731
    return part(slice(cut)), part(slice(cut, None)), second


def section_scores(v: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """Jaccard@10 and Procrustes RMSE over the truth's RMS radius, of a whole section."""
    everyone = torch.ones(1, len(v), dtype=torch.bool)
    moved = align(v[None], truth[None], everyone, scale=True)(v[None])
    error = (moved - truth).square().sum(-1).mean() / mean_square(truth[None], everyone)[0]
    return {
        "jaccard10": float(jaccard(v[None], truth[None], everyone)),
        "procrustes": float(error.sqrt()),
    }


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gauge", nargs="+", default=list(GAUGES), choices=GAUGES)
    parser.add_argument("--around", default="generator", choices=("generator", "zero"))
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--refiner-steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    train, held, test = load(given.data)
    sets = {
        "data": PatchDataset([train], PATCHES, count=4096, seed=given.seed),
        "held": PatchDataset([held], PATCHES, count=16, seed=given.seed + 1),
        "test": PatchDataset([test], PATCHES, count=32, seed=given.seed + 2),
    }
    shape = NetOptions(context_width=64, around=given.around)
    net = StructureNet(train.z.shape[1], 2, shape, sigma_data=measured_sigma(sets["data"]))
    options = TrainerOptions(
        max_steps=given.steps, batch_size=4, val_every=100, checkpoint_every=10**6, patience=8
    )
    learn = LearnOptions(learning_rate=2e-3, hide=0.2, stall=2)
    words = {"seed": given.seed, "val_data": sets["held"], "collate": collate}
    with tempfile.TemporaryDirectory() as folder:
        module = GeneratorTraining(net, learn, seed=given.seed, steps=given.steps)
        fit(module, sets["data"], options=options, out=Path(folder) / "generator", **words)
        spread = measured_spread(net, batches(sets["held"]))
        inflate = max(spread / measured_spread(net, batches(sets["data"])), 1.0)
        tables = []
        options = replace(options, max_steps=given.refiner_steps, val_every=60, patience=None)
        for gauge in given.gauge:
            torch.manual_seed(given.seed)
            net.add_refiner(spread)
            module = RefinerTraining(
                net,
                replace(learn, gauge=gauge, hide=0.1),
                seed=given.seed,
                steps=given.refiner_steps,
                inflate=inflate,
            )
            fit(module, sets["data"], options=options, out=Path(folder) / gauge, **words)
            tables.append(measured(net, sets["test"], test, gauge).assign(gauge=gauge, spread=spread))
            sys.stderr.write(f"{gauge}: done\n")
    table = pd.concat(tables).assign(around=given.around, seed=given.seed)
    table.to_csv(given.out, index=False)


def measured(net: StructureNet, sets: PatchDataset, test: Cells, gauge: str) -> pd.DataFrame:
    """The diagnoses on test sets, and the whole section's scores by estimate."""
    random = torch.Generator().manual_seed(0)
    table = diagnose(net, batches(sets, 32), gauge=gauge, generator=random)
    made = Reconstruction(net, test, PATCHES, gauge=gauge, generator=random)
    estimates = {
        "base": test.p,
        "generator": made.generated,
        "mean": made.mean(Walk(), 2).v,
        "sample": made.sample(Walk(steps=4)),
        "open_loop": made.open_loop(Walk(steps=4)),
    }
    rows = [
        ("section", f"{score}_{name}", float("nan"), float("nan"), value, 1)
        for name, v in estimates.items()
        for score, value in section_scores(v, test.v).items()
    ]
    return pd.concat([table, pd.DataFrame(rows, columns=list(table.columns))], ignore_index=True)


if __name__ == "__main__":
    main()
