"""Recipes, ranks and odds for organisms of genera that were left out, beside simple methods of the same run.

    uv run python benchmarks/mediacvae_generation.py --data DIR [--folds 5] [--seeds 3] [--stages all] [--threads 2]

DIR: the parquet tables media, media_ingredients, growth, taxa (and genomes.tsv, genomes/ for the k-mer row). Media of
MediaDive with the 256 commonest ingredients; organisms whose genus is in taxa. A stage is what the model is told and
made of: kernel regression alone, the network with it, names, k-mers. Writes mediacvae_generation.md and .csv.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from watch import processor

from mediacvae import db, evaluation, features
from mediacvae.base import MAIN
from mediacvae.building import BuildOptions, build
from mediacvae.config import TrainConfig
from mediacvae.embeddings import names as feature_names
from mediacvae.folds import grouped_folds
from mediacvae.kin import Vectors
from mediacvae.training import fit

if TYPE_CHECKING:
    from mediacvae.dataset import Dataset
    from mediacvae.predictor import MediaModel

HERE = Path(__file__).parent
PLAIN = ("lineage", "stats")
STAGES = {
    "base": (PLAIN, "base"),
    "+ network": (PLAIN, "cvae"),
    "+ names": ((*PLAIN, "names"), "cvae"),
    "+ k-mers": ((*PLAIN, "names", "kmer6"), "cvae"),
    "names, base": ((*PLAIN, "names"), "base"),
    "specification": (PLAIN, "spec"),
}
METHODS = ("kmer6",)
TABLES = ("recipes", "shuffled", "latent", "ranks", "draws")
DRAWS = 3  # of the results of a strain that are told


def database(folder: Path, data: Path) -> str:
    """The tables and genomes in a database of their own; its URL."""
    from mediacvae.db.genomes import add_genomes
    from mediacvae.db.importing import import_folder

    url = f"sqlite:///{folder / 'media.db'}"
    import_folder(data, url=url)
    if (data / "genomes.tsv").is_file():
        add_genomes(data / "genomes", table=data / "genomes.tsv", url=url)
        for method in METHODS:
            features.compute_all_genome_embeddings(method, url=url)
    return url


def datasets(url: str) -> tuple[dict[tuple[str, ...], Dataset], Dataset]:
    """A dataset for each set of conditions, the same pairs in all; and one of everything that was tried."""
    tables = db.read(url)
    tried = build(tables, BuildOptions(condition=PLAIN, sources=("MediaDive",)))
    genera = set(tables.taxa["genus"])
    kept = tables.genomes[tables.genomes["genus"].isin(genera)]
    tables = replace(
        tables, genomes=kept, growth=tables.growth[tables.growth["genome_id"].isin(kept["genome_id"])]
    )
    made = {}
    for condition, _ in STAGES.values():
        vectors = {}
        for method in METHODS:
            if method in condition:
                ids, values = db.read_embeddings(url, method)
                vectors[method] = Vectors(ids, values, feature_names(method))
        options = BuildOptions(condition=condition, sources=("MediaDive",))
        made[condition] = build(tables, options, vectors)
    return made, tried


def run(data: Dataset, config: TrainConfig, group: str, folds: int, seed: int) -> dict[str, pd.DataFrame]:
    """All folds of one seed: tables of recipes, of the same with conditions mixed up, and of the latent."""
    pairs = data.pairs["organism"].to_numpy()
    names = data.organisms[group].fillna("").to_numpy()
    fold = grouped_folds(names[pairs], folds, seed=seed)
    parts, mixed, active, new = [], [], [], []
    model = None
    for k in range(folds):
        rows, learned = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        model, _ = fit(data, replace(config, seed=seed), rows=learned)
        parts.append(evaluation.made(model, data, rows, learned))
        mixed.append(evaluation.made(model, data, rows, learned, shuffled=seed))
        active.append(evaluation.active_units(model, data, rows))
        if model.vae is not None and model.vae.hurdle:
            new.append(drawn(model, data, rows))
    if model is None:
        raise SystemExit("expected at least one fold")
    latent = pd.DataFrame({"active_units": [float(np.mean(active))]})
    tables = {
        "recipes": evaluation.score_recipes(parts, data, model),
        "shuffled": evaluation.score_recipes(mixed, data, model),
        "latent": latent,
        "ranks": calibration(parts, data),
        "draws": pd.concat(new).groupby("method", sort=False).mean().reset_index() if new else pd.DataFrame(),
    }
    return {name: table.assign(seed=seed) for name, table in tables.items()}


def drawn(model: MediaModel, data: Dataset, rows: np.ndarray) -> pd.DataFrame:
    """Ten recipes and the ten first known media of each organism: Jaccard index with its media on record.

    first, mean and best of the ten; known: with the nearest medium of the library; number of ingredients.
    """
    at, medium = (data.pairs[name].to_numpy() for name in ("organism", "medium"))
    library = np.asarray(data.media, dtype=np.float64)
    table = []
    for one in np.unique(at[rows]):
        condition = np.asarray(data.conditions[one : one + 1])
        ranked = np.argsort(-model.scores(condition)[0], kind="stable")[:10]
        made = {"ten recipes": model.generate(condition, 10), "ten first known media": library[ranked]}
        for method, recipes in made.items():
            own = alike(recipes, library[medium[at == one]])
            known = alike(recipes, library).mean()
            table.append((method, own[0], own.mean(), own.max(), known, (recipes > 0).sum(axis=1).mean()))
    return pd.DataFrame(table, columns=pd.Index(["method", "first", "mean", "best", "known", "ingredients"]))


def alike(recipes: np.ndarray, media: np.ndarray) -> np.ndarray:
    """The greatest Jaccard index (n,) of main ingredients that recipes (n, m) have with any of media (b, m)."""
    a, b = ((x > MAIN).astype(float) for x in (recipes, media))
    shared = a @ b.T
    return (shared / np.maximum(a.sum(axis=1)[:, None] + b.sum(axis=1) - shared, 1)).max(axis=1)


def calibration(parts: list[evaluation.Made], data: Dataset) -> pd.DataFrame:
    """Of the model's first ten ranks: how many are said to be on record, and how many are."""
    at, medium = (data.pairs[name].to_numpy() for name in ("organism", "medium"))
    true = pd.Series(medium).groupby(at).apply(set).to_dict()
    said, came = [], []
    for part in parts:
        once = np.unique(at[part.rows], return_index=True)[
            1
        ]  # an organism counts once, however many media it has
        top = np.argsort(-part.scores[evaluation.MODEL][once], axis=1, kind="stable")[:, :10]
        said += np.take_along_axis(part.probability[once], top, axis=1).sum(axis=1).tolist()
        came += [
            len(set(row.tolist()) & true[at[pair]]) for row, pair in zip(top, part.rows[once], strict=True)
        ]
    return pd.DataFrame({"said": [float(np.mean(said))], "came": [float(np.mean(came))]})


