"""Time and memory of `mediacvae train` against the number of media: made-up datasets of 10,000 to 100,000 media.

    uv run python benchmarks/mediacvae_scale.py [--sizes 10000,30000,100000] [--threads 2] [--folder DIR]

A dataset has as many pairs as media, a fifth as many organisms (told: lineage, GC and size), 256 ingredients, and for
each organism one medium that it does not grow on. The verb runs in a process of its own, for a few epochs: what it
holds does not depend on their number. Peak memory is that of the process, the file it maps included; it starts no
others. Writes mediacvae_scale.md; the datasets go to a temporary directory (--folder: elsewhere) of about 0.5 GB.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from watch import Spent, processor, watched

from mediacvae import dataset as datasets
from mediacvae.conditions import Conditioner, Organism
from mediacvae.dataset import Dataset

HERE = Path(__file__).parent
SIZES = (10_000, 30_000, 100_000)
INGREDIENTS, KINDS, EPOCHS, FEW = 256, 50, 3, 100
MEDIA_AN_ORGANISM, ORGANISMS_A_GENUS = 5, 20
HELD_OUT = 0.04  # share of the genera for val, and for test
PEAK_GB, FULL = 4.0, 100_000  # the bar, and the size it is for
FOOD = ("Glucose", "Yeast extract", "Peptone", "Sodium acetate", "Casamino acids", "Glycerol")


def media(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Recipes (n, 256) [g/L] and the kind (n,) of each: media of a kind share two thirds of its twenty ingredients."""
    kind = rng.integers(KINDS, size=n)
    liked = np.array([rng.choice(INGREDIENTS, 20, replace=False) for _ in range(KINDS)])
    usual = np.exp(rng.normal(-1.0, 2.0, INGREDIENTS))
    made = np.zeros((n, INGREDIENTS), dtype=np.float32)
    held = rng.random((n, 20)) < 2 / 3
    row, place = np.nonzero(held)
    column = liked[kind[row], place]
    made[row, column] = usual[column] * np.exp(rng.normal(0.0, 0.3, len(row)))
    made[np.arange(n), kind % len(FOOD)] = 2.0
    return made, kind


