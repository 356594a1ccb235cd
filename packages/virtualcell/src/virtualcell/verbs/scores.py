"""`evaluate`: predicted cells against real ones, or the simple methods by one protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytosol import cli
from virtualcell.verbs import common

if TYPE_CHECKING:
    import pandas as pd

    from virtualcell.comparison import Keys

Maybe = Path | None
File = Annotated[Path, typer.Option("--json", metavar="F.json", help="All scores.")]


def evaluate(
    *,
    predicted: Annotated[Maybe, typer.Option("--pred", metavar=common.CELLS, help="Predicted cells.")] = None,
    truth: Annotated[Maybe, typer.Option("--truth", metavar=common.CELLS, help="Real cells.")] = None,
    control: Annotated[
        Maybe, typer.Option("--control", metavar=common.CELLS, help="Control cells; else those of --truth.")
    ] = None,
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
    condition_key: common.ConditionKey = "condition",
    context_key: common.ContextKey = "cell_type",
    control_word: Annotated[
        str, typer.Option("--control-word", metavar="WORD", help="Control cells in the condition key.")
    ] = "control",
    json_file: File,
    seed: cli.Seed = None,
    force: cli.Force = False,
) -> None:
    """Score predictions: Pearson of deltas, MSE, overlap of genes, and as populations of cells."""
    from cytosol.files import write_atomically
    from virtualcell.comparison import Keys
    from virtualcell.evaluation import report, tidy

    cli.refuse_existing(json_file, force=force)
    common.writable(json_file, ".json")
    chosen = 0 if seed is None else seed
    keys = Keys(condition_key, context_key, control_word)
    if baselines:
        _absent("--baselines", {"--pred": predicted, "--truth": truth, "--control": control})
        files = [_given("--data", data)]
        table = _baselines(files[0], _given("--hold-out", hold_out), keys)
    else:
        _absent("--pred", {"--data": data, "--hold-out": hold_out})
        files = [_given("--pred", predicted), _given("--truth", truth)]
        table = _compared(files[0], files[1], control, keys, chosen)
        files += [] if control is None else [control]
    rows = json.loads(str(tidy(table, chosen).to_json(orient="records", double_precision=12)))
    found = {"meta": common.meta(files, chosen), "rows": rows}
    write_atomically(json_file, (json.dumps(found, indent=1) + "\n").encode())
    typer.echo(report(table))


def _baselines(data: Path, hold_out: str, keys: Keys) -> pd.DataFrame:
    """The simple methods, on what is hidden from them."""
    from virtualcell.evaluation import of_baselines
    from virtualcell.folds import hide_context, hide_perturbation
    from virtualcell.populations import read_populations

    key, mark, value = hold_out.partition("=")
    if not (key and mark and value):
        msg = f"--hold-out: expected KEY=VALUE, such as {keys.context}=each, got {hold_out!r}"
        raise ValueError(msg)
    source = common.cells_of(data)
    context = keys.context if key == keys.condition else key
    if key == keys.condition and not source.about.has(context):
        common.say(f"note: {data.name}: no column {context!r}: all cells are of one context")
        context = None
    whole = read_populations(
        source, perturbation_key=keys.condition, context_key=context, control=keys.control
    )
    hide = hide_perturbation if key == keys.condition else hide_context
    return of_baselines(whole, hide(whole, value))


def _compared(predicted: Path, truth: Path, control: Maybe, keys: Keys, seed: int) -> pd.DataFrame:
    """A prediction against the truth."""
    from virtualcell.comparison import compare

    files = [common.cells_of(file) for file in (predicted, truth)]
    still = None if control is None else common.cells_of(control)
    table, notes = compare(files[0], files[1], still, keys, seed=seed)
    common.say_all(notes)
    return table


def _given(name: str, value: Path | str | None) -> Any:
    if value is None:
        msg = f"{name}: expected (evaluate --pred P --truth T [--control C], or --baselines --data F --hold-out K=V)"
        raise ValueError(msg)
    return value


def _absent(with_: str, words: dict[str, object]) -> None:
    """Refuse words that the other way of scoring takes: nothing is given and ignored."""
    for name, value in words.items():
        if value is not None:
            msg = f"{name}: is not used with {with_}"
            raise ValueError(msg)