def growth(data: Dataset, folds: int, seed: int) -> pd.DataFrame:
    """Odds of growth with genera left out, after 0 to 3 results of the strain are told."""
    organism = data.records["organism"].to_numpy()
    fold = grouped_folds(data.organisms["genus"].fillna("").to_numpy()[organism], folds, seed=seed)
    parts = {known: [list[pd.DataFrame]() for _ in range(DRAWS)] for known in evaluation.KNOWN}
    config = TrainConfig(model_type="base", seed=seed)
    for k in range(folds):
        rows, learned = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        held = np.unique(organism[rows])
        pairs = np.flatnonzero(~np.isin(data.pairs["organism"].to_numpy(), held))
        model, _ = fit(data, config, rows=pairs, records=learned)
        for known, own in parts.items():
            for draw in range(DRAWS if known else 1):
                made = evaluation.odds(
                    model, data, rows, learned, known=known, seed=seed * 100 + k + 1000 * draw
                )
                own[draw].append(made)
    tables = [evaluation.score_odds(own) for draws in parts.values() for own in draws if own]
    labels = [known for known, draws in parts.items() for own in draws if own]
    made = pd.concat([table.assign(known=known) for table, known in zip(tables, labels, strict=True)])
    return made.groupby(["known", "method"], sort=False).mean().reset_index().assign(seed=seed)


