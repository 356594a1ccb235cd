"""`evaluate`: the model beside what people do today, as a table to read and as JSON."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytosol import cli
from o2diffusion.verbs import common

if TYPE_CHECKING:
    import pandas as pd

TITLES = {
    "a": "a: one cell in five hidden",
    "b": "b: 15 % of the time hidden in all replicates",
    "b1": "b1: 15 % of the time hidden in one replicate",
    "c": "c: one whole replicate hidden",
}
COLUMNS = {
    "mae": "MAE",
    "rmse": "RMSE",
    "crps": "CRPS",
    "coverage50": "50%",
    "coverage90": "90%",
    "area_coverage90": "area90%",
    "mae_near": "MAE near",
    "crps_near": "CRPS near",
    "mae_far": "MAE far",
    "crps_far": "CRPS far",
}
NAMES = {
    "linear": "linear",
    "pchip": "PCHIP",
    "replicate_mean": "replicate mean",
    "event_template": "event template",
    "gp_per_trace": "GP per trace",
    "gp_shared": "shared GP",
    "gp_shared_template": "shared GP + template",
}


def evaluate(
    *,
    words: common.Words,
    data: common.Data,
    events: common.Events = None,
    tasks: Annotated[
        str, typer.Option("--tasks", help="Ways to hide cells, with commas between them.")
    ] = "a,b,b1,c",
    json_file: Annotated[Path, typer.Option("--json", metavar="F", help="All scores, by source too.")],
    draws: common.Draws = None,
    unknown_drug: common.UnknownDrug = False,
    config: cli.ConfigFile = None,
    seed: cli.Seed = None,
    device: cli.Device = "auto",
    resume: cli.Resume = False,
    force: cli.Force = False,
) -> None:
    """Hide cells of a table and score the model beside seven simple methods on them."""
    from cytosol.files import write_atomically
    from o2diffusion.config import Config

    wanted = tasks_of(tasks)
    cli.refuse_existing(json_file, force=force, resume=resume)
    common.folder_of(json_file)
    if resume and json_file.exists():
        common.say(f"{json_file} is there and complete: nothing to do (--force makes it anew)")
        return
    directory, keys = common.model_and_keys(words)
    chosen = common.recipe(Config, config, keys, seed=seed, device=device)
    count = chosen.sampling.draws if draws is None else draws
    table = _score(
        directory,
        data,
        events,
        wanted,
        seed=chosen.seed,
        draws=count,
        device=device,
        unknown=unknown_drug,
    )
    meta = _meta(data, events, directory, seed=chosen.seed, draws=count)
    rows = json.loads(str(table.to_json(orient="records", double_precision=12)))
    write_atomically(json_file, (json.dumps({"meta": meta, "rows": rows}, indent=1) + "\n").encode())
    typer.echo(report(table))


def _score(
    directory: Path | None,
    data: Path,
    events: Path | None,
    tasks: list[str],
    *,
    seed: int,
    draws: int,
    device: str,
    unknown: bool,
) -> pd.DataFrame:
    """The scores of every task; which one is at work is said."""
    import pandas as pd

    from o2diffusion.evaluation import evaluate as run
    from o2diffusion.tables import count

    model = common.the_model(directory, device)
    conditions = common.conditions_of(data, events, seed)
    met = model.facts.met(conditions)
    if met:
        common.say(
            f"{len(met)} series were seen in training, their scores are not held out: {', '.join(met[:5])}"
        )
    if not model.facts.drugs and any(c.drug for c in conditions):
        common.say(
            "note: the model was trained without drugs: the table's drugs and concentrations are unused"
        )
    who = partial(model.facts.who, unknown=unknown)
    for condition in conditions:
        who(condition)  # an unknown drug is refused before any work
    common.say_all(model.facts.note_unknown((c.drug, c.concentration_um) for c in conditions))
    parts = []
    for number, task in enumerate(tasks, 1):
        common.say(f"task {task} ({number} of {len(tasks)}), {count(len(conditions), 'condition')}")
        parts.append(
            run(model.net, conditions, dataset=data.stem, tasks=[task], seed=seed, draws=draws, who=who)
        )
    return pd.concat(parts, ignore_index=True)


def tasks_of(text: str) -> list[str]:
    """The tasks of `a,b`; ValueError for other words, and for none."""
    words = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    wrong = [word for word in words if word not in TITLES]
    if wrong or not words:
        msg = f"--tasks: expected some of {', '.join(TITLES)}, got {text!r}"
        raise ValueError(msg)
    return words


def _meta(
    data: Path, events: Path | None, directory: Path | None, *, seed: int, draws: int
) -> dict[str, Any]:
    """What was compared, for whoever reads the numbers later."""
    import hashlib

    from o2diffusion import __version__

    files = {str(file.name): hashlib.sha256(file.read_bytes()).hexdigest() for file in (data, events) if file}
    model = "default" if directory is None else directory.name
    return {
        "package": "o2diffusion",
        "version": __version__,
        "model": model,
        "files": files,
        "seed": seed,
        "draws": draws,
    }


def report(table: pd.DataFrame) -> str:
    """The scores over all conditions as text: a block a task, a row a method, the model beside the best of them."""
    import pandas as pd

    from o2diffusion.evaluation import against_best
    from o2diffusion.tables import count

    whole = table[table["source"] == "all"]
    blocks = []
    for task, part in whole.groupby("task", sort=False):
        wide = part.pivot_table(index="method", columns="metric", values="value", sort=False)
        shown = [c for c in COLUMNS if c in wide.columns]
        lines = [
            f"{TITLES[str(task)]} ({count(part['n'].max(), 'condition')})",
            _line("", [COLUMNS[c] for c in shown]),
        ]
        for method in wide.index:
            cells = [_number(wide.loc[method, c]) for c in shown]
            lines.append(_line(NAMES.get(str(method), str(method)), cells))
        ratios = []
        for metric in ("mae", "crps"):
            best = against_best(pd.DataFrame(part), metric).iloc[0]
            rival = NAMES.get(best["best_method"], best["best_method"])
            ratios.append(f"{COLUMNS[metric]} {best['ratio']:.2f} x {rival}")
        blocks.append("\n".join([*lines, f"  o2diffusion / best simple method: {', '.join(ratios)}"]))
    legend = (
        "Errors in standard deviations of what stays visible; 50%, 90%: share of truths inside that band, area90%: of "
        "areas under what is hidden.\nNear: within 12 h after a media change. A point method's CRPS is its MAE."
    )
    return "\n\n".join([*blocks, legend])


def _line(name: str, cells: list[str]) -> str:
    return f"  {name:<21}" + "".join(f"{cell:>10}" for cell in cells)


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"
