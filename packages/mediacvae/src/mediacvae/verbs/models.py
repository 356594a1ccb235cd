"""`build` and `train`: from the database to a dataset, from a dataset to a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cytosol import cli, ranks
from mediacvae.verbs import common

if TYPE_CHECKING:
    import pandas as pd

    from mediacvae.config import TrainConfig
    from mediacvae.dataset import Dataset

RECIPE, HISTORY = "config.yaml", "history.csv"
METHOD, SEED = "kmer6", 42  # of `build` without the options

Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help=f"Genome features: kmer6 and others, as `embed` stored them; {METHOD} without --condition.",
    ),
]
DatasetOut = Annotated[Path, typer.Option("--out", metavar="DATASET", help="Directory for the dataset.")]
Condition = Annotated[
    str | None,
    typer.Option(
        "--condition",
        metavar="A,B,...",
        help="What is known of an organism: lineage, names, stats (GC and size), genome methods; "
        "without it, --method alone.",
    ),
]
Group = Annotated[
    Literal["species", "genus"], typer.Option("--group", help="What is never on both sides of a split.")
]
Organism = Annotated[
    str | None, typer.Option("--organism", metavar="TYPE", help="Only bacteria, archaea, fungi, ...")
]
Guessed = Annotated[
    Literal["in", "out"],
    typer.Option("--guessed", help="Amounts whose stock strength the source guessed: taken or left."),
]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="NAME",
        help="Media of this source (may be said again; all for all); without it, of the one that most growth is "
        "known of, and one's own.",
    ),
]
Ingredients = Annotated[int, typer.Option("--ingredients", min=1, help="The commonest ones kept.")]
TestSize = Annotated[float, typer.Option("--test-size", help="Share of the pairs.")]
ValSize = Annotated[float, typer.Option("--val-size", help="Share of the pairs.")]


def build(
    *,
    method: Method = None,
    out: DatasetOut,
    condition: Condition = None,
    group: Group = "genus",
    organism: Organism = None,
    guessed: Guessed = "in",
    source: Sources = None,
    ingredients: Ingredients = 256,
    test_size: TestSize = 0.15,
    val_size: ValSize = 0.15,
    seed: cli.Seed = None,
    db: common.Db = common.DATABASE,
    force: cli.Force = False,
) -> None:
    """A dataset of organisms and the media they grow on, split so that relatives keep together."""
    from mediacvae.features import build_genome_media_dataset

    cli.refuse_existing(out, force=force)
    blocks = None if condition is None else [one.strip() for one in condition.split(",") if one.strip()]
    made = build_genome_media_dataset(
        METHOD if method is None and condition is None else method,
        organism,
        test_size,
        val_size,
        SEED if seed is None else seed,
        condition=blocks,
        group=group,
        guessed=guessed,
        sources=source or (),
        ingredients=ingredients,
        url=db,
        out=out,
    )
    common.say_all(made["notes"])
    typer.echo("\n".join(counted(made["dataset"])))
    typer.echo(f"{out}: {_size(made['dataset'])}")


def counted(data: Dataset) -> list[str]:
    """A line a split: pairs, organisms by type, media."""
    lines = []
    for split in ("train", "val", "test"):
        own = data.pairs.iloc[data.rows(split)]
        types = data.organisms["organism_type"].to_numpy()[own["organism"].to_numpy()]
        told = ", ".join(f"{kind} {(types == kind).sum():,}" for kind in dict.fromkeys(sorted(types)))
        of = f" ({told})" if told else ""
        lines.append(
            f"{split}: {len(own):,} pairs{of}, {own['organism'].nunique():,} organisms, "
            f"{own['medium'].nunique():,} media"
        )
    return lines


def _size(data: Dataset) -> str:
    blocks = ", ".join(f"{block.name} {len(block.features):,}" for block in data.conditioner.blocks)
    return f"{len(data.ingredients)} ingredients, {len(data.library):,} media, conditions: {blocks}"


@cli.resumable()
@ranks.only_first_speaks
def train(
    *,
    dataset: Annotated[Path, typer.Option("--dataset", metavar="DATASET", help="Made by `build`.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Directory for the model.")],
    config: cli.ConfigFile = None,
    seed: cli.Seed = None,
    device: cli.Device = "auto",
    resume: cli.Resume = False,
    force: cli.Force = False,
    overrides: cli.Overrides,
) -> None:
    """Learn from the train split, for instance: train --dataset d --out m epochs=200 model_type=hierarchical."""
    from cytosol.config import save as save_config
    from cytosol.files import write_atomically

    if ranks.first():
        cli.refuse_existing(out, force=force, resume=resume)
    chosen = common.recipe(config, overrides, seed=seed, device=device)  # before what takes seconds to load
    from mediacvae.config import unread
    from mediacvae.training import train as learn

    common.say_all(unread(chosen))
    made = learn(chosen, dataset=dataset, out=out, resume=resume, force=force)
    if not ranks.first():
        return
    save_config(chosen, out / RECIPE)
    history = made["history"]
    (out / HISTORY).unlink(missing_ok=True)
    if len(history):
        write_atomically(out / HISTORY, history.to_csv(index=False).encode())
    for line in kept(history):
        typer.echo(line)
    typer.echo(f"{out}: {_trained(chosen)}, {made['elapsed_seconds']:.1f} s")


def kept(history: pd.DataFrame) -> list[str]:
    """What each phase left of what was learned: the loss of every organism type at its end; none without phases."""
    if history.empty:
        return []
    types = [name for name in history.columns if name.startswith("loss_")]
    last = history.groupby("phase", sort=False).last()
    wide = max(12, *(len(name) for name in types))
    lines = ["after phase " + "".join(f"{name:>{wide + 2}}" for name in types)]
    for phase, row in last.iterrows():
        lines.append(f"{phase!s:<12}" + "".join(f"{row[name]:>{wide + 2}.4g}" for name in types))
    return lines


def _trained(config: TrainConfig) -> str:
    return f"model_type {config.model_type}, seed {config.seed}"
