"""Verbs that end in a picture: `plot` and `demo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cytosol import cli, demos
from virtualcell.names import CONDITION_KEYS, CONTROL, EMBEDDING
from virtualcell.verbs import common

if TYPE_CHECKING:
    from matplotlib.figure import Figure


DEMO = Path("runs/demo/virtualcell")
MOST = 5000  # cells of a map
What = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...", help="Scores (.json; of several in one picture), predicted or embedded cells."
    ),
]
Picture = Annotated[Path, typer.Option("--out", metavar="FIG", help="Picture: .png, .svg, .pdf.")]


def plot(
    *,
    context: typer.Context,
    files: What,
    truth: common.Truth = None,
    control: common.Control = None,
    color: Annotated[
        list[str],
        typer.Option("--color", metavar="KEY", help="Of an embedding: a column of obs; may be repeated."),
    ] = [],  # noqa: B006 - typer reads it, nobody changes it
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="Embedding in obsm.")] = EMBEDDING,
    kind: Annotated[
        Literal["tsne", "pca"], typer.Option("--map", help="How an embedding becomes flat.")
    ] = "tsne",
    condition_key: common.ConditionKey = None,
    context_key: common.ContextKey = "cell_type",
    control_word: common.ControlWord = CONTROL,
    out: Picture,
    seed: cli.Seed = None,
    force: cli.Force = False,
) -> None:
    """Draw scores by method (F.json), predicted against true changes (--truth), or a map of embedded cells."""
    from cytosol.figures import SUFFIXES, save

    cli.refuse_existing(out, force=force)
    common.writable(out, *SUFFIXES)
    file = files[0]
    scores = [one.suffix == ".json" for one in files]
    if len(files) > 1 and not all(scores):
        msg = f"{', '.join(map(str, files))}: expected one file, or several of scores (.json)"
        raise ValueError(msg)
    if scores[0]:
        given = {"--truth": truth, "--control": control, "--color": color}
        common.unused(given | {"--condition-key": condition_key, "--seed": seed}, "scores")
        common.untold(context, ("key", "kind", "context_key", "control_word"), "scores")
        figure = _scores(files)
    elif truth is not None:
        common.unused({"--color": color, "--seed": seed}, "predicted cells")
        common.untold(context, ("key", "kind"), "predicted cells")
        cells = [file, truth] + ([] if control is None else [control])
        figure = _changes(file.stem, common.compared(cells, condition_key, context_key, control_word))
    else:
        common.unused({"--control": control}, "an embedding")
        common.untold(context, ("control_word",), "an embedding")
        wanted = color or [context_key, *(CONDITION_KEYS if condition_key is None else [condition_key])]
        figure = _map(file, key, wanted, kind, 0 if seed is None else seed, told=bool(color))
    typer.echo(str(save(figure, out)))


def _scores(files: list[Path]) -> Figure:
    """Of what `evaluate` wrote; what is in several files is drawn once."""
    import pandas as pd

    from virtualcell.plots import plot_methods

    index = ["dataset", "task", "method"]
    tables = []
    for file in files:
        try:
            tables.append(
                pd.DataFrame(json.loads(file.read_text(encoding="utf-8"))["rows"])[
                    [*index, "metric", "value"]
                ]
            )
        except (KeyError, TypeError, ValueError) as fault:
            what = "expected scores as `virtualcell evaluate` writes them"
            msg = f"{file}: {what} ({type(fault).__name__}: {fault})"
            raise ValueError(msg) from None
    rows = pd.concat(tables).drop_duplicates([*index, "metric"])
    table = rows.pivot_table(index=index, columns="metric", values="value", sort=False).reset_index()
    name = ", ".join(file.stem for file in files)
    return plot_methods(table, title=f"{name}: methods beside the truth")


def _changes(name: str, cells: common.Compared) -> Figure:
    """Predicted against true changes, of the first populations where there are many."""
    from virtualcell.comparison import predicted_means
    from virtualcell.plots import PANELS, plot_deltas

    found, genes, notes = predicted_means(*cells)
    common.say_all(notes)
    if len(found) > PANELS:
        common.say(f"note: {len(found)} populations are predicted, the first {PANELS} are drawn")
    return plot_deltas(found[:PANELS], genes, title=f"{name}: predicted against true change")


def _map(file: Path, key: str, colors: list[str], kind: str, seed: int, *, told: bool) -> Figure:
    """An embedding on a plane, at most `MOST` cells of it."""
    import numpy as np

    from virtualcell.plots import plot_embedding, project

    source = common.cells_of(file)
    about = source.about
    if not about.obsm:
        msg = f"{file}: expected embedded cells (`embed`), there is nothing in obsm; predicted ones need --truth"
        raise ValueError(msg)
    points = about.array(key)
    rows = np.arange(len(points))
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:MOST])
        common.say(f"note: {MOST} of {len(points)} cells are drawn")
    wanted = colors if told else [name for name in colors if about.has(name)]
    if not wanted:
        msg = (
            f"{file}: expected --color KEY, a column of obs, such as {', '.join(map(str, about.obs.columns))}"
        )
        raise ValueError(msg)
    labels = {}
    for name in wanted:
        numbers = about.has(name) and about.obs[name].dtype.kind in "fiu"
        labels[name] = (about.numbers(name) if numbers else about.labels(name))[rows]
    return plot_embedding(project(points[rows], kind=kind, seed=seed), labels, title=f"{file.stem}: {key}")


def demo(
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write.")] = DEMO,
    force: cli.Force = False,
) -> None:
    """Simulate cells, hide the perturbed ones of a type, predict them, embed all without labels, explain the model."""
    if out != DEMO:  # the usual place may be used again
        cli.refuse_existing(out, force=force)
    typer.echo(demos.run("virtualcell", out).text())
