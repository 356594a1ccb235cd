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
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import torch

from virtualcell import baselines, metrics
from virtualcell.biology import biology_of
from virtualcell.correcting import Correction
from virtualcell.counting import overdispersion
from virtualcell.evaluation import best_ridge
from virtualcell.experience import experience
from virtualcell.known import Known
from virtualcell.learning import learn
from virtualcell.populations import log_values, read_populations
from virtualcell.response_config import ResponseConfig
from virtualcell.row_model import PLAIN, Biology
from virtualcell.rows import lessons, seen_rows
from virtualcell.sources import open_cells
from virtualcell.training_rows import fit_net
from virtualcell.transport import moved
from virtualcell.writing import log_per, predicted_cells

HERE = Path(__file__).parent
FILE, CONDITION, CONTEXT, DONE = "kang_ifnb.h5ad", "condition", "cell_type", "stimulated"
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
OWN = "virtualcell (default)"
BARS = (0.05, 0.75)  # Pearson above ridge's, MSE times ridge's


def all_of(folder: Path):
    source = open_cells(folder / FILE)
    populations = read_populations(source, perturbation_key=CONDITION, context_key=CONTEXT)
    control = source.about.labels(CONDITION) == "control"
    return source, experience(source, populations, control, Known())


def dispersion(source, hidden: str) -> np.ndarray:
    """Of all populations but the hidden one."""
    labels, types = source.about.labels(CONDITION), source.about.labels(CONTEXT)
    pairs = sorted(set(zip(types, labels, strict=True)) - {(hidden, DONE)})
    rows = [np.flatnonzero((types == t) & (labels == c)) for t, c in pairs]
    return overdispersion(source.__getitems__(own).counts for own in rows)


def scores(made: np.ndarray, truth: np.ndarray, control: np.ndarray) -> dict[str, float]:
    return metrics.score(made, truth, control).as_dict()


