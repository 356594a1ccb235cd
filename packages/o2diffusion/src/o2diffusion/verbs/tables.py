"""Verbs about tables: `simulate` makes them, `prepare` converts them, `describe` says what they hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cytosol import cli
from o2diffusion.verbs import common

if TYPE_CHECKING:
    from o2diffusion.simulation import Simulation


def simulate(
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Directory for the tables.")],
    table_format: Annotated[
        Literal["csv", "parquet"], typer.Option("--format", help="Of the tables.")
    ] = "csv",
    config: cli.ConfigFile = None,
    seed: cli.Seed = None,
    resume: cli.Resume = False,
    force: cli.Force = False,
    overrides: cli.Overrides,
) -> None:
    """Simulate plates or closed chambers (simulation.protocol=...): data, events, and the truth behind them.

    Writes data, events, truth (the condition's curve without noise), responses (true parameters) and config.yaml.
    """
    from cytosol.config import save
    from o2diffusion.config import Config
    from o2diffusion.simulation import simulate as run
    from o2diffusion.tables import write_table

    cli.refuse_existing(out, force=force, resume=resume)
    chosen = common.recipe(Config, config, overrides, seed=seed, reads=common.SIMULATING)
    if resume and (out / common.RECIPE).exists():
        common.say(f"{out} is there and complete: nothing to do (--force makes it anew)")
        return
    made = run(chosen.simulation, seed=chosen.seed)
    out.mkdir(parents=True, exist_ok=True)
    for name, frame in (
        ("data", made.table),
        ("events", made.events),
        ("truth", made.truth),
        ("responses", made.responses),
    ):
        write_table([frame], out / f"{name}.{table_format}")
    save(chosen, out / common.RECIPE)
    typer.echo(_made(made, out, table_format))


def _made(made: Simulation, out: Path, suffix: str) -> str:
    """What a simulation holds, in one line."""
    import numpy as np

    from o2diffusion.tables import count

    table = made.table
    empty = int(np.isnan(table["oxygen"].to_numpy(float)).sum())
    return (
        f"{out / f'data.{suffix}'}: {count(table['experiment_id'].nunique(), 'experiment')}, "
        f"{table['series_id'].nunique()} series, {count(len(table), 'row')}, {empty} of them without oxygen; "
        f"{count(len(made.events), 'event')}"
    )


def prepare(
    *,
    data: Annotated[Path, typer.Option("--data", metavar="EXPORT", help="Plate reader's text export.")],
    plate_map: Annotated[
        Path,
        typer.Option("--plate-map", metavar="MAP", help="CSV: well, drug, concentration, replicate, ..."),
    ],
    out: common.Out,
    layout: Annotated[
        Literal["wide", "long"],
        typer.Option("--layout", help="Wells as columns, or columns well, time, oxygen."),
    ] = "wide",
    time_column: Annotated[
        str | None, typer.Option("--time-column", help="Without it, the first that says so.")
    ] = None,
    time_unit: Annotated[str, typer.Option("--time-unit", help="s, min, h or d; dates need none.")] = "h",
    oxygen_unit: Annotated[str | None, typer.Option("--oxygen-unit", help="%air, mg/L, mmHg, ...")] = None,
    conc_unit: Annotated[
        str, typer.Option("--conc-unit", help="Of bare numbers in the map: M to pM.")
    ] = "uM",
    experiment_id: Annotated[
        str | None, typer.Option("--experiment-id", help="Without it, the file's name.")
    ] = None,
    force: cli.Force = False,
) -> None:
    """Turn a wide plate export and a plate map into a long table."""
    import numpy as np

    from o2diffusion.prepare import prepare as convert
    from o2diffusion.tables import count, write_table

    common.writable(out, force=force)
    table, notes = convert(
        data,
        plate_map,
        time_column=time_column,
        time_unit=time_unit,
        oxygen_unit=oxygen_unit,
        conc_unit=conc_unit,
        fmt=layout,
        experiment_id=experiment_id,
    )
    common.say_all(notes)
    write_table([table], out)
    empty = int(np.isnan(table["oxygen"].to_numpy(float)).sum())
    wells = table.drop_duplicates(["series_id", "replicate"])
    typer.echo(
        f"{out}: {wells['series_id'].nunique()} series, {count(len(wells), 'well')}, {count(len(table), 'row')}, "
        f"{empty} of them without oxygen"
    )


def describe(
    *,
    data: common.Data,
    events: common.Events = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="F", help="The same as JSON.")] = None,
    force: cli.Force = False,
) -> None:
    """What a table holds, before any training: replicates, gaps, sampling, events, units, doses, odd curves."""
    from cytosol.files import write_atomically
    from o2diffusion.conditions import iter_conditions
    from o2diffusion.describe import render, summarise

    if json_file is not None:
        cli.refuse_existing(json_file, force=force)
        common.folder_of(json_file)
    notes: list[str] = []
    facts = summarise(iter_conditions(data, events, notes=notes, max_replicates=None), notes)
    typer.echo(render(facts))
    if json_file is not None:
        write_atomically(json_file, (json.dumps(facts, indent=2) + "\n").encode())
