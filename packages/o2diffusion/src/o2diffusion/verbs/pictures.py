"""Verbs that end in a picture: `plot` and `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cytosol import cli, demos
from o2diffusion.verbs import common

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from o2diffusion.conditions import Condition
    from o2diffusion.oxygen_model import OxygenModel

Kind = Annotated[
    Literal["curves", "profiles", "calibration", "generated"],
    typer.Option(
        "--kind",
        help="Curves with bands, media-change responses, honesty of bands, generated beside measured.",
    ),
]
FilledFile = Annotated[
    Path | None,
    typer.Option("--filled", metavar="F", help="For curves: what `impute` wrote, or its --draws-out."),
]
ProfileFile = Annotated[
    Path | None, typer.Option("--profiles", metavar="F", help="For profiles: what `profile` wrote.")
]
Generated = Annotated[
    Path | None, typer.Option("--generated", metavar="F", help="For generated: what `generate` wrote.")
]
GeneratedEvents = Annotated[
    Path | None, typer.Option("--generated-events", metavar="E", help="For generated: its --events-out.")
]
Names = Annotated[
    list[str], typer.Option("--series", metavar="NAME", help="Only this series or drug; may be repeated.")
]
Tasks = Annotated[
    str | None, typer.Option("--tasks", help="For calibration: ways to hide cells; without it, a,b.")
]
USES = {  # of what not every kind of picture needs
    "curves": ("--data", "--events", "--filled"),
    "profiles": ("--profiles",),
    "calibration": ("a model", "--data", "--events", "--tasks", "--unknown-drug"),
    "generated": ("--data", "--events", "--generated", "--generated-events"),
}
TASKS = "a,b"
DEMO = Path("runs/demo/o2diffusion")


def plot(
    *,
    words: common.Words,
    kind: Kind = "curves",
    data: common.MaybeData = None,
    events: common.Events = None,
    filled: FilledFile = None,
    profiles: ProfileFile = None,
    generated: Generated = None,
    generated_events: GeneratedEvents = None,
    tasks: Tasks = None,
    names: Names = [],  # noqa: B006 - typer reads it, nobody changes it
    out: Annotated[Path, typer.Option("--out", metavar="P", help="Picture (.png, .svg, .pdf).")],
    unknown_drug: common.UnknownDrug = False,
    seed: cli.Seed = None,
    device: cli.Device = "auto",
    force: cli.Force = False,
) -> None:
    """Draw curves with bands, profiles by drug and concentration, calibration, or generated beside measured curves."""
    from cytosol.figures import save

    common.picture(out, force=force)
    directory, keys = common.model_and_keys(words)
    given = {"a model": directory, "--data": data, "--events": events, "--filled": filled}
    given |= {"--profiles": profiles, "--generated": generated, "--generated-events": generated_events}
    _refuse_unused(kind, given | {"--tasks": tasks, "--unknown-drug": unknown_drug, "config keys": keys})
    if kind == "profiles":
        figure = _profiles(_needed(kind, "--profiles", profiles), names)
    else:
        conditions = _chosen(common.conditions_of(_needed(kind, "--data", data), events, seed or 0), names)
        if kind == "calibration":
            model = common.the_model(directory, device)
            asked = TASKS if tasks is None else tasks
            figure = _calibration(model, conditions, asked, seed=seed or 0, unknown=unknown_drug)
        elif kind == "generated":
            from o2diffusion.check_plots import plot_generated

            made = common.conditions_of(_needed(kind, "--generated", generated), generated_events, 0)
            notes: list[str] = []
            figure = plot_generated(conditions, made, notes=notes)
            common.say_all(notes)
        else:
            figure = _curves(conditions, filled)
    save(figure, out)
    typer.echo(str(out))


def _refuse_unused(kind: str, given: dict[str, object]) -> None:
    """Refuse what this kind of picture does not read."""
    unused = [name for name, value in given.items() if value and name not in USES[kind]]
    if unused:
        msg = f"--kind {kind}: does not use {', '.join(unused)}; leave that out, or choose another --kind"
        raise ValueError(msg)


def _needed(kind: str, option: str, file: Path | None) -> Path:
    """The file of an option that this kind of picture cannot do without."""
    if file is None:
        msg = f"--kind {kind}: needs {option}"
        raise ValueError(msg)
    return file


def _curves(conditions: list[Condition], filled: Path | None) -> Figure:
    """Curves as measured, with what was filled if there is such a table."""
    from o2diffusion.plots import plot_curves
    from o2diffusion.verbs.refill import as_filled

    if filled is None:
        return plot_curves(conditions, title="Oxygen curves")
    return plot_curves(as_filled(conditions, filled))


def _profiles(file: Path, names: list[str]) -> Figure:
    """Media-change responses; of a table with both, what was measured is drawn."""
    from o2diffusion.plots import plot_profiles
    from o2diffusion.verbs.refill import read_table

    table = read_table(file, ["drug", "concentration_um", "spike_height", "half_decay_h"])
    if "of" in table.columns and set(table["of"]) == {"table", "model"}:
        common.say("note: both the table's and the model's profiles are there: the table's are drawn")
        table = table.loc[table["of"] == "table"]
    return plot_profiles(table, drugs=names or None)


def _calibration(
    model: OxygenModel, conditions: list[Condition], tasks: str, *, seed: int, unknown: bool
) -> Figure:
    """Hide cells as `evaluate` does, and see where the truth falls among the draws."""
    from functools import partial

    import numpy as np

    from o2diffusion.check_plots import plot_calibration
    from o2diffusion.evaluation import DRAWS, cases, model_predictions
    from o2diffusion.tables import count
    from o2diffusion.verbs.scores import tasks_of

    wanted = tasks_of(tasks)
    common.say_all(model.facts.note_unknown((c.drug, c.concentration_um) for c in conditions))
    who = partial(model.facts.who, unknown=unknown)
    draws, truth = [], []
    for task in wanted:
        found = list(cases(conditions, task, seed=seed, cells=model.config.model.cells, who=who))
        for case, own in zip(found, model_predictions(model.net, found, draws=DRAWS, seed=seed), strict=True):
            draws.append(own.draws)
            truth.append(case.item.target[case.item.active])
    if not truth:
        msg = f"--tasks: no condition has a meaning for {tasks}"
        raise ValueError(msg)
    title = f"Are the bands honest? Tasks {', '.join(wanted)}, {count(len(conditions), 'condition')}"
    return plot_calibration(np.concatenate(draws, axis=1), np.concatenate(truth), title=title)


def _chosen(conditions: list[Condition], names: list[str]) -> list[Condition]:
    """The conditions of these series or drugs; all without names."""
    from o2diffusion.tables import nearest

    known = {name for c in conditions for name in (c.series_id, c.drug) if name}
    for name in names:
        if name not in known:
            msg = f"--series: expected a series_id or drug of the table, got {name!r}{nearest(name, known)}"
            raise ValueError(msg)
    return [c for c in conditions if not names or c.series_id in names or c.drug in names]


def demo(
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write.")] = DEMO,
    force: cli.Force = False,
) -> None:
    """Simulate a plate, hide parts of it, fill them, compare with simple methods: one picture."""
    if out != DEMO:  # the usual place may be used again
        cli.refuse_existing(out, force=force)
    common.the_model(None, "cpu")
    typer.echo(demos.run("o2diffusion", out).text())
