"""Simple methods on held-out perturbed cells: as means, and as populations of cells.

    uv run python benchmarks/virtualcell_simple.py --data DIR [--seeds 3] [--cell-eval PYTHON]

Kang: the stimulated cells of each cell type that has both conditions are hidden in turn. Papalexi: the third replicate
is hidden. --cell-eval: a python that has cell-eval 0.8.2, for overlap_at_N and PR-AUC. Writes virtualcell_simple.md.
Exits 1 where the data is absent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from virtualcell import baselines, evaluation
from virtualcell.folds import EACH, hide_context
from virtualcell.populations import Populations, log_values, read_populations
from virtualcell.sources import CellSource, open_cells
from virtualcell.writing import predicted_cells, write_cells

HERE = Path(__file__).parent
DONE, REAL = "stimulated", "real cells, the other half"
METHODS = (
    "control cells",
    "control cells + mean delta",
    "control cells + nearest delta",
    "nearest type's cells",
    REAL,
)
PROGRAM = """
import json, sys, tempfile
from pathlib import Path
from cell_eval import MetricsEvaluator
for made in sorted(Path(sys.argv[1]).glob("*_pred.h5ad")):
    real = made.with_name(made.name.replace("_pred", "_real"))
    with tempfile.TemporaryDirectory() as folder:
        scored = MetricsEvaluator(adata_pred=str(made), adata_real=str(real), control_pert="control",
                                  pert_col="perturbation", num_threads=1, outdir=folder)
        (row,) = scored.compute(profile="de", write_csv=False)[0].to_dicts()
    print("SCORES" + json.dumps([made.name, row["overlap_at_N"], row["pr_auc"]]), flush=True)
"""


def cells_of(source: CellSource, context: str, done: str) -> np.ndarray:
    """Log values of a population, (n, g)."""
    about = source.about
    rows = np.flatnonzero((about.labels("cell_type") == context) & (about.labels("condition") == done))
    return log_values(source.__getitems__(rows)).toarray().astype(np.float64)


def made_cells(
    source: CellSource, whole: Populations, context: str, generator: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Predicted cells by method, the real ones they are scored against, and control cells.

    All are scored against the same half of the real cells, so that the other half may stand beside.
    """
    real = generator.permutation(cells_of(source, context, DONE))
    control = cells_of(source, context, "control")
    ((known, _),) = [(fold.known, fold.asked) for fold in hide_context(whole, context)]
    others = [c for c in known.seen_in(DONE) if c != context]
    own = known.control_of(context)
    near = min(others, key=lambda other: float(((known.control_of(other) - own) ** 2).sum()))
    drawn = control[generator.integers(0, len(control), len(real))]
    donors = cells_of(source, near, DONE)
    halves = np.array_split(real, 2)
    moved = [
        np.maximum(drawn + delta, 0.0)
        for delta in (baselines.mean_delta(known, context, DONE), known.delta(near, DONE))
    ]
    made = [drawn, *moved, donors[generator.integers(0, len(donors), len(real))], halves[1]]
    return dict(zip(METHODS, made, strict=True)), halves[0], control


def as_cells(data: Path, seeds: int, python: str | None) -> pd.DataFrame:
    """A row a seed, context and method."""
    source = open_cells(data)
    whole = read_populations(source, perturbation_key="condition", context_key="cell_type")
    genes, rows = source.about.genes.tolist(), []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            for context in whole.seen_in(DONE):
                made, real, control = made_cells(source, whole, context, np.random.default_rng(seed))
                for method, cells in made.items():
                    name = f"{len(rows):04d}"
                    found = evaluation.of_cells(cells, real, seed=seed)
                    rows.append({"name": name, "seed": seed, "context": context, "method": method, **found})
                    for kind, x in (("pred", cells), ("real", real)):
                        words = [DONE] * len(x) + ["control"] * len(control)
                        both = predicted_cells(np.concatenate([x, control]), genes, words, counts=False)
                        if python:
                            write_cells(both, Path(folder) / f"{name}_{kind}.h5ad")
        table = pd.DataFrame(rows).set_index("name")
        if python:
            process = subprocess.run(
                [python, "-W", "ignore", "-c", PROGRAM, folder], capture_output=True, text=True, check=True
            )
            for line in process.stdout.splitlines():
                if line.startswith("SCORES"):
                    name, overlap, area = json.loads(line.removeprefix("SCORES"))
                    table.loc[name.partition("_")[0], ["overlap_at_N", "PR-AUC"]] = overlap, area
    return table.reset_index(drop=True)


