"""Simulated tissue, whose truth is known: how well a section is recovered, by what its genes can tell.

    uv run python benchmarks/stedm_simulated.py [--seeds 3]

The last section of each tissue is placed by a model of the others; regression and pairs, without networks. Writes
stedm_simulated.md.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

from stedm.config import Config, NetworksConfig, SimulationConfig
from stedm.evaluation import row
from stedm.h5ad import tissue_of
from stedm.learning import fit
from stedm.simulation import simulate

HERE = Path(__file__).parent
BAR = 0.15  # Procrustes RMSE
TISSUES = {
    "layers, as `stedm simulate` makes them": {},
    "radial niches": {"pattern": "niches"},
    "gradients": {"pattern": "gradients"},
    "layers, 200 of 400 genes spatial (120)": {"spatial": 200},
    "layers, 5 sections of 6,000 counts a cell (3 of 2,000)": {"sections": 5, "depth": 6000.0},
    "layers, 6 sections of 1,500 cells (3 of 500)": {"sections": 6, "cells": 1500},
}


def measure(changes: dict[str, object], seed: int) -> dict[str, object]:
    """Scores of the last section of a tissue."""
    tissue = tissue_of(simulate(replace(SimulationConfig(), **changes), seed=seed))
    last = tissue.labels[-1]
    model = fit(tissue.without([last]), Config(networks=NetworksConfig(use=False)), seed=seed)
    section = tissue.only([last]).sections[0]
    made = model.predict(section, seed=seed)
    return row("stedm", section, made.coordinates, made.sd)


def main() -> int:
    """Simulate, place, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    names = ["jaccard10", "spearman", "rmse", "sd_spearman"]
    lines = [
        "# Simulated tissue with known truth",
        "",
        f"The last section, placed by a model of the others without networks; {given.seeds} seeds, mean +- standard "
        "deviation.",
        "",
        f"| tissue | Jaccard@10 | Spearman | Procrustes | sd ~ error | below {BAR} |",
        "|---|---|---|---|---|---|",
    ]
    for name, changes in TISSUES.items():
        table = pd.DataFrame([measure(changes, seed) for seed in range(given.seeds)])[names].astype(float)
        cells = [f"{table[n].mean():.3f} +- {table[n].std(ddof=0):.3f}" for n in names]
        met = "yes" if table["rmse"].mean() < BAR else "no"
        lines.append(f"| {name} | {' | '.join(cells)} | {met} |")
        print(lines[-1], flush=True)
    (HERE / "stedm_simulated.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