def table_of(frame: pd.DataFrame, keys: list[str]) -> str:
    """Mean and spread over seeds as a Markdown table."""
    columns = [name for name in frame.columns if name not in (*keys, "seed")]
    mean, sd = (getattr(frame.groupby(keys, sort=False)[columns], how)() for how in ("mean", "std"))
    lines = [f"| {' | '.join([*keys, *columns])} |", "|" + "---|" * (len(keys) + len(columns))]
    for label in mean.index:
        names = [str(one) for one in (label if isinstance(label, tuple) else (label,))]
        cells = [
            ""
            if np.isnan(mean.loc[label, name])
            else f"{mean.loc[label, name]:.4f} ± {np.nan_to_num(sd.loc[label, name]):.4f}"
            for name in columns
        ]
        lines.append(f"| {' | '.join([*names, *cells])} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--stages", default="all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    chosen = list(STAGES) if asked.stages == "all" else asked.stages.split(",")
    began = time.monotonic()
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    with tempfile.TemporaryDirectory() as folder:
        made, tried = datasets(database(Path(folder), asked.data))
    odds = []
    for seed in range(asked.seeds):
        for group in ("genus", "species"):
            for stage in chosen if group == "genus" else [name for name in chosen if name == "+ names"]:
                condition, kind = STAGES[stage]
                config = TrainConfig(model_type=kind)  # pyright: ignore[reportArgumentType]
                tables = run(made[condition], config, group, asked.folds, seed)
                for name, table in tables.items():
                    found[name].append(table.assign(group=group, stage=stage))
                print(seed, group, stage, f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        odds.append(growth(tried, asked.folds, seed))
    write(
        asked.out,
        {name: pd.concat(own) for name, own in found.items()},
        pd.concat(odds),
        made,
        time.monotonic() - began,
    )
    return 0


def write(
    out: Path,
    found: dict[str, pd.DataFrame],
    odds: pd.DataFrame,
    made: dict[tuple[str, ...], Dataset],
    seconds: float,
) -> None:
    """The tables, to files."""
    data = made[PLAIN]
    sizes = f"{len(data.pairs)} pairs, {data.organisms['genus'].nunique()} genera, {len(data.media):,} media"
    versions = ", ".join(f"{name} {version(name)}" for name in ("mediacvae", "numpy", "torch"))
    head = (
        f"{sizes}. {processor()}, {os.cpu_count()} cores, Python {platform.python_version()}; {versions}; "
        f"{seconds / 60:.0f} minutes. Mean and standard deviation over {odds['seed'].nunique()} seeds of the folds."
    )
    lines = ["# Recipes, ranks and odds, whole genera left out", "", head, ""]
    recipes = found["recipes"]
    for group in recipes["group"].unique():
        for stage in recipes["stage"].unique():
            own = recipes[(recipes["group"] == group) & (recipes["stage"] == stage)]
            if len(own):
                lines += [
                    f"## Left out by {group}: {stage}",
                    "",
                    table_of(own.drop(columns=["group", "stage"]), ["method"]),
                    "",
                ]
    for name, title in (
        ("shuffled", "The model with the conditions of the test organisms mixed up"),
        ("latent", "Active units of the latent"),
        ("ranks", "Of the first ten ranks: on record by the model's odds, and in truth"),
        ("draws", "Ten recipes and the ten first known media: Jaccard index with the media on record"),
    ):
        keys = ["group", "stage", "method"] if name in ("shuffled", "draws") else ["group", "stage"]
        lines += [f"## {title}", "", table_of(found[name], keys), ""]
    lines += [
        "## Odds of growth, by genus, after some known results of the strain",
        "",
        table_of(odds, ["known", "method"]),
        "",
    ]
    (out / "mediacvae_generation.md").write_text("\n".join(lines))
    rows = [*(table.assign(table=name) for name, table in found.items()), odds.assign(table="growth")]
    pd.concat(rows, ignore_index=True).to_csv(out / "mediacvae_generation.csv", index=False)
    print("\n".join(lines))


if __name__ == "__main__":
    raise SystemExit(main())
