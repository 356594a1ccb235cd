"""Verbs that draw curves: `impute` fills a table's gaps, `generate` makes curves of conditions nobody ran."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytosol import cli
from o2diffusion.verbs import common, models

if TYPE_CHECKING:
    import pandas as pd

DrawsOut = Annotated[
    Path | None, typer.Option("--draws-out", metavar="G", help="Table for every single draw.")
]
EventsOut = Annotated[
    Path | None,
    typer.Option("--events-out", metavar="E", help="Table for the media changes, as other verbs read it."),
]
FitHere = Annotated[bool, typer.Option("--fit-here", help="Adapt the model to this very table first.")]
FitOut = Annotated[
    Path | None, typer.Option("--fit-out", metavar="DIR", help="With --fit-here: keep that model.")
]
Drug = Annotated[str | None, typer.Option("--drug", help="A drug of the training table.")]
Concentration = Annotated[
    float | None, typer.Option("--concentration", min=0, help="[uM]; 0 is the control.")
]
Replicates = Annotated[int, typer.Option("--replicates", min=1, max=4, help="Curves that belong together.")]
Hours = Annotated[
    float | None, typer.Option("--hours", help="Duration [h]; without it, the training table's.")
]
Unit = Annotated[str | None, typer.Option("--unit", help="Of oxygen; one of the training table's.")]
Changes = Annotated[
    str, typer.Option("--media-changes", metavar="H,H,...", help="Times [h]; all bring medium with the drug.")
]


def impute(
    *,
    words: common.Words,
    data: common.Data,
    events: common.Events = None,
    out: common.Out,
    draws: common.Draws = None,
    every: common.Every = None,
    draws_out: DrawsOut = None,
    unknown_drug: common.UnknownDrug = False,
    smiles: common.Smiles = None,
    fit_here: FitHere = False,
    fit_out: FitOut = None,
    config: cli.ConfigFile = None,
    seed: cli.Seed = None,
    device: cli.Device = "auto",
    resume: cli.Resume = False,
    force: cli.Force = False,
) -> None:
    """Fill every missing time of a table: mean and quantiles of joint draws, in the table's unit."""
    if not common.writable(out, draws_out, force=force, resume=resume):
        return
    from o2diffusion.tables import count as counted
    from o2diffusion.verbs.streams import keys_of, write_filled  # loads torch: not before what may be refused

    directory, keys = common.model_and_keys(words)
    if fit_out is not None:
        if not fit_here:
            msg = "--fit-out: keeps the model that --fit-here makes; give both or neither"
            raise ValueError(msg)
        cli.refuse_existing(fit_out, force=force, resume=resume)
    model = common.the_model(directory, device, None if fit_here else smiles)
    reads = (*common.LEARNING, *common.DRAWING) if fit_here else common.DRAWING
    chosen = models.plan(config, keys, seed=seed, device=device, start=model, reads=reads)
    if fit_here:
        goes_on = resume and fit_out is not None
        model = models.fit(
            data, events, chosen, fit_out, start=model, smiles=smiles, resume=goes_on, force=force
        ).to(device)
    count = chosen.sampling.draws if draws is None else draws
    filled = model.impute_iter(
        data, events, draws=count, every=every, seed=chosen.seed, unknown_drug=unknown_drug
    )
    rows = write_filled(common.speaking(filled, lambda: model.notes), keys_of(data), out, draws_out)
    if not rows:
        common.say(
            f"note: no oxygen is missing in this table: {out} is a header without rows "
            "(--every H predicts at added times)"
        )
    typer.echo(f"{out}: {counted(rows, 'time')} filled with {count} draws")


def generate(
    *,
    words: common.Words,
    drug: Drug = None,
    concentration: Concentration = None,
    replicates: Replicates = 4,
    media_changes: Changes = "",
    hours: Hours = None,
    unit: Unit = None,
    draws: common.Draws = None,
    out: common.Out,
    events_out: EventsOut = None,
    unknown_drug: common.UnknownDrug = False,
    smiles: common.Smiles = None,
    config: cli.ConfigFile = None,
    seed: cli.Seed = None,
    device: cli.Device = "auto",
    resume: cli.Resume = False,
    force: cli.Force = False,
) -> None:
    """Generate whole curves of a condition that was not run, as a long table: one series a draw."""
    from o2diffusion.config import Config
    from o2diffusion.tables import count as counted
    from o2diffusion.tables import write_table

    if not common.writable(out, events_out, force=force, resume=resume):
        return
    changes = _times(media_changes)
    directory, keys = common.model_and_keys(words)
    chosen = common.recipe(Config, config, keys, seed=seed, device=device)
    model = common.the_model(directory, device, smiles)
    if not model.facts.drugs and (drug is not None or concentration is not None):
        common.say("note: the model was trained without drugs: --drug and --concentration are unused")
        drug = concentration = None  # a file must not say what its curves do not know
    common.say_all(model.facts.note_unknown([(drug, concentration)]))
    count = chosen.sampling.draws if draws is None else draws
    table = model.generate(
        drug,
        concentration,
        replicates=replicates,
        media_changes=changes,
        hours=hours,
        draws=count,
        unit=unit,
        seed=chosen.seed,
        unknown_drug=unknown_drug,
    )
    write_table([_as_series(table, drug, concentration)], out)
    if events_out is not None:
        write_table([_as_events(changes)], events_out)
    each = f"{counted(replicates, 'replicate')}, {counted(table['time_h'].nunique(), 'time')} each"
    typer.echo(f"{out}: {counted(count, 'draw')} of {each}")


def _times(text: str) -> list[float]:
    """The times [h] of `48,120`."""
    try:
        return [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        msg = f"--media-changes: expected hours with commas between them, such as 48,120, got {text!r}"
        raise ValueError(msg) from None


def _as_series(table: pd.DataFrame, drug: str | None, concentration: float | None) -> pd.DataFrame:
    """Generated curves as a table that every verb reads: a series a draw."""
    name = " ".join([drug or "no drug", *([] if concentration is None else [f"{concentration:g} uM"])])
    table.insert(0, "series_id", [f"{name} draw {k}" for k in table["draw"]])
    table.insert(0, "experiment_id", "generated")
    table.insert(3, "drug", drug or "")
    table.insert(4, "concentration_um", float("nan") if concentration is None else concentration)
    return table


def _as_events(changes: list[float]) -> pd.DataFrame:
    """The media changes of generated curves."""
    import pandas as pd

    table = pd.DataFrame({"time_h": changes, "kind": "media_change", "drug_containing": True})
    table.insert(0, "experiment_id", "generated")
    return table
