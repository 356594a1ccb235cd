"""Time and memory of `stedm reconstruct` against the number of cells: simulated sections of 2,000 to 100,000 cells.

    uv run python benchmarks/stedm_scale.py [--sizes 2000,5000,20000,50000,100000] [--threads 2] [--folder DIR]

A model of regression and pairs, without networks, is trained on two sections of 1,000 cells with a recipe that is quick
to fit; each size is one section, and the verb runs in a process of its own. The exponent is the slope of log seconds
over log cells, on the time of processors, with the start of the program (a section of 10 cells) taken off. Writes
stedm_scale.md; the sections go to a temporary directory (--folder: elsewhere) of about 1 GB.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from watch import processor, watched

from stedm import h5ad, learning, saving
from stedm.config import BaseConfig, Config, NetworksConfig, SimulationConfig
from stedm.evaluation import row
from stedm.simulation import simulate
from stedm.tissue import place_of

HERE = Path(__file__).parent
SIZES = (2000, 5000, 10_000, 20_000, 50_000, 100_000)
PIECE, GENES, SPATIAL, FEW = 2000, 1000, 300, 10
SECONDS, PEAK_GB, EXPONENT, FULL = 600.0, 6.0, 1.2, 100_000  # the bars, and the size they are for
SMALL_SECONDS, SMALL = 10.0, 2000  # of a usual section
RECIPE = BaseConfig(components=(30,), penalties=(0.1,))  # one choice, and of the largest that are usual


@dataclass(frozen=True)
class Run:
    """One size: cells, seconds by the clock and of processors, peak memory [GB], Jaccard of the ten nearest."""

    cells: int
    seconds: float
    cpu: float
    peak: float
    jaccard: float


def prepare(folder: Path, sizes: list[int]) -> None:
    """The sections of each size and a model, on disk. Pieces of one tissue, not turned, are one section."""
    pieces = -(-max(sizes) // PIECE)
    config = SimulationConfig(
        sections=1 + pieces, cells=PIECE, genes=GENES, spatial=SPATIAL, turned=False, batch=0.0
    )
    cells = simulate(config, seed=1)
    for size in sizes:
        part = cells[PIECE : PIECE + size].copy()
        part.obs["section"] = "all"
        h5ad.write(part, folder / f"{size}.h5ad")
    teachers = cells[:PIECE].copy()
    teachers.obs["section"] = np.repeat(["A", "B"], PIECE // 2)
    model = learning.fit(h5ad.tissue_of(teachers), Config(base=RECIPE, networks=NetworksConfig(use=False)))
    saving.save(model, folder / "model")


def measure(folder: Path, size: int, threads: int) -> Run:
    """`stedm reconstruct` of one size in a process of its own."""
    data, out = folder / f"{size}.h5ad", folder / "out.h5ad"
    words = ["reconstruct", folder / "model", "--data", data, "--out", out, "--force"]
    spent = watched("stedm", words, threads=threads)
    truth = h5ad.tissue_of(h5ad.read(data)).sections[0]
    made = place_of(h5ad.tissue_of(h5ad.read(out), spatial_key="X_stedm").sections[0])
    scores = row("stedm", truth, made) if size > FEW else {"jaccard10": np.nan}
    return Run(size, spent.seconds, spent.cpu, spent.peak / 1e9, float(str(scores["jaccard10"])))


def exponent(runs: list[Run], start: Run) -> float:
    """The slope of log seconds of processors over log cells, what the start of the program costs taken off."""
    spent = [max(run.cpu - start.cpu, 1e-3) for run in runs]
    return float(np.polyfit(np.log([run.cells for run in runs]), np.log(spent), 1)[0])


def write(runs: list[Run], start: Run, threads: int) -> None:
    """The table, to the file and to the terminal."""
    about = (
        f"{threads} threads of {os.cpu_count()} cores, {processor()}, Python {platform.python_version()}; "
        f"{', '.join(f'{name} {version(name)}' for name in ('stedm', 'numpy', 'torch'))}; load average at the end "
        f"{os.getloadavg()[0]:.1f}. {GENES} genes, 30 components a view. The start of the program alone: "
        f"{start.cpu:.1f} s of processors, {start.peak:.2f} GB."
    )
    lines = ["# Time and memory of `stedm reconstruct`", "", about, ""]
    lines += ["| cells | seconds | of processors | peak memory | Jaccard@10 |", "|---|---|---|---|---|"]
    for run in runs:
        lines.append(
            f"| {run.cells:,} | {run.seconds:.0f} | {run.cpu:.0f} | {run.peak:.2f} GB | {run.jaccard:.3f} |"
        )
    last = runs[-1]
    rows = [
        (f"seconds, {run.cells:,} cells", run.seconds, SMALL_SECONDS) for run in runs if run.cells == SMALL
    ]
    if last.cells >= FULL:
        rows.append((f"seconds, {last.cells:,} cells", last.seconds, SECONDS))
        rows.append((f"peak memory [GB], {last.cells:,} cells", last.peak, PEAK_GB))
    if len(runs) > 1:
        spread = f"{runs[0].cells:,} to {last.cells:,} cells"
        rows.append((f"exponent, {spread}", exponent(runs, start), EXPONENT))
        top = f"{runs[-2].cells:,} to {last.cells:,} cells"  # where nothing constant is left to hide behind
        rows.append((f"exponent, {top}", exponent(runs[-2:], start), EXPONENT))
    lines += ["", "| measured | value | bar | met |", "|---|---|---|---|"]
    for what, value, bar in rows:
        lines.append(f"| {what} | {value:.3g} | at most {bar:g} | {'yes' if value <= bar else 'no'} |")
    (HERE / "stedm_scale.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def fail(text: str) -> None:
    """Leave with exit code 1."""
    print(text, file=sys.stderr)
    raise SystemExit(1)


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    sizes = sorted(int(size) for size in asked.sizes.split(","))
    if sizes[0] <= FEW:
        fail(f"--sizes: expected numbers above {FEW}, got {sizes[0]}")
    with tempfile.TemporaryDirectory(dir=asked.folder) as made:
        folder = Path(made)
        prepare(folder, [FEW, *sizes])
        start = measure(folder, FEW, asked.threads)
        runs = []
        for size in sizes:
            runs.append(measure(folder, size, asked.threads))
            print(runs[-1], file=sys.stderr, flush=True)
    write(runs, start, asked.threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