def organisms(n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, list[Organism], np.ndarray]:
    """Organisms of genera of twenty, as table and as what is known of them, and the kind of media (n,) each likes."""
    genera = -(-n // ORGANISMS_A_GENUS)
    genus = np.arange(n) // ORGANISMS_A_GENUS
    kind = rng.integers(KINDS, size=genera)[genus]
    side = rng.choice(datasets.SPLITS, genera, p=[1 - 2 * HELD_OUT, HELD_OUT, HELD_OUT])
    side[0] = "train"
    names = [f"G{number}" for number in range(n)]
    table = pd.DataFrame(
        {
            "genome_id": names,
            "organism_name": [f"Genus{at} species{number}" for number, at in enumerate(genus)],
            "organism_type": "bacteria",
            "genus": [f"Genus{at}" for at in genus],
            "species": [f"Genus{at} species{number}" for number, at in enumerate(genus)],
            "genome": "none",
            "split": side[genus],
        }
    )
    lineage = [f"Bacteria;P{k % 7};O{k};F{k}.{at % 5};Genus{at}" for k, at in zip(kind, genus, strict=True)]
    gc, size = 30 + kind % 40 + rng.normal(0, 1, n), 10 ** rng.normal(6.5, 0.1, n)
    known = [
        Organism(name, organism_type="bacteria", lineage=words, gc=float(a), length=float(b))
        for name, words, a, b in zip(names, lineage, gc, size, strict=True)
    ]
    return table, known, kind


def make(n: int, folder: Path) -> None:
    """A dataset of n media on disk."""
    rng = np.random.default_rng(n)
    recipes, kind = media(n, rng)
    table, known, likes = organisms(max(n // MEDIA_AN_ORGANISM, 2 * ORGANISMS_A_GENUS), rng)
    of_kind = [np.flatnonzero(kind == k) for k in range(KINDS)]
    organism = np.sort(np.arange(n) % len(table))
    medium = np.array([rng.choice(of_kind[k]) if len(of_kind[k]) else 0 for k in likes[organism]])
    pairs = pd.DataFrame({"organism": organism, "medium": medium}).drop_duplicates(ignore_index=True)
    ids = np.array([f"M{number}" for number in range(n)])
    no = pd.DataFrame({"organism": np.arange(len(table)), "medium": rng.integers(n, size=len(table))})
    records = pd.concat([pairs.assign(growth=True), no.assign(growth=False)], ignore_index=True)
    names = [*FOOD, *(f"ingredient {at}" for at in range(len(FOOD), INGREDIENTS))]
    row, column = np.nonzero(recipes)
    conditioner = Conditioner.of(known, ("lineage", "stats"), {})
    made = Dataset(
        ingredients=tuple(names),
        conditioner=conditioner,
        organisms=table,
        conditions=conditioner(known),
        library=pd.DataFrame({"medium_id": ids, "name": ids, "min_ph": 7.0, "max_ph": 7.0}),
        media=recipes,
        pairs=pairs.assign(source="made up", rank="strain"),
        records=pd.DataFrame(
            {
                "organism": records["organism"],
                "medium_id": ids[records["medium"]],
                "growth": records["growth"],
                "source": "made up",
            }
        ),
        recipes=pd.DataFrame({"medium_id": ids[row], "ingredient": np.array(names, dtype=object)[column]}),
        about={},
    )
    datasets.write(made, folder)


def measure(folder: Path, n: int, threads: int) -> Spent:
    """`mediacvae train` on n media in a process of its own."""
    data, out = folder / f"{n}", folder / "model"
    if not data.is_dir():
        make(n, data)
    words = ["train", "--dataset", data, "--out", out, "--device", "cpu", "--force", f"epochs={EPOCHS}"]
    return watched("mediacvae", words, threads=threads)


def write(runs: dict[int, Spent], start: Spent, threads: int) -> None:
    """The table, to the file and to the terminal."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("mediacvae", "numpy", "torch"))
    about = (
        f"{threads} threads of {os.cpu_count()} cores, {processor()}, Python {platform.python_version()}; {versions}; "
        f"load average at the end {os.getloadavg()[0]:.1f}. As many pairs as media, a fifth as many organisms "
        f"(lineage, GC, size), {INGREDIENTS} ingredients, {EPOCHS} epochs. {FEW} media: {start.cpu:.1f} s of "
        f"processors, {start.peak / 1e9:.2f} GB."
    )
    lines = ["# Time and memory of `mediacvae train`", "", about, ""]
    lines += ["| media | organisms | seconds | of processors | peak memory |", "|---|---|---|---|---|"]
    for n, run in runs.items():
        lines.append(
            f"| {n:,} | {n // MEDIA_AN_ORGANISM:,} | {run.seconds:.0f} | {run.cpu:.0f} | {run.peak / 1e9:.2f} GB |"
        )
    if (last := max(runs)) >= FULL:
        peak = runs[last].peak / 1e9
        met = "yes" if peak <= PEAK_GB else "no"
        lines += ["", "| measured | value | bar | met |", "|---|---|---|---|"]
        lines.append(f"| peak memory [GB], {last:,} media | {peak:.3g} | at most {PEAK_GB:g} | {met} |")
    (HERE / "mediacvae_scale.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    sizes = sorted(int(size) for size in asked.sizes.split(","))
    if sizes[0] <= FEW:
        print(f"--sizes: expected numbers above {FEW}, got {sizes[0]}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(dir=asked.folder) as made:
        start = measure(Path(made), FEW, asked.threads)
        runs: dict[int, Spent] = {}
        for n in sizes:
            runs[n] = measure(Path(made), n, asked.threads)
            print(f"{n:,} media: {runs[n]}", file=sys.stderr, flush=True)
    write(runs, start, asked.threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
