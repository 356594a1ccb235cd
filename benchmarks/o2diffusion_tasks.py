"""The four imputation tasks: the model beside the simple methods, on simulated plates and on real curves.

    uv run python benchmarks/o2diffusion_tasks.py [--data oxygen.parquet --events events.parquet] [--folds 5]

Simulated plates have drugs and schedules that the default model never met. Real experiments are held out whole:
zero-shot, and by a model adapted to the other experiments only. Writes o2diffusion_tasks.csv (every score, also by
source) and o2diffusion_tasks.md (the headline ratios). Exits 1 where the data is absent.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from o2diffusion.conditions import Condition, read_conditions
from o2diffusion.config import AdaptConfig, SimulationConfig
from o2diffusion.evaluation import against_best, cases, evaluate
from o2diffusion.fitting import train
from o2diffusion.metrics import Prediction, score
from o2diffusion.oxygen_model import OxygenModel, load
from o2diffusion.simulation import simulate
from o2diffusion.tasks import TASKS

HERE = Path(__file__).parent
DATA = HERE.parent.parent / "shared" / "data" / "o2diffusion"
UNSEEN = SimulationConfig(
    protocol="plate", experiments=16, drugs=3, concentrations=4, vary=True, drug_prefix="unseen", drug_seed=77
)
ORACLE = "noise_free_curve"
BARS = {  # dataset, task, metric -> at most this times the best simple method
    ("simulated", "a", "mae"): 1.0,
    ("simulated", "a", "crps"): 1.0,
    ("simulated", "b", "mae"): 1.0,
    ("simulated", "b", "crps"): 0.72,
    ("simulated", "b1", "crps"): 1.0,
    ("simulated", "c", "mae"): 1.0,
    ("real", "a", "mae"): 1.0,
    ("real", "a", "crps"): 1.0,
    ("real", "b", "mae"): 1.0,
    ("real", "b", "crps"): 0.88,
    ("real", "b1", "crps"): 0.88,
    ("real", "c", "mae"): 1.0,
} | {("simulated", task, "mae_near"): 0.9 for task in ("a", "b", "b1", "c")}

COVERAGE = (0.86, 0.94)


def simulated(seed: int, most: int) -> tuple[list[Condition], dict[str, pd.DataFrame]]:
    """Conditions of plates with unseen drugs and schedules, and the noise-free curve of each."""
    made = simulate(UNSEEN, seed=seed)
    conditions = read_conditions(made.table, made.events, notes=[])
    chosen = np.random.default_rng(0).permutation(len(conditions))[:most]
    truth = {str(name): part for name, part in made.truth.groupby("series_id")}
    return [conditions[i] for i in chosen], truth


def oracle(conditions: list[Condition], truth: dict[str, pd.DataFrame], seed: int) -> pd.DataFrame:
    """Scores of who knows a condition's noise-free curve, but not what sets its replicates apart.

    Each replicate's mean deviation over its visible cells is added. It bounds what can be had where the replicate is
    hidden whole (c), and shows how much of an error is the replicates' own.
    """
    rows = []
    for task in TASKS:
        for case in cases(conditions, task, seed=seed):
            grid, features, hidden = case.item.grid, case.item.features, case.item.active
            known = truth[grid.condition.series_id]
            curve = np.interp(grid.time, known["time_h"], known["oxygen_true"])
            rest = np.where(grid.observed & ~hidden, grid.value - curve, np.nan)
            seen = np.isfinite(rest).any(axis=0)
            shift = np.zeros(len(seen))
            shift[seen] = np.nanmean(rest[:, seen], axis=0)
            z = (curve + shift - features.level) / features.scale
            near = np.broadcast_to(case.near[:, None], hidden.shape)[hidden]
            scores = score(
                Prediction(z[hidden]), case.item.target[hidden].astype(float), np.nonzero(hidden)[1], near
            )
            rows += [(task, metric, value) for metric, value in scores.items()]
    long = pd.DataFrame(rows, columns=["task", "metric", "value"])
    means = long.groupby(["task", "metric"], sort=False)["value"].agg(["mean", "size"]).reset_index()
    return means.rename(columns={"mean": "value", "size": "n"}).assign(
        dataset="simulated", source="all", method=ORACLE, seed=seed
    )


def held_out(
    conditions: list[Condition], folds: int, seed: int
) -> list[tuple[list[Condition], list[Condition]]]:
    """Experiments in folds: (others, held out)."""
    names = np.random.default_rng(seed).permutation(sorted({c.experiment_id for c in conditions}))
    parts = np.array_split(names, folds)
    return [
        (
            [c for c in conditions if c.experiment_id not in part],
            [c for c in conditions if c.experiment_id in part],
        )
        for part in (set(p) for p in parts)
    ]


def adapted(start: OxygenModel, conditions: list[Condition], seed: int) -> OxygenModel:
    """The default model after the short training of `train --from`, on other experiments."""
    config = AdaptConfig(model=start.config.model)
    config = replace(config, train=replace(config.train, use_drugs=False))
    return train(conditions, config=config, start=start, seed=seed)


def main() -> int:
    """Run and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA / "oxygen.parquet")
    parser.add_argument("--events", type=Path, default=DATA / "events.parquet")
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--conditions", type=int, default=200)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if not asked.data.exists():
        print(f"{asked.data}: not there; pass --data and --events", file=sys.stderr)
        return 1
    model = load(asked.model)
    made, truth = simulated(4242, asked.conditions)
    tables = [evaluate(model.net, made, dataset="simulated", seed=asked.seed, draws=asked.draws)]
    tables.append(oracle(made, truth, asked.seed))
    real = read_conditions(asked.data, asked.events, notes=[])
    tables.append(evaluate(model.net, real, dataset="real", seed=asked.seed, draws=asked.draws))
    if asked.folds:
        tables.append(by_fold(model, real, asked, tables[-1]))
    write(pd.concat(tables, ignore_index=True), asked)
    return 0


