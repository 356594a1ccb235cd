"""`explain`: what the parts of a trained model say of cells, or why a perturbation is predicted so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytosol import cli
from virtualcell.verbs import common

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.figure import Figure

PICTURE = "explained.png"


def explain(
    *,
    directory: common.Model,
    data: common.Data,
    out: common.Folder,
    perturbation: Annotated[
        str | None,
        typer.Option(
            "--perturbation", metavar="P", help="Of a model that predicts perturbations: what is done."
        ),
    ] = None,
    dose: Annotated[float | None, typer.Option("--dose", min=0, metavar="D", help="As in training.")] = None,
    context: Annotated[
        str | None, typer.Option("--context", metavar="C", help="Cell type, line, replicate of the cells.")
    ] = None,
    cells: Annotated[
        int | None,
        typer.Option("--cells", min=1, help="Cells that are looked at, drawn at random (embedding); 256."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="KEY", help="Column of obs: means within its labels too (embedding)."),
    ] = None,
    layer: common.Layer = None,
    seed: cli.Seed = None,
    device: cli.Device = "auto",
    force: cli.Force = False,
) -> None:
    """What parts say of embedded cells, or why a perturbation is predicted so: CSV files and a picture."""
    from cytosol.manifest import read_manifest
    from virtualcell.response_files import KIND

    cli.refuse_existing(out, force=force)
    asked = {"--perturbation": perturbation, "--dose": dose, "--context": context}
    drawn = {"--cells": cells, "--by": by, "--seed": seed, "--device": None if device == "auto" else device}
    if read_manifest(directory)["kind"] == KIND:
        _refuse(drawn, f"{directory} predicts perturbations", "models that embed cells")
        _response(directory, data, out, perturbation, dose=dose, context=context, layer=layer)
        return
    _refuse(asked, f"{directory} embeds cells", "models of train --task perturbation")
    _embedding(directory, data, out, cells=cells, by=by, layer=layer, seed=seed or 0, device=device)


def _refuse(given: Mapping[str, object], what: str, whose: str) -> None:
    """Refuse options that the model does not read."""
    for option, value in given.items():
        if value is not None:
            msg = f"{option} belongs to {whose}: {what}"
            raise ValueError(msg)


def _embedding(
    directory: Path, data: Path, out: Path, *, cells: int | None, by: str | None, layer: str | None,
    seed: int, device: str,
) -> None:  # fmt: skip
    """Of a model that embeds: what its parts say of cells."""
    from cytosol.device import pick_device
    from virtualcell.explain import CELLS
    from virtualcell.explain import explain as tell
    from virtualcell.explain_plots import plot_explained
    from virtualcell.saving import load_embedding

    model = load_embedding(directory).to(pick_device(device))
    source = common.cells_of(data, layer=layer)
    tables = tell(model, source, cells=CELLS if cells is None else cells, by=by, seed=seed)
    _write(tables, out)
    title = f"{model.config.model}: what its parts say of {data.stem}"
    _draw(plot_explained(tables, title=title), out)


def _response(
    directory: Path, data: Path, out: Path, perturbation: str | None, *, dose: float | None,
    context: str | None, layer: str | None,
) -> None:  # fmt: skip
    """Of a model that predicts perturbations: why it says so of one."""
    from virtualcell.explain_response import explain_response
    from virtualcell.explain_response_plots import plot_response
    from virtualcell.faults import few, refuse
    from virtualcell.response_files import load_responder

    responder = load_responder(directory)
    if perturbation is None:
        seen = few(responder.model.seen.populations.perturbation_names)
        refuse(f"{directory} predicts perturbations: --perturbation says which to explain; seen are {seen}")
    source = common.cells_of(data, layer=layer)
    told = explain_response(responder, source, perturbation, dose=dose, context=context)
    common.say_all(told.notes)
    _write(told.tables, out)
    of = f" in {context}" if context else ""
    _draw(plot_response(told.tables, title=f"Why {told.perturbation}{of} is predicted so"), out)


def _write(tables: Mapping[str, pd.DataFrame], out: Path) -> None:
    """Each table as CSV, and a line that says what is in it."""
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(out / f"{name}.csv")
        typer.echo(f"{out / name}.csv: {len(table)} rows of {', '.join(map(str, table.columns[:6]))}")


def _draw(figure: Figure, out: Path) -> None:
    from cytosol.figures import save

    typer.echo(str(save(figure, out / PICTURE)))
