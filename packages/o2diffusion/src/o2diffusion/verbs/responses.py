"""`profile`: the response to media changes by drug and concentration, measured on a table or believed by a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cytosol import cli  # noqa: TC001 - typer reads annotations at run time
from o2diffusion.verbs import common

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from o2diffusion.oxygen_model import OxygenModel

Drugs = Annotated[
    list[str],
    typer.Option("--drug", help="Ask the model for this drug; may be repeated. Without it: all it knows."),
]
Kinds = Annotated[
    list[str],
    typer.Option("--event-kind", help="Events to measure in --data, may be repeated [media_change]."),
]
Doses = Annotated[
    list[float], typer.Option("--concentration", help="At this concentration [uM]; may be repeated.")
]


def profile(
    *,
    words: common.Words,
    data: common.MaybeData = None,
    events: common.Events = None,
    out: common.Out,
    drugs: Drugs = [],  # noqa: B006 - typer reads it, nobody changes it
    concentrations: Doses = [],  # noqa: B006
    draws: common.Draws = None,
    unknown_drug: common.UnknownDrug = False,
    smiles: common.Smiles = None,
    event_kinds: Kinds = [],  # noqa: B006
    config: cli.ConfigFile = None,
    seed: cli.Seed = None,
    device: cli.Device = "auto",
    resume: cli.Resume = False,
    force: cli.Force = False,
) -> None:
    """The response to media changes: with --data as measured there, with DIR (or no --data) as the model has it."""
    import pandas as pd

    from o2diffusion.config import Config
    from o2diffusion.tables import count, write_table

    if not common.writable(out, force=force, resume=resume):
        return
    if events is not None and data is None:
        msg = "--events: belongs to a table; give --data too"
        raise ValueError(msg)
    directory, keys = common.model_and_keys(words)
    asks_model = data is None or directory is not None or bool(drugs or concentrations)
    for option, given in (("--smiles", smiles is not None), ("--unknown-drug", unknown_drug)):
        if given and not asks_model:
            msg = f"{option}: is about what a model has learned; name its directory or a --drug too"
            raise ValueError(msg)
    chosen = common.recipe(Config, config, keys, seed=seed, device=device)
    parts = []
    if data is not None:
        drawn = chosen.sampling.draws if draws is None else draws
        kinds = event_kinds or ["media_change"]
        parts.append(_measured(data, events, kinds=kinds, draws=drawn, seed=chosen.seed))
    elif event_kinds:
        msg = "--event-kind: chooses among a table's events; give --data and --events too"
        raise ValueError(msg)
    if asks_model:
        model = common.the_model(directory, device, smiles)
        parts.append(_believed(model, drugs, concentrations, unknown=unknown_drug))
    table = pd.concat(parts, ignore_index=True)
    write_table([table], out)
    typer.echo("\n".join([*_lines(table), f"{out}: {count(len(table), 'profile')}"]))


def _measured(data: Path, events: Path | None, *, kinds: list[str], draws: int, seed: int) -> pd.DataFrame:
    """The responses to a table's own events."""
    from o2diffusion.events import KINDS
    from o2diffusion.profiles import profile as measure
    from o2diffusion.tables import count

    strange = [kind for kind in kinds if kind not in KINDS]
    if strange:
        msg = f"--event-kind: expected one of {', '.join(KINDS)}, got {strange[0]!r}"
        raise ValueError(msg)
    found = measure(common.conditions_of(data, events, seed), kinds=kinds, draws=draws, seed=seed)
    found.insert(0, "of", "table")
    said = found.loc[found["note"] != "", "note"].str.split("; ").explode()
    for note, times in said.value_counts(sort=False).items():
        common.say(f"note: {times} of {count(len(found), 'profile')}: {note}")
    return found


def _believed(
    model: OxygenModel, drugs: list[str], concentrations: list[float], *, unknown: bool
) -> pd.DataFrame:
    """The responses that a model has learned."""
    from o2diffusion.profiles import model_profiles

    if (drugs or concentrations) and not model.facts.drugs:
        common.say("note: the model was trained without drugs: --drug and --concentration are unused")
        drugs, concentrations = [], []  # a file must not say what its curves do not know
    found = model_profiles(model, drugs or None, concentrations or None, unknown_drug=unknown)
    common.say_all(model.facts.note_unknown((drug, None) for drug in drugs))
    found.insert(0, "of", "model")
    return found


def _lines(table: pd.DataFrame) -> list[str]:
    """The two numbers that are seen by eye, as text."""
    lines = [f"{'':<7}{'drug':<24}{'uM':>10}  {'spike':>22}  {'half-decay [h]':>24}"]
    for row in table.to_dict("records"):
        drug = row["drug"] if isinstance(row["drug"], str) else "(no drug)"
        dose = "" if row["concentration_um"] != row["concentration_um"] else f"{row['concentration_um']:g}"
        spike, decay = (_interval(row, name) for name in ("spike_height", "half_decay_h"))
        lines.append(f"{row['of']:<7}{drug:<24}{dose:>10}  {spike:>22}  {decay:>24}")
    return lines


def _interval(row: dict[str, float], name: str) -> str:
    """A value with its limits where it has them."""
    value, low, high = row[name], row.get(f"{name}_q05"), row.get(f"{name}_q95")
    if value != value:
        return "-"
    known = low is not None and high is not None and low == low and high == high
    return f"{value:.3g}" + (f" ({low:.3g} to {high:.3g})" if known else "")
