"""Time and memory of reading a million cells from disk: `uv run python benchmarks/virtualcell_reading.py [CELLS]`.

Writes an h5ad of 2,000 genes with 150 of them in each cell to a temporary folder (1.3 GB at a million cells), then
reads it in order and in shuffled blocks, fits a loader and makes batches, each in a process of its own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from scipy import sparse
from torch.utils.data import DataLoader

from virtualcell.blocks import ShuffledBlocks
from virtualcell.loaders import BaseEnhancedLoader
from virtualcell.sources import open_cells

GENES, EACH, STRETCH, BATCH = 2000, 150, 20_000, 256
TASKS = ("open", "in order", "shuffled", "shuffled, 2 workers", "fit on 20,000", "100,000 cells as batches")


def write(path: Path, n: int) -> None:
    """Cells in stretches, so that writing needs little memory too."""
    var = pd.DataFrame(index=[f"g{i}" for i in range(GENES)])
    anndata.AnnData(sparse.csr_matrix(np.ones((2, GENES), dtype=np.float32)), var=var).write_h5ad(path)
    rng = np.random.default_rng(0)
    with h5py.File(path, "r+") as file:
        del file["X"], file["obs"]
        x = file.create_group("X")
        x.attrs["encoding-type"], x.attrs["encoding-version"] = "csr_matrix", "0.1.0"
        x.attrs["shape"] = np.array([n, GENES])
        data = x.create_dataset("data", (n * EACH,), dtype="f4", chunks=(1 << 16,))
        indices = x.create_dataset("indices", (n * EACH,), dtype="i4", chunks=(1 << 16,))
        x.create_dataset("indptr", data=np.arange(n + 1, dtype=np.int64) * EACH)
        width = GENES // EACH
        for start in range(0, n, STRETCH):
            rows = min(STRETCH, n - start)
            at = slice(start * EACH, (start + rows) * EACH)
            indices[at] = (rng.integers(0, width, (rows, EACH)) + np.arange(EACH) * width).ravel()
            data[at] = rng.integers(1, 9, rows * EACH)
        types = pd.Categorical.from_codes(rng.integers(0, 5, n), list("abcde"))
        write_elem(
            file, "obs", pd.DataFrame({"cell_type": types}, index=pd.Index([f"c{i}" for i in range(n)]))
        )


def count(cells) -> int:
    return len(cells)


def run(path: Path, task: str) -> None:
    source = open_cells(path, backed=True)
    started, seen = time.perf_counter(), 0
    if task == "in order":
        seen = sum(map(len, source.blocks(4096)))
    elif task.startswith("shuffled"):
        order = ShuffledBlocks(len(source), BATCH, seed=0)
        workers = 2 if "workers" in task else 0
        seen = sum(DataLoader(source, batch_sampler=order, collate_fn=count, num_workers=workers))
    elif task != "open":
        loader = BaseEnhancedLoader({"with_src": False}).fit(source)
        seen = 20_000
        if "batches" in task:
            started = time.perf_counter()
            order = ShuffledBlocks(len(source), BATCH, seed=0, stop=400)
            seen = sum(len(b["rows"]) for b in DataLoader(source, batch_sampler=order, collate_fn=loader))
    seconds = time.perf_counter() - started
    peak = [
        resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    print(f"| {task} | {seen:,} | {seconds:.1f} | {peak[0]:.2f} | {peak[1]:.2f} |", flush=True)


def main() -> None:
    if len(sys.argv) > 2:
        run(Path(sys.argv[1]), sys.argv[2])
        return
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        write(path, n)
        print(f"{n:,} cells, {path.stat().st_size / 2**30:.2f} GiB\n")
        print("| task | cells | s | peak GiB | of a worker |\n|---|---|---|---|---|", flush=True)
        for task in TASKS:
            subprocess.run([sys.executable, __file__, str(path), task], check=True)


if __name__ == "__main__":
    main()
