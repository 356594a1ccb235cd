"""Predicted cells as cell-eval sees them: overlap_at_N and PR-AUC of differentially expressed genes.

    PYTHON benchmarks/virtualcell_cells.py DIR

PYTHON has cell-eval 0.8.2, and need not have this project. DIR: what `virtualcell_response.py --cells DIR` has written,
TYPE.SEED.predicted.h5ad and TYPE.real.h5ad (real cells with the controls). Writes virtualcell_cells.md.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import anndata
import pandas as pd
from cell_eval import MetricsEvaluator

HERE = Path(__file__).parent
CONTROL, KEY = "control", "perturbation"
METRICS = ("overlap_at_N", "precision_at_N", "pr_auc")


def scores(predicted: Path, real: Path) -> dict[str, float]:
    """The real controls stand beside both."""
    truth, made = anndata.read_h5ad(real), anndata.read_h5ad(predicted)
    controls = truth[truth.obs[KEY] == CONTROL]
    made = anndata.concat([made[made.obs[KEY] != CONTROL], controls])
    for cells in (made, truth):
        cells.obs_names_make_unique()
    with tempfile.TemporaryDirectory() as out:
        judge = MetricsEvaluator(
            adata_pred=made, adata_real=truth, control_pert=CONTROL, pert_col=KEY, num_threads=1, outdir=out
        )
        table, _ = judge.compute(profile="de", write_csv=False)
    row = table.to_dicts()[0]
    return {name: float(row[name]) for name in METRICS}


def main() -> int:
    folder = Path(sys.argv[1])
    logging.disable(logging.INFO)
    rows = []
    for file in sorted(folder.glob("*.predicted.h5ad")):
        kind, seed = file.name.removesuffix(".predicted.h5ad").rsplit(".", 1)
        rows.append({"type": kind, "seed": seed, **scores(file, folder / f"{kind}.real.h5ad")})
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    each = table.groupby("type")[list(METRICS)].agg(["mean", "std"])
    seeds = table.groupby("seed")[list(METRICS)].mean()
    lines = [
        "# Predicted cells as cell-eval sees them",
        "",
        "Stimulated cells of a type left out (`virtualcell_response.py`), twice as many as its control cells;",
        f"cell-eval 0.8.2, {len(seeds)} seeds, mean ± standard deviation. Simple methods: `virtualcell_simple.md`.",
        "",
        "| | overlap_at_N | precision_at_N | PR-AUC |",
        "|---|---|---|---|",
    ]
    for kind, row in each.iterrows():
        cells = (f"{row[m, 'mean']:.3f} ± {row[m, 'std']:.3f}" for m in METRICS)
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    mean = " | ".join(f"**{seeds[m].mean():.3f}** ± {seeds[m].std():.3f}" for m in METRICS)
    lines += [f"| **mean** | {mean} |", "", "Bars: overlap_at_N .60, PR-AUC .66."]
    (HERE / "virtualcell_cells.md").write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