def as_means(data: Path, keys: tuple[str, str, str], hidden: str) -> pd.DataFrame:
    condition, context, control = keys
    whole = read_populations(data, perturbation_key=condition, context_key=context, control=control)
    return evaluation.of_baselines(whole, hide_context(whole, hidden))


def markdown(table: pd.DataFrame, columns: dict[str, str]) -> list[str]:
    """A line a row; numbers to four digits."""
    shown = [name for name in columns if name in table]
    lines = [f"| {' | '.join(columns[name] for name in shown)} |", "|---" * len(shown) + "|"]
    for row in table.to_dict("records"):
        cells = [f"{row[n]:.4f}" if isinstance(row[n], float) else str(row[n]) for n in shown]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def report(kang: pd.DataFrame, papalexi: pd.DataFrame, cells: pd.DataFrame, seeds: int) -> str:
    scores = {name: name for name in ("pearson_delta", "pearson_top20", "mse", "overlap50", "discrimination")}
    lines = [
        "# Simple methods on held-out perturbed cells",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}. "
        "Means of log1p(CP10K) over cells, CP10K of the counts in the file; delta: minus the mean of control cells. "
        "Nothing here is drawn: there is no spread over seeds.",
    ]
    for title, table in (
        ("Kang, stimulated cells of each cell type with both conditions hidden in turn", kang),
        ("Papalexi, the third replicate from the first two", papalexi),
    ):
        lines += [
            "",
            f"## {title}",
            "",
            f"Mean over {table[['context', 'perturbation']].drop_duplicates().shape[0]}.",
            "",
        ]
        lines += markdown(evaluation.means(table), {"method": "method", **scores, "asked": "asked"})
    measured = [
        name
        for name in ("overlap_at_N", "PR-AUC", "correlations", "energy", "mmd", "spread")
        if name in cells
    ]
    by_seed = cells.groupby(["method", "seed"], sort=False)[measured].mean()
    mean, spread = by_seed.groupby("method", sort=False).mean(), by_seed.groupby("method", sort=False).std()
    lines += [
        "",
        "## Kang, as populations of cells",
        "",
        f"Mean over cell types, mean +- standard deviation over {seeds} seeds (which half of the real cells is the "
        "truth, which cells are drawn). overlap_at_N, PR-AUC: cell-eval 0.8.2. correlations: agreement of gene-gene "
        "correlations of the 100 most variable genes. All are scored against the same half of the real cells.",
        "",
        f"| method | {' | '.join(measured)} |",
        "|---" * (1 + len(measured)) + "|",
    ]
    for method in mean.index:
        own = " | ".join(
            f"{mean.loc[method, name]:.3f} +- {spread.loc[method, name]:.3f}" for name in measured
        )
        lines.append(f"| {method} | {own} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cell-eval", default=None)
    given = parser.parse_args()
    files = [given.data / name for name in ("kang_ifnb.h5ad", "papalexi_crispr.h5ad")]
    for file in files:
        if not file.exists():
            print(f"{file}: is not there", file=sys.stderr)
            return 1
    kang = as_means(files[0], ("condition", "cell_type", "control"), EACH)
    papalexi = as_means(files[1], ("target", "bio_rep", "non-targeting"), "rep_3")
    cells = as_cells(files[0], given.seeds, given.cell_eval)
    text = report(kang, papalexi, cells, given.seeds)
    (HERE / "virtualcell_simple.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
