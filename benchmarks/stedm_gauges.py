"""The gauge of the targets, and what generator and refiner learn with each, on a section that nothing has seen.

    uv run python benchmarks/stedm_gauges.py --data DIR [--sets bdtnp,A6] [--gauges G,G,...]
        [--seeds 1]

`zero` is the generator's gauge with the preconditioning centred on zero, as the specification has it. Regression and
pairs are those of `stedm train`; each gauge trains its own networks. Writes stedm_gauges.csv (what `stedm diagnose`
measures, and the scores of the whole section by estimate; rows that are there are kept) and stedm_gauges.md. Exits 1
where the data is absent.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import stedm_sections
import torch

from stedm import learning, place, teaching
from stedm.config import Config
from stedm.diagnose import diagnose
from stedm.metrics import score
from stedm.tissue import place_of

HERE = Path(__file__).parent
GAUGES = ("generator", "output", "frame", "distance", "zero")
KEYS = ["set", "gauge", "seed"]


def told(gauge: str, base: Config) -> Config:
    """The recipe of a gauge."""
    if gauge == "zero":
        return replace(base, net=replace(base.net, around="zero"))
    return replace(base, learn=replace(base.learn, gauge=gauge))


def measured(folder: Path, name: str, gauges: list[str], seed: int) -> pd.DataFrame:
    """Diagnoses and scores of every gauge on one held-out section."""
    train, query = stedm_sections.load(folder, name)
    config = Config()
    bare, shown = learning.without_networks(train, config, seed=seed)
    tables = []
    for gauge in gauges:
        own = told(gauge, config)
        nets, _ = teaching.learn(shown, own, place.settled(bare.pair, seed), seed=seed)
        model = replace(bare, networks=nets, config=own)
        batches = nets.batches([model.shown(query)], seed)
        random = torch.Generator().manual_seed(seed)
        table = diagnose(nets.net, batches, gauge=own.learn.gauge, generator=random)
        mean = model.predict(query, refine=True, seed=seed).stages
        drawn = model.predict(query, estimate="sample", draws=1, seed=seed).stages
        for stage, at in (mean | {"sample": drawn["sample"]}).items():
            found = score(at, place_of(query))
            extra = {"jaccard10": found.jaccard10, "spearman": found.spearman, "rmse": found.rmse}
            rows = [("section", f"{stage}_{k}", float("nan"), float("nan"), v, 1) for k, v in extra.items()]
            table = pd.concat([table, pd.DataFrame(rows, columns=list(table.columns))], ignore_index=True)
        tables.append(table.assign(set=name, gauge=gauge, seed=seed))
        print(f"{name}, seed {seed}: {gauge} done", file=sys.stderr, flush=True)
    return pd.concat(tables, ignore_index=True)


def report(table: pd.DataFrame) -> str:
    """A table of scale and size of F by noise level, and one of what each gauge reaches."""
    seeds = sorted(int(s) for s in table["seed"].unique())
    lines = [
        "# Gauges of the targets, on held-out sections",
        "",
        f"Seeds {seeds}, means. By `stedm_gauges.py`.",
        "",
    ]
    by = table[table["probe"] == "by_sigma"]
    edges = sorted({(float(a), float(b)) for a, b in zip(by["low"], by["high"], strict=True)})
    for quantity in ("scale_r", "fx_ratio", "jaccard10", "jaccard10_skip"):
        lines += [f"`{quantity}` by sigma / sigma_data", ""]
        lines += ["| set | gauge | " + " | ".join(f"{a:.2f}-{b:.2f}" for a, b in edges) + " |"]
        lines += ["|" + "---|" * (len(edges) + 2)]
        part = by[by["quantity"] == quantity]
        for (name, gauge), one in part.groupby(["set", "gauge"], sort=False):
            cells = [f"{one.loc[one['low'] == a, 'value'].mean():.3f}" for a, _ in edges]
            lines.append(f"| {name} | {gauge} | " + " | ".join(cells) + " |")
        lines.append("")
    names = (
        "generator_health.jaccard10", "open_loop.jaccard10", "open_loop.share_of_generator", "ablation.error_ratio_b",
        "section.pairs_jaccard10", "section.generator_jaccard10", "section.mean_jaccard10", "section.sample_jaccard10",
        "section.pairs_rmse", "section.generator_rmse", "section.mean_rmse",
    )  # fmt: skip
    lines += ["| set | gauge | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 2)]
    full = table.assign(name=table["probe"] + "." + table["quantity"])
    for (name, gauge), one in full.groupby(["set", "gauge"], sort=False):
        cells = [f"{one.loc[one['name'] == n, 'value'].mean():.3f}" for n in names]
        lines.append(f"| {name} | {gauge} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="bdtnp,A6")
    parser.add_argument("--gauges", default=",".join(GAUGES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE / "stedm_gauges.csv")
    given = parser.parse_args()
    done = pd.read_csv(given.out) if given.out.exists() else pd.DataFrame(columns=KEYS)
    for seed in range(given.seeds):
        for name in given.sets.split(","):
            if not (given.data / f"{stedm_sections.SETS[name][0]}.h5ad").exists():
                print(f"{given.data}: {stedm_sections.SETS[name][0]}.h5ad is not there", file=sys.stderr)
                return 1
            there = set(done.loc[(done["set"] == name) & (done["seed"] == seed), "gauge"])
            gauges = [gauge for gauge in given.gauges.split(",") if gauge not in there]
            if not gauges:
                continue
            made = measured(given.data, name, gauges, seed)
            done = made if done.empty else pd.concat([done, made], ignore_index=True)
            done.to_csv(given.out, index=False)
            given.out.with_suffix(".md").write_text(report(done), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
