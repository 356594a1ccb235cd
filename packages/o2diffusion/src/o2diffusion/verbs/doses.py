"""`dose-response`: a Hill curve for each drug, from a summary of the filled curves with all its uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cytosol import cli  # noqa: TC001 - typer reads annotations at run time
from o2diffusion.verbs import common

if TYPE_CHECKING:
    import pandas as pd

    from o2diffusion.summaries import Kind, Summaries

Summary = Annotated[
    Literal["area", "final-level", "consumption-rate"],
    typer.Option("--summary", help="What of a curve: its mean over time, its last day, its slope."),
]
Window = Annotated[
    str | None,
    typer.Option(
        "--window", metavar="H,H", help="Only these hours; without it, all (rates: between events)."
    ),
]
Blanks = Annotated[
    list[str],
    typer.Option("--blank", metavar="NAME", help="Series or drug to subtract from rates; may be repeated."),
]
SummariesOut = Annotated[
    Path | None,
    typer.Option("--summaries-out", metavar="G", help="Table for the summary of every replicate."),
]
Plot = Annotated[Path | None, typer.Option("--plot", metavar="P", help="Picture of the fits.")]


def dose_response(
    *,
    words: common.Words,
    data: common.Data,
    events: common.Events = None,
    out: common.Out,
    summary: Summary = "area",
    window: Window = None,
    blanks: Blanks = [],  # noqa: B006 - typer reads it, nobody changes it
    every: common.Every = None,
    summaries_out: SummariesOut = None,
    plot: Plot = None,
    draws: common.Draws = None,
    unknown_drug: common.UnknownDrug = False,
    smiles: common.Smiles = None,
    config: cli.ConfigFile = None,
    seed: cli.Seed = None,
    device: cli.Device = "auto",
    resume: cli.Resume = False,
    force: cli.Force = False,
) -> None:
    """Fill a table, summarise every curve, fit a Hill curve a drug: EC50 [uM] with a 90 % credible interval."""
    from o2diffusion.config import Config
    from o2diffusion.dose import dose_response as fit
    from o2diffusion.summaries import summarise
    from o2diffusion.tables import write_table

    if not common.writable(out, summaries_out, figure=plot, force=force, resume=resume):
        return
    span = hours_of(window)
    directory, keys = common.model_and_keys(words)
    chosen = common.recipe(Config, config, keys, seed=seed, device=device)
    model = common.the_model(directory, device, smiles)
    count = chosen.sampling.draws if draws is None else draws
    filled = model.impute_iter(
        data, events, draws=count, every=every, seed=chosen.seed, unknown_drug=unknown_drug
    )
    kind: Kind = summary.replace("-", "_")  # pyright: ignore[reportAssignmentType]
    found = summarise(
        common.speaking(filled, lambda: model.notes), kind, window=span, blanks=blanks, seed=chosen.seed
    )
    common.say_all(found.notes)
    if summaries_out is not None:
        write_table([found.table()], summaries_out)
    table = fit(found, seed=chosen.seed)
    write_table([table], out)
    if plot is not None:
        _draw(found, plot, seed=chosen.seed)
    typer.echo("\n".join([*_lines(table), f"{out}: {len(table)} fits"]))


def _draw(found: Summaries, file: Path, *, seed: int) -> None:
    """The Hill curves of the first window."""
    from cytosol.figures import save
    from o2diffusion.dose import fit_doses
    from o2diffusion.plots import plot_doses

    _, part = found.windows()[0]
    row = part.keys.iloc[0]
    save(plot_doses(fit_doses(part, seed=seed), summary=row["summary"], unit=row["unit"]), file)


def hours_of(text: str | None) -> tuple[float, float] | None:
    """The start and end [h] of `24,96`; ValueError for anything else."""
    if text is None:
        return None
    try:
        start, end = (float(word) for word in text.split(","))
    except ValueError:
        msg = f"--window: expected two times [h] such as 24,96, got {text!r}"
        raise ValueError(msg) from None
    return start, end


def _lines(table: pd.DataFrame) -> list[str]:
    """A line a fit: EC50 with its interval, and what to know about it."""
    lines = []
    for row in table.to_dict("records"):
        name = f"{row['experiment_id']}  {row['drug']}" + (
            f"  window {row['window']}" if row["window"] else ""
        )
        if row["relation"] != "=":  # outside the tested doses there is a bound, not a value
            lines.append(f"{name}: {row['note']}")
            continue
        note = f"; {row['note']}" if row["note"] else ""
        lines.append(
            f"{name}: EC50 {row['ec50_um']:.3g} uM ({row['q05']:.3g} to {row['q95']:.3g}), "
            f"Hill {row['hill']:.2g}, {row['bottom']:.3g} to {row['top']:.3g} {row['unit'] or ''}{note}"
        )
    return lines