def of_cells(made: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return {
        "gene-gene": metrics.correlation_agreement(made, truth),
        "energy": metrics.energy_distance(made, truth),
        "spread": metrics.spread(made, truth),
    }


class Fold:
    """One type left out: what is learned without it, once for all seeds and parts."""

    def __init__(self, source, whole, hidden: str) -> None:
        self.source, self.hidden = source, hidden
        populations = whole.populations
        self.seen = whole.without(np.array([whole.conditions.index((hidden, DONE))]))
        self.asked = whole.profile(hidden)
        self.truth = populations.mean[populations.where(hidden, DONE)]
        config = ResponseConfig()
        bare = replace(config, network=replace(config.network, use=False))
        self.model = learn(self.seen, bare, Biology(), out=Path("unused"))
        self.lessons = list(lessons(self.seen))
        self.rows = seen_rows(self.seen, DONE, self.asked)
        types, labels = source.about.labels(CONTEXT), source.about.labels(CONDITION)
        self.at_rest = np.flatnonzero((types == hidden) & (labels == "control"))
        self.real = np.flatnonzero((types == hidden) & (labels == DONE))
        self.controls = {
            t: np.flatnonzero((types == t) & (labels == "control"))
            for t in dict.fromkeys(populations.contexts)
        }
        self.dispersion = dispersion(source, hidden)

    def simple(self) -> dict[str, np.ndarray]:
        """Means by methods that draw nothing."""
        told = baselines.run(self.seen.populations, self.hidden, DONE)
        stages = self.model.correction.stages(self.rows)
        ridge, similar = self.rows.simple
        own = {
            "ridge, own axes": ridge,
            "like contexts, shrunk": similar,
            "both": self.rows.base,
            "+ trees": stages["trees"],
        }
        return told | {name: self.after(change) for name, change in own.items()}

    def after(self, change: np.ndarray) -> np.ndarray:
        return np.maximum(self.asked.mean + change, 0.0)

    def nets(self, biology: Biology, seed: int, members: int) -> tuple:
        config = ResponseConfig(seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            return tuple(
                fit_net(self.lessons, biology, config, out=Path(folder) / str(i), seed=seed * 1000 + i)
                for i in range(members)
            )

    def answers(self, nets: tuple, words: dict) -> dict[str, np.ndarray]:
        """Network alone, and the model's answer."""
        whole = self.model.correction
        told = Correction(whole.trees, nets, whole.share).stages(self.rows, words)
        return {"network": self.after(told["network"]), "answer": self.after(told["answer"])}

    def cells(self, after: np.ndarray, seed: int):
        """Untouched cells moved to a mean, each twice, as `perturb` does."""
        counts = self.source.__getitems__(np.tile(self.at_rest, 2)).counts
        return moved(counts, self.asked.mean, after, self.dispersion, generator=np.random.default_rng(seed))

    def populations(self, answer: np.ndarray, seed: int):
        """Ways of making cells, (n, g) log values each; and the counts of ours."""
        real = log_values(self.source.__getitems__(self.real)).toarray()
        rest = log_values(self.source.__getitems__(self.at_rest)).toarray()
        made = self.cells(answer, seed)
        others = np.setdiff1d(list(self.seen.populations.seen_in(DONE)), [self.hidden]).tolist()
        own = self.asked.mean
        near = min(others, key=lambda t: float(np.linalg.norm(self.seen.profile(t).mean - own)))
        types, labels = self.source.about.labels(CONTEXT), self.source.about.labels(CONDITION)
        donors = log_values(
            self.source.__getitems__(np.flatnonzero((types == near) & (labels == DONE)))
        ).toarray()
        ways = {
            "cells: control cells as they are": rest,
            "cells: control cells + predicted change": np.maximum(rest + answer - own, 0.0),
            "cells: nearest type's": donors,
            f"cells: {OWN}": log_per(made).toarray(),
        }
        return {name: of_cells(x, real) for name, x in ways.items()}, made


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


def write(folder: Path, fold: Fold, counts, seed: int) -> None:
    """Predicted cells as `perturb` writes them, and the real ones with the controls."""
    folder.mkdir(parents=True, exist_ok=True)
    genes = [str(gene) for gene in fold.seen.populations.genes]
    name = fold.hidden.replace("/", "_")
    predicted_cells(counts, genes, DONE).write_h5ad(folder / f"{name}.{seed}.predicted.h5ad")
    rows = np.concatenate([fold.real, fold.at_rest])
    cells = fold.source.__getitems__(rows)
    obs = pd.DataFrame({"perturbation": fold.source.about.labels(CONDITION)[rows]})
    obs.index = [f"cell_{i}" for i in range(len(obs))]
    made = anndata.AnnData(log_per(cells.counts), obs=obs)
    made.var_names = genes
    made.write_h5ad(folder / f"{name}.real.h5ad")


def report(table: pd.DataFrame, seeds: int) -> str:
    own = table.groupby(["method", "seed"], sort=False).mean(numeric_only=True)
    mean, spread = own.groupby("method", sort=False).mean(), own.groupby("method", sort=False).std()
    simple = table.loc[table["seed"] == 0].rename(columns={"type": "context"})
    ridge = best_ridge(simple.assign(perturbation=DONE).loc[simple["pearson_delta"].notna()])
    shown = [baselines.NO_CHANGE, baselines.SAME, baselines.NEAREST, ridge, "ridge, own axes", "like contexts, shrunk",
             "both", "+ trees", "+ network alone", OWN]  # fmt: skip
    lines = ["| | Pearson delta | top 20 | MSE | overlap50 |", "|---|---|---|---|---|"]
    names = ("pearson_delta", "pearson_top20", "mse", "overlap50")

    def line(name: str, label: str | None = None) -> str:
        cells = []
        for n in names:
            digits = 5 if n == "mse" else 4
            more = f" ± {spread.loc[name, n]:.{digits}f}" if spread.loc[name, n] > 10**-digits else ""
            cells.append(f"{mean.loc[name, n]:.{digits}f}{more}")
        return f"| {label or name} | " + " | ".join(cells) + " |"

    lines += [line(name, f"**{name}**" if name == OWN else None) for name in shown if name in mean.index]
    gain, times = (
        mean.loc[OWN, "pearson_delta"] - mean.loc[ridge, "pearson_delta"],
        mean.loc[OWN, "mse"] / mean.loc[ridge, "mse"],
    )
    met = {True: "met", False: "missed"}
    lines += [
        "",
        f"Against the best of the eight ridges ({ridge.partition(', ')[2]}, chosen on these very cells): "
        f"Pearson {gain:+.4f} (bar +{BARS[0]}: {met[gain >= BARS[0]]}), MSE {times:.3f} x (bar {BARS[1]}: "
        f"{met[times <= BARS[1]]}), overlap50 {mean.loc[OWN, 'overlap50'] - mean.loc[ridge, 'overlap50']:+.4f} "
        f"(bar 0: {met[mean.loc[OWN, 'overlap50'] >= mean.loc[ridge, 'overlap50']]}).",
        "",
        "## As populations of cells",
        "",
        "| | gene-gene agreement | energy distance | spread |",
        "|---|---|---|---|",
    ]
    for name in mean.index:
        if name.startswith("cells: "):
            row = mean.loc[name]
            lines.append(
                f"| {name.removeprefix('cells: ')} | {row['gene-gene']:.3f} | {row['energy']:.3f} "
                f"| {row['spread']:.3f} |"
            )
    parts = [f"with {part}" for part in PARTS if f"with {part}" in mean.index]
    if parts:
        lines += ["", "## The cell model with each part", "",
                  "Trees and one network; a part's share is what changes against `no part`. Spread: over seeds.",
                  "", *lines[:2]]  # fmt: skip
        lines += [
            line("one network", "no part"),
            *map(line, parts),
            line("network alone, one", "network alone, no part"),
        ]
        lines += [line(f"network alone, {part}") for part in parts]
    types = table.loc[table["method"].isin([OWN, ridge, "+ trees"])].groupby(["type", "method"], sort=False)
    each = types[["pearson_delta", "mse", "overlap50"]].mean()
    lines += [
        "",
        "## By type",
        "",
        "| type | method | Pearson delta | MSE | overlap50 |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {t} | {m} | {row['pearson_delta']:.4f} | {row['mse']:.5f} | {row['overlap50']:.3f} |"
        for (t, m), row in each.iterrows()
    ]
    seconds = mean.loc[OWN, "seconds"]
    versions = {name: version(name) for name in ("numpy", "pandas", "torch", "anndata")}
    lines += [
        "",
        f"{seeds} seeds, {table['type'].nunique()} types. Two networks of a fold: {seconds:.0f} s. "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}.",
    ]
    return "\n".join(lines) + "\n"


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