def by_fold(
    model: OxygenModel, real: list[Condition], asked: argparse.Namespace, before: pd.DataFrame
) -> pd.DataFrame:
    """Scores on held-out experiments after adaptation to the others, pooled over folds by number of conditions.

    A condition's mask does not depend on its table, so the simple methods' rows are those of `before`.
    """
    simple = before[before["method"] != "o2diffusion"].assign(dataset="real_adapted")
    parts = []
    for others, held in held_out(real, asked.folds, asked.seed):
        tuned = adapted(model, others, asked.seed)
        parts.append(
            evaluate(
                tuned.net, held, dataset="real_adapted", seed=asked.seed, draws=asked.draws, simple=False
            )
        )
    joined = pd.concat(parts)
    keys = ["dataset", "source", "task", "method", "metric", "seed"]
    joined["total"] = joined["value"] * joined["n"]
    sums = joined.groupby(keys, sort=False)[["total", "n"]].sum().reset_index()
    return pd.concat([sums.assign(value=sums["total"] / sums["n"]).drop(columns="total"), simple])


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """The rows with a bar: value, best simple method, ratio, bar, met."""
    rows = []
    for (dataset, task, metric), bar in BARS.items():
        for name in [d for d in table["dataset"].unique() if d.split("_")[0] == dataset]:
            part = against_best(table[(table["dataset"] == name) & (table["method"] != ORACLE)], metric)
            row = part[part["task"] == task].iloc[0]
            rows.append(
                (
                    name,
                    task,
                    metric,
                    row["value"],
                    row["best"],
                    row["best_method"],
                    row["ratio"],
                    bar,
                    row["ratio"] <= bar,
                )
            )
    columns = ["dataset", "task", "metric", "model", "best simple", "method", "ratio", "bar", "met"]
    return pd.DataFrame(rows, columns=columns).sort_values(["dataset", "metric", "task"])


def coverage(table: pd.DataFrame) -> pd.DataFrame:
    """Coverage of cells and areas by dataset and task, and whether both 90 % ones are as they should be."""
    own = table[(table["method"] == "o2diffusion") & (table["source"] == "all")]
    wanted = own[own["metric"].isin(["coverage50", "coverage90", "area_coverage90"])]
    table = wanted.pivot_table(index=["dataset", "task"], columns="metric", values="value").reset_index()
    met = [table[name].between(*COVERAGE) for name in ("coverage90", "area_coverage90")]
    return table.assign(met=met[0] & met[1])


def write(table: pd.DataFrame, asked: argparse.Namespace) -> None:
    """The long table and the headline."""
    table.round(5).to_csv(HERE / "o2diffusion_tasks.csv", index=False)
    lines = ["# The four imputation tasks", ""]
    how = f"--conditions {asked.conditions} --folds {asked.folds} --draws {asked.draws}"
    lines += [
        f"{asked.model or 'Default model'}, `{how}`, seed {asked.seed}. MAE and fair CRPS in z-scores of the visible "
        "cells; ratio: model",
        "over best simple method of the same run; `near` is within 12 h after a media change. `real_adapted`: after",
        "the short training of `train --from default` on the other experiments, five folds of whole experiments.",
        f"`{ORACLE}` is told the truth behind a condition's replicates, but not what sets them apart: on c, where",
        "one replicate is hidden whole, little more can be known.",
        "",
    ]
    for part in (headline(table), coverage(table), methods(table)):
        lines += [_markdown(part), ""]
    (HERE / "o2diffusion_tasks.md").write_text("\n".join(lines))
    print("\n".join(lines))


def methods(table: pd.DataFrame) -> pd.DataFrame:
    """MAE, CRPS and MAE near a media change of every method."""
    part = table[(table["source"] == "all") & table["metric"].isin(["mae", "crps", "mae_near"])]
    wide = part.pivot_table(index=["dataset", "metric", "method"], columns="task", values="value")
    return wide.reset_index()


def _markdown(table: pd.DataFrame) -> str:
    """A table of words and rounded numbers."""
    cells = [
        [f"{v:.3f}" if isinstance(v, float) else str(v) for v in row] for row in table.itertuples(index=False)
    ]
    head = [str(c) for c in table.columns]
    return "\n".join(["| " + " | ".join(r) + " |" for r in [head, ["---"] * len(head), *cells]])


if __name__ == "__main__":
    sys.exit(main())
