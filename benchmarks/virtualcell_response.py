"""Held-out perturbation responses on Kang 2018, stage by stage, beside simple methods.

    uv run python benchmarks/virtualcell_response.py --data DIR [--seeds 3] [--parts] [--cells DIR]

Each cell type that has both conditions is left out in turn: its stimulated cells are in nothing that is fitted. Writes
virtualcell_response.csv (a row a type, seed and method; rows that are there already are kept) and .md. --parts: the
cell model once more with each of its seven parts. --cells: predicted and real cells as .h5ad, for cell-eval
(`virtualcell_cells.py`). Exits 1 where the data is absent.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from kang import DONE, FILE, OWN, Fold, all_of, scores, write

from virtualcell import baselines
from virtualcell.biology import biology_of
from virtualcell.evaluation import best_ridge
from virtualcell.row_model import PLAIN

HERE = Path(__file__).parent
PARTS = {
    "pathways": "HierarchicalGeneModel",
    "time": "TemporalDynamicsModel",
    "regulation": "RegulatoryConstrainedModel",
    "memory": "CellularMemoryModel",
    "noise": "StochasticCellularModel",
    "resources": "ResourceConstrainedModel",
    "scales": "MultiScaleModel",
}
TABLES = {
    "pathways": "hallmark_msigdb_v7.0.gmt.gz",
    "network": "trrust_v2_human.tsv.gz",
    "compartments": "compartments_go_cc.tsv.gz",
}
BARS = (0.05, 0.75)  # Pearson above ridge's, MSE times ridge's


def run(data: Path, seeds: int, *, parts: bool, keep: Path | None, path: Path) -> pd.DataFrame:
    source, whole = all_of(data)
    table = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["type", "seed", "method"])
    for hidden, _ in whole.conditions:
        fold, rows = None, []
        known = set(zip(table["type"], table["seed"], table["method"], strict=True))

        def add(seed, method, found, hidden=hidden, rows=rows):
            rows.append({"type": hidden, "seed": seed, "method": method, **found})

        for seed in range(seeds):
            wanted = {OWN: PLAIN} | ({f"with {p}": m for p, m in PARTS.items()} if parts else {})
            wanted = {n: m for n, m in wanted.items() if (hidden, seed, n) not in known}
            if wanted and fold is None:
                fold = Fold(source, whole, hidden)
                for name, made in fold.simple().items():
                    for s in range(seeds):
                        if (hidden, s, name) not in known:
                            add(s, name, scores(made, fold.truth, fold.asked.mean))
            for name, model in wanted.items():
                started = time.process_time()
                given = {word: data / file for word, file in TABLES.items()}
                if model != PARTS["pathways"]:
                    del given["compartments"]  # no other part reads them
                biology = biology_of(
                    model, source, fold.controls, given, genes=whole.populations.genes.tolist()
                )[0]
                nets = fold.nets(biology, seed, 2 if model == PLAIN else 1)
                words = biology.of_context.get(hidden, {})
                told = fold.answers(nets, words)
                seconds = time.process_time() - started
                add(seed, name, {**scores(told["answer"], fold.truth, fold.asked.mean), "seconds": seconds})
                label = "+ network alone" if model == PLAIN else f"network alone, {name}"
                add(seed, label, scores(told["network"], fold.truth, fold.asked.mean))
                if model == PLAIN:
                    one = fold.answers(nets[:1], words)
                    add(seed, "one network", scores(one["answer"], fold.truth, fold.asked.mean))
                    add(seed, "network alone, one", scores(one["network"], fold.truth, fold.asked.mean))
                    found, made = fold.populations(told["answer"], seed)
                    for way, scored in found.items():
                        add(seed, way, scored)
                    if keep is not None:
                        write(keep, fold, made, seed)
                        np.save(keep / f"{hidden}.{seed}.answer.npy", told["answer"])
                print(hidden, seed, name, f"{seconds:.0f} s", told["answer"].mean().round(5), flush=True)
        if rows:
            table = pd.concat([table, pd.DataFrame(rows)], ignore_index=True)
            table.to_csv(path, index=False)
    return table


MEASURES = ("pearson_delta", "pearson_top20", "mse", "overlap50")
HEAD = ["| | Pearson delta | top 20 | MSE | overlap50 |", "|---|---|---|---|---|"]


def line(name: str, mean: pd.DataFrame, spread: pd.DataFrame, label: str | None = None) -> str:
    cells = []
    for n in MEASURES:
        digits = 5 if n == "mse" else 4
        more = f" ± {spread.loc[name, n]:.{digits}f}" if spread.loc[name, n] > 10**-digits else ""
        cells.append(f"{mean.loc[name, n]:.{digits}f}{more}")
    return f"| {label or name} | " + " | ".join(cells) + " |"


def bars(mean: pd.DataFrame, ridge: str) -> str:
    own, to = mean.loc[OWN], mean.loc[ridge]
    gain, times = own["pearson_delta"] - to["pearson_delta"], own["mse"] / to["mse"]
    met = {True: "met", False: "missed"}
    return (
        f"Against the best of the eight ridges ({ridge.partition(', ')[2]}, chosen on these very cells): "
        f"Pearson {gain:+.4f} (bar +{BARS[0]}: {met[gain >= BARS[0]]}), MSE {times:.3f} x (bar {BARS[1]}: "
        f"{met[times <= BARS[1]]}), overlap50 {own['overlap50'] - to['overlap50']:+.4f} "
        f"(bar 0: {met[own['overlap50'] >= to['overlap50']]})."
    )


def as_cells(mean: pd.DataFrame) -> list[str]:
    """Ways of making cells."""
    lines = ["| | gene-gene agreement | energy distance | spread |", "|---|---|---|---|"]
    for name in [name for name in mean.index if name.startswith("cells: ")]:
        row = mean.loc[name]
        told = f"{row['gene-gene']:.3f} | {row['energy']:.3f} | {row['spread']:.3f}"
        lines.append(f"| {name.removeprefix('cells: ')} | {told} |")
    return lines


def with_parts(mean: pd.DataFrame, spread: pd.DataFrame) -> list[str]:
    """Each part beside none."""
    there = [part for part in PARTS if f"with {part}" in mean.index]
    if not there:
        return []
    rows = [line("one network", mean, spread, "no part")]
    rows += [line(f"with {part}", mean, spread) for part in there]
    rows += [line("network alone, one", mean, spread, "network alone, no part")]
    rows += [line(f"network alone, with {part}", mean, spread) for part in there]
    return ["", "## The cell model with each part", "",
            "Trees and one network; a part's share is what changes against `no part`. Spread: over seeds.",
            "", *HEAD, *rows]  # fmt: skip


def by_type(table: pd.DataFrame, ridge: str) -> list[str]:
    types = table.loc[table["method"].isin([OWN, ridge, "+ trees"])].groupby(["type", "method"], sort=False)
    each = types[["pearson_delta", "mse", "overlap50"]].mean()
    return ["| type | method | Pearson delta | MSE | overlap50 |", "|---|---|---|---|---|"] + [
        f"| {t} | {m} | {row['pearson_delta']:.4f} | {row['mse']:.5f} | {row['overlap50']:.3f} |"
        for (t, m), row in each.iterrows()
    ]


def report(table: pd.DataFrame, seeds: int) -> str:
    own = table.groupby(["method", "seed"], sort=False).mean(numeric_only=True)
    mean, spread = own.groupby("method", sort=False).mean(), own.groupby("method", sort=False).std()
    simple = table.loc[table["seed"] == 0].rename(columns={"type": "context"})
    ridge = best_ridge(simple.assign(perturbation=DONE).loc[simple["pearson_delta"].notna()])
    shown = [baselines.NO_CHANGE, baselines.SAME, baselines.NEAREST, ridge, "ridge, own axes", "like contexts, shrunk",
             "both", "+ trees", "+ network alone", OWN]  # fmt: skip
    rows = [line(n, mean, spread, f"**{n}**" if n == OWN else None) for n in shown if n in mean.index]
    versions = {name: version(name) for name in ("numpy", "pandas", "torch", "anndata")}
    return "\n".join([
        *HEAD, *rows, "", bars(mean, ridge), "", "## As populations of cells", "", *as_cells(mean),
        *with_parts(mean, spread), "", "## By type", "", *by_type(table, ridge), "",
        f"{seeds} seeds, {table['type'].nunique()} types. Two networks of a fold: {mean.loc[OWN, 'seconds']:.0f} s. "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}.", "",
    ])  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--cells", type=Path)
    options = parser.parse_args()
    if not (options.data / FILE).exists():
        print(f"{options.data / FILE}: expected cells, there is no such file", file=sys.stderr)
        return 1
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    path = HERE / "virtualcell_response.csv"
    table = run(options.data, options.seeds, parts=options.parts, keep=options.cells, path=path)
    head = "# Held-out perturbation responses: interferon beta, one cell type left out\n\n"
    note = (
        "`benchmarks/virtualcell_response.py --data DIR --parts`; Kang 2018 (1,633 cells, 6,998 genes).\n\n"
    )
    (HERE / "virtualcell_response.md").write_text(head + note + report(table, options.seeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
