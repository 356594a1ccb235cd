"""Rules that are known: is their direction recovered, and does `explain` name the marker that makes them?

    uv run python benchmarks/mediacvae_rules.py [--seeds 0,1,2] [--genera 60] [--out benchmarks/mediacvae_rules.md]

A world of `mediacvae.simulation` has ten marker families in its genomes, and media that follow them; a fifth of the
pairs, by genus, is held out. A case is a held-out genome with a marker and the rule that this marker makes; its marker
is named where one of the five strongest features of the rule's ingredient is a word (6-mer) of the marker's unit. The
truth lists the words of both strands, so a word and its reverse complement are the same.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from markers import directions, error, learned, named, without_a_model, world
from watch import processor

from mediacvae.config import TrainConfig
from mediacvae.factors import factors

if TYPE_CHECKING:
    from mediacvae.dataset import Dataset
    from mediacvae.predictor import MediaModel


def rows_of(seed: int, genera: int) -> list[dict[str, Any]]:
    """All that is measured in one world."""
    made: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        own = world(seed, genera, Path(folder))
        config = TrainConfig(seed=seed, device="cpu")

        def add(
            what: str, data: Dataset, model: MediaModel, method: str = "kmer6", block: str | None = None
        ) -> None:
            wrong, tried = directions(own, data, model)
            active = factors(model).active if model.vae is not None else 0
            found = {**named(own, data, model, method, block), "error": error(data, model), "active": active}
            said = {"wrong": len(wrong), "tried": tried, "wrong_ones": "; ".join(wrong)}
            made.append({"seed": seed, "what": what, **found, **said})
            print(seed, what, f"{made[-1]['named']:.3f}", flush=True)

        data, model = learned(own, ("kmer6",), config)
        add("the model", data, model)
        add("its regression alone", data, replace(model, vae=None))
        add("its network alone", data, replace(model, share=1.0))
        made[0]["unusual"], made[0]["screened"] = without_a_model(own, data)
        data, model = learned(own, ("kmer6c",), config)
        add("both strands as one (kmer6c)", data, model, "kmer6c")
        data, model = learned(own, ("lineage", "names", "stats", "kmer6"), config)
        add("lineage, names, stats, kmer6", data, model)
        add("the same, of its k-mers (--block kmer6)", data, model, block="kmer6")
        data, model = learned(own, ("kmer6",), config, shuffled=True)
        add("media of others (control)", data, model)
    return made


COLUMNS = {
    "cases": "cases",
    "named": "marker named",
    "all": "for all of the rule's ingredients",
    "right": "of the five, the marker's",
    "other": "another marker named",
    "windows": "windows on the marker",
    "by_chance": "windows by chance",
    "wrong": "wrong directions",
    "tried": "of",
    "agreement": "ablation",
    "rest": "rest",
    "error": "error",
    "active": "active units",
}


LEGEND = """\
A case: a held-out genome with a marker (2 % of its bases; 36 words of the 4,096 of six bases) and the rule that the
marker makes. *Marker named*: one of the five strongest features of the rule's first ingredient is a word of the
marker's unit, on either strand. *Windows*: of the five windows of 1,000 bases that carry most, the share that hold
some of the marker. *Wrong directions*: rule and ingredient (or pH, of the five known media nearest to the recipe) for
which the held-out genomes with the rule on do not differ from the others as the truth says. *Ablation*: rank
correlation of attributions with what is lost without each feature. *Rest*: the worst that attributions leave
unexplained, as a share of the change (or of 0.01, where that is more). *Error*: squared error of log1p g/L over that
of the mean training medium. *Control*: trained with the media of others."""


def page(table: pd.DataFrame, genera: int, minutes: float) -> str:
    """The result as Markdown."""
    lines = [f"| | {' | '.join(COLUMNS.values())} |", "|" + "---|" * (len(COLUMNS) + 1)]
    for what, own in table.groupby("what", sort=False):
        cells = []
        for name in COLUMNS:
            mean, least, most = (getattr(own[name], how)() for how in ("mean", "min", "max"))
            digits = 0 if name in ("cases", "tried", "active") else 3
            spread = "" if least == most else f" ({least:.{digits}f}-{most:.{digits}f})"
            cells.append(f"{mean:.{digits}f}{spread}")
        lines.append(f"| {what} | {' | '.join(cells)} |")
    wrong = [
        f"{what}: {', '.join(sorted({one for cell in own['wrong_ones'] for one in cell.split('; ') if one}))}"
        for what, own in table.groupby("what", sort=False)
        if own["wrong"].any() and "control" not in str(what)
    ]
    alone = table[["unusual", "screened"]].dropna()
    return "\n".join(
        [
            "# Known rules: directions, markers, regions",
            "",
            f"{table['seed'].nunique()} worlds of {genera} genera, {minutes:.0f} minutes on one thread of "
            f"{processor()}. Mean (least-most) over the worlds.",
            "",
            *lines,
            "",
            LEGEND,
            "",
            "Without a model, the five features furthest from the mean (in standard deviations) name the marker in "
            f"{alone['unusual'].mean():.3f} of the cases, and these distances times each feature's correlation with "
            f"the ingredient in {alone['screened'].mean():.3f}.",
            *(["", "Wrong directions: " + "; ".join(wrong) + "."] if wrong else []),
            "",
        ]
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--genera", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    table = pd.DataFrame([row for seed in given.seeds.split(",") for row in rows_of(int(seed), given.genera)])
    text = page(table, given.genera, (time.monotonic() - began) / 60)
    given.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
