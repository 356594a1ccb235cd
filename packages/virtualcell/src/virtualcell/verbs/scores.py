"""`evaluate`: predicted cells against real ones, or the simple methods by one protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytosol import cli
from virtualcell.names import CONTROL
from virtualcell.verbs import common

if TYPE_CHECKING:
    import pandas as pd

Maybe = Path | None
File = Annotated[Path, typer.Option("--json", metavar="F.json", help="All scores.")]


def evaluate(
    *,
    predicted: Annotated[Maybe, typer.Option("--pred", metavar=common.CELLS, help="Predicted cells.")] = None,
    truth: common.Truth = None,
    control: common.Control = None,
    baselines: Annotated[bool, typer.Option("--baselines", help="Score simple methods instead.")] = False,
    data: Annotated[Maybe, typer.Option("--data", metavar=common.CELLS, help="For --baselines.")] = None,
    hold_out: Annotated[
        str | None,
        typer.Option(
            "--hold-out",
            metavar="KEY=VALUE",
            help="For --baselines: the condition key hides a perturbation, another column a context's perturbed "
            "cells; VALUE each: all in turn.",
        ),
    ] = None,
    condition_key: common.ConditionKey = None,
    context_key: common.ContextKey = "cell_type",
    control_word: common.ControlWord = CONTROL,
    json_file: File,
    seed: cli.Seed = None,
    force: cli.Force = False,
) -> None:
    """Score predictions: Pearson of deltas, MSE, overlap of genes, and as populations of cells."""
    from cytosol.files import write_atomically
    from virtualcell.comparison import compare
    from virtualcell.evaluation import report, tidy

    cli.refuse_existing(json_file, force=force)
    common.writable(json_file, ".json")
    chosen = 0 if seed is None else seed
    words = condition_key, context_key, control_word
    if baselines:
        common.unused({"--pred": predicted, "--truth": truth, "--control": control}, "--baselines")
        files = [_given("--data", data)]
        table = _baselines(files[0], _given("--hold-out", hold_out), *words)
    else:
        common.unused({"--data": data, "--hold-out": hold_out}, "--pred")
        files = [_given("--pred", predicted), _given("--truth", truth)]
        files += [] if control is None else [control]
        table, notes = compare(*common.compared(files, *words), seed=chosen)
        common.say_all(notes)
    rows = json.loads(str(tidy(table, chosen).to_json(orient="records", double_precision=12)))
    found = {"meta": common.meta(files, chosen), "rows": rows}
    write_atomically(json_file, (json.dumps(found, indent=1) + "\n").encode())
    typer.echo(report(table))


def _baselines(
    data: Path, hold_out: str, condition_key: str | None, context_key: str, control: str
) -> pd.DataFrame:
    """The simple methods, on what is hidden from them."""
    from virtualcell.evaluation import of_baselines
    from virtualcell.folds import hide_context, hide_perturbation
    from virtualcell.populations import read_populations

    key, mark, value = hold_out.partition("=")
    if not (key and mark and value):
        msg = f"--hold-out: expected KEY=VALUE, such as {context_key}=each, got {hold_out!r}"
        raise ValueError(msg)
    source = common.cells_of(data)
    condition = common.condition_key(source, condition_key)
    context = context_key if key == condition else key
    if key == condition and not source.about.has(context):
        common.say(f"note: {data.name}: no column {context!r}: all cells are of one context")
        context = None
    whole = read_populations(source, perturbation_key=condition, context_key=context, control=control)
    hide = hide_perturbation if key == condition else hide_context
    return of_baselines(whole, hide(whole, value))


def _given(name: str, value: Path | str | None) -> Any:
    if value is None:
        msg = f"{name}: expected (evaluate --pred P --truth T [--control C], or --baselines --data F --hold-out K=V)"
        raise ValueError(msg)
    return value
