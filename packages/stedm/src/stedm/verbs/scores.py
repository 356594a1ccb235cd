"""`evaluate`: a reconstruction against the truth, or the simple methods by one protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytosol import cli
from stedm.verbs import common

if TYPE_CHECKING:
    import pandas as pd

Maybe = Path | None


def evaluate(
    *,
    made: Annotated[Maybe, typer.Argument(metavar="[OUT.h5ad]", help="What `reconstruct` wrote.")] = None,
    truth: Annotated[Maybe, typer.Option("--truth", metavar="F.h5ad", help="Cells with coordinates.")] = None,
    baselines: Annotated[bool, typer.Option("--baselines", help="Score simple methods instead.")] = False,
    train: Annotated[
        Maybe, typer.Option("--train", metavar="F.h5ad", help="For --baselines: sections.")
    ] = None,
    data: Annotated[Maybe, typer.Option("--data", metavar="F.h5ad", help="For --baselines: cells.")] = None,
    json_file: Annotated[Path, typer.Option("--json", metavar="F.json", help="All scores.")],
    spatial_key: common.SpatialKey = "spatial",
    dim: common.Dim = 2,
    seed: cli.Seed = None,
    force: cli.Force = False,
) -> None:
    """Score places by section: neighbours, distances, Procrustes, scale, the random floor, the honesty of sd."""
    from cytosol.files import write_atomically
    from stedm.evaluation import report

    cli.refuse_existing(json_file, force=force)
    common.writable(json_file, ".json")
    if baselines:
        table = _baselines(_given("--train", train), _given("--data", data), spatial_key, dim, seed or 0)
    else:
        table = _scored(_given("OUT.h5ad", made), _given("--truth", truth), spatial_key, dim, seed or 0)
    rows = json.loads(str(table.to_json(orient="records", double_precision=12)))
    write_atomically(json_file, (json.dumps({"seed": seed or 0, "rows": rows}, indent=1) + "\n").encode())
    typer.echo(report(table))


def _given(name: str, file: Path | None) -> Path:
    if file is None:
        msg = f"{name}: expected a file (evaluate OUT.h5ad --truth F, or --baselines --train F --data F)"
        raise ValueError(msg)
    return file


def _scored(made: Path, truth: Path, spatial_key: str, dim: int, seed: int) -> pd.DataFrame:
    """A reconstruction against the truth."""
    from stedm import h5ad
    from stedm.evaluation import against_truth

    cells, tissue = common.cells_of(made, spatial_key="X_stedm", dim=dim)
    _, known = common.cells_of(truth, spatial_key=spatial_key, dim=dim)
    rows = h5ad.rows_by_section(cells, tissue)
    spread = cells.obs["stedm_sd"].to_numpy(float) if "stedm_sd" in cells.obs else None
    sd = [None if spread is None else spread[own] for own in rows]
    return against_truth(tissue, known, sd, seed=seed)


def _baselines(train: Path, data: Path, spatial_key: str, dim: int, seed: int) -> pd.DataFrame:
    """The simple methods, trained and scored."""
    from stedm.evaluation import of_baselines
    from stedm.tissue import check_teaches, shared_genes

    _, reference = common.cells_of(train, spatial_key=spatial_key, dim=dim)
    _, query = common.cells_of(data, spatial_key=spatial_key, dim=dim)
    reference, query, note = shared_genes(check_teaches(reference, dim), query)
    common.say(f"note: {note}")
    return of_baselines(reference, query, seed=seed)
