"""Training, from scratch or from a trained model, as a verb and as a step of others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytosol import cli, ranks
from o2diffusion.verbs import common

if TYPE_CHECKING:
    from o2diffusion.config import Config
    from o2diffusion.oxygen_model import OxygenModel

DEFAULT = "default"
Start = Annotated[
    str | None,
    typer.Option("--from", metavar="default|DIR", help="Begin with the weights of a trained model."),
]


@cli.resumable()
@ranks.only_first_speaks
def train(
    *,
    data: common.Data,
    events: common.Events = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Directory for model, history, checkpoints.")
    ],
    start: Start = None,
    smiles: common.Smiles = None,
    config: cli.ConfigFile = None,
    seed: cli.Seed = None,
    device: cli.Device = "auto",
    resume: cli.Resume = False,
    force: cli.Force = False,
    overrides: cli.Overrides,
) -> None:
    """Train a model on a table, for instance: train --data T --events E --out DIR trainer.max_steps=4000."""
    if ranks.first():
        cli.refuse_existing(out, force=force, resume=resume)
    origin = None if start is None else common.the_model(None if start == DEFAULT else Path(start), "cpu")
    chosen = plan(config, overrides, seed=seed, device=device, start=origin)
    model = fit(data, events, chosen, out, start=origin, smiles=smiles, resume=resume, force=force)
    typer.echo(f"{out}: {_told(model)}")


def plan(
    file: Path | None,
    keys: list[str],
    *,
    seed: int | None,
    device: str,
    start: OxygenModel | None,
    reads: tuple[str, ...] = common.LEARNING,
) -> Config:
    """The configuration of a training run; one that begins with a model has its shape, and gentler defaults."""
    from o2diffusion.config import AdaptConfig, Config, ModelConfig

    if start is None:
        return common.recipe(Config, file, keys, seed=seed, device=device, reads=reads)
    chosen = common.recipe(AdaptConfig, file, keys, seed=seed, device=device, reads=reads)
    if chosen.model == ModelConfig():
        return replace(chosen, model=start.config.model)
    if chosen.model.resolved() != start.config.model.resolved():
        msg = "model.*: a run that begins with a trained model has that model's shape; leave these keys out"
        raise ValueError(msg)
    return chosen


def fit(
    data: Path,
    events: Path | None,
    config: Config,
    out: Path | None,
    *,
    start: OxygenModel | None,
    smiles: Path | None = None,
    resume: bool = False,
    force: bool = False,
) -> OxygenModel:
    """Train, say what the reader noted, keep the resolved configuration beside the model."""
    from cytosol.config import save
    from o2diffusion.fitting import train as run

    notes = _Notes()
    model = run(
        data,
        events,
        config=config,
        out=out,
        start=start,
        smiles=common.structures(smiles),
        seed=config.seed,
        resume=resume,
        force=force,
        notes=notes,
    )
    if out is not None and ranks.first():
        save(model.config, out / common.RECIPE)
    return model


class _Notes(list[str]):
    """Notes that are said when they are made: training goes on for minutes after them."""

    def append(self, note: str) -> None:
        super().append(note)
        common.say_all([note])


def _told(model: OxygenModel) -> str:
    """What was learned from what, in one line."""
    from o2diffusion.tables import count

    history, known = model.history, model.facts
    last = history.groupby("run", sort=False).last() if len(history) else history
    steps = ", ".join(
        f"{count(int(row.step), 'step')} of {run} (loss {row.train_loss:.4g})" for run, row in last.iterrows()
    )
    drugs = count(len(known.drugs), "drug") if known.drugs else "no drugs"
    return f"model of {drugs}, units {', '.join(known.units) or 'not stated'}; {steps or 'no steps'}"
