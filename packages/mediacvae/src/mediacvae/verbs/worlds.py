"""`simulate`, `evaluate`, `plot` and `demo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytosol import cli, demos
from mediacvae.verbs import common

if TYPE_CHECKING:
    import pandas as pd

DEMO = Path("runs/demo/mediacvae")
DatasetDir = Annotated[Path, typer.Option("--dataset", metavar="DATASET", help="What `build` wrote.")]


def simulate(
    *,
    out: common.OutDir,
    config: cli.ConfigFile = None,
    seed: cli.Seed = None,
    force: cli.Force = False,
    overrides: cli.Overrides,
) -> None:
    """Make genomes, media and growth by known rules, for instance: simulate --out world genera=60 media=300."""
    from cytosol.config import load
    from mediacvae.options import SimulationConfig
    from mediacvae.simulation import simulate as make

    cli.refuse_existing(out, force=force)
    chosen = load(SimulationConfig, file=config, overrides=overrides)
    truth = make(chosen, 0 if seed is None else seed, out)
    typer.echo(
        f"{out}: {len(truth.organisms)} genomes, {chosen.media} media, {len(truth.rules)} rules (rules.json)"
    )
    common.say(
        f"next: mediacvae db import {out}; mediacvae db add-genomes {out}/genomes --table {out}/genomes.tsv"
    )


def evaluate(
    *,
    directory: common.Model,
    dataset: DatasetDir,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="F.json", help="Numbers to write.")
    ] = None,
    split: Annotated[str, typer.Option("--split", metavar="test|val", help="Which pairs.")] = "test",
    seed: cli.Seed = None,
    force: cli.Force = False,
) -> None:
    """Show how good recipes, ranks and odds are on organisms that training has not seen, beside simple methods."""
    from cytosol.files import write_atomically
    from mediacvae import dataset as datasets
    from mediacvae import evaluation, saving

    common.writable(json_file, ".json", force=force)
    if split not in ("test", "val"):
        msg = f"--split: expected test or val, got {split!r}"
        raise ValueError(msg)
    model, data = saving.load(directory), datasets.read(dataset)
    report = evaluation.evaluate(model, data, split=split, seed=0 if seed is None else seed)
    if json_file is not None:
        found: dict[str, Any] = {
            "recipes": _rows(report.recipes),
            "growth": None if report.growth is None else _rows(report.growth),
            "latent": report.latent,
            "split": split,
            "pairs": len(data.rows(split)),
        }
        write_atomically(json_file, (json.dumps(found, indent=1) + "\n").encode())
    typer.echo(report.recipes.round(4).fillna("").to_string(index=False))
    if report.growth is not None:
        typer.echo("\nOdds of growth, after some known results of the strain:")
        typer.echo(report.growth.round(3).to_string(index=False))
    latent = report.latent
    typer.echo(
        f"\nLatent: {latent['active_units']:.0f} features in use; error with the conditions of the organisms mixed up "
        f"{latent['mse_shuffled']:.4f}, with their own {latent['mse']:.4f}"
    )


def plot(
    *,
    file: Annotated[
        Path, typer.Argument(metavar="F.csv|DIR", help="What `rank` or `generate` wrote, or a model.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FIG", help="Picture: .png, .svg or .pdf.")],
    dataset: Annotated[
        Path | None, typer.Option("--dataset", metavar="DATASET", help="Of a model: whose media are mapped.")
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="Instead of the file's name.")] = None,
    force: cli.Force = False,
) -> None:
    """Draw ranks, recipes, or the map of a model's latent."""
    import pandas as pd

    from cytosol.figures import save
    from mediacvae import plots

    cli.refuse_existing(out, force=force)
    name = title or file.name
    if file.is_dir():
        if dataset is None:
            msg = "plot DIR: needs --dataset DATASET, whose media are mapped"
            raise ValueError(msg)
        typer.echo(str(save(_latent(file, dataset, name), out)))
        return
    try:
        table = pd.read_csv(file)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as fault:
        msg = f"{file}: expected a table of `rank` or `generate` ({str(fault).splitlines()[0]})"
        raise ValueError(msg) from None
    if table.empty:
        msg = f"{file}: expected at least one row below the heading"
        raise ValueError(msg)
    if {"rank", "medium_id", "name", "probability"} <= set(table.columns):
        typer.echo(str(save(plots.plot_ranks(table, title=name), out)))
    elif {"recipe", "ingredient", "g_per_l"} <= set(table.columns):
        typer.echo(str(save(plots.plot_recipes(table, title=name), out)))
    else:
        msg = (
            f"{file}: expected the columns of `rank` or `generate`, got {', '.join(map(str, table.columns))}"
        )
        raise ValueError(msg)


def _latent(directory: Path, dataset: Path, title: str) -> Any:
    """The latent of the training pairs."""
    from mediacvae import dataset as datasets
    from mediacvae import plots, saving

    model, data = saving.load(directory), datasets.read(dataset)
    if model.vae is None:
        msg = f"{directory}: the model was trained without a network (model_type=base): there is no latent to map"
        raise ValueError(msg)
    media, conditions, _ = data.arrays("train")
    kinds = data.samples().query("split == 'train'")["organism_type"].tolist()
    return plots.plot_latent(model.vae.encode(media, conditions), kinds, title=title)


def demo(
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Directory to write.")] = DEMO,
    force: cli.Force = False,
) -> None:
    """Simulate a world, train on it, and make media for a genome it has not seen: half a minute or more."""
    cli.refuse_existing(out, force=force)
    typer.echo(demos.run("mediacvae", out).text())


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(str(table.to_json(orient="records", double_precision=12)))
