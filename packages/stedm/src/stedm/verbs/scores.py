"""`evaluate`: a reconstruction against the truth, or the simple methods by one protocol."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytosol import cli
from stedm.names import HOW, MADE
from stedm.verbs import common

if TYPE_CHECKING:
    import pandas as pd

Maybe = Path | None


def evaluate(
    *,
    made: Annotated[Maybe, typer.Argument(metavar="[OUT.h5ad]", help="What `reconstruct` wrote.")] = None,
    truth: Annotated[
        Maybe, typer.Option("--truth", metavar=common.CELLS, help="Cells with coordinates.")
    ] = None,
    baselines: Annotated[bool, typer.Option("--baselines", help="Score simple methods instead.")] = False,
    train: Annotated[
        Maybe, typer.Option("--train", metavar=common.CELLS, help="For --baselines: sections.")
    ] = None,
    data: Annotated[
        Maybe, typer.Option("--data", metavar=common.CELLS, help="For --baselines: cells.")
    ] = None,
    json_file: Annotated[Path, typer.Option("--json", metavar="F.json", help="All scores.")],
    spatial_key: common.SpatialKey = "spatial",
    dim: common.Dim = 2,
    seed: cli.Seed = None,
    force: cli.Force = False,
) -> None:
    """Score places by section: neighbours, distances, Procrustes, scale, the random floor, the honesty of sd."""
    from cytosol.files import write_atomically
    from stedm.evaluation import report, tidy

    cli.refuse_existing(json_file, force=force)
    common.writable(json_file, ".json")
    chosen = 0 if seed is None else seed
    if baselines:
        files = [_given("--train", train), _given("--data", data)]
        table = _baselines(*files, spatial_key, dim, chosen)
    else:
        files = [_given("OUT.h5ad", made), _given("--truth", truth)]
        table = _scored(*files, spatial_key, dim, chosen)
    rows = json.loads(str(tidy(table, chosen).to_json(orient="records", double_precision=12)))
    found = {"meta": _meta(files, chosen), "rows": rows}
    write_atomically(json_file, (json.dumps(found, indent=1) + "\n").encode())
    typer.echo(report(table))


def _meta(files: list[Path], seed: int) -> dict[str, object]:
    """What was compared, for whoever reads the numbers later."""
    from stedm import __version__

    seen = {file.name: _sha256(file) for file in files}
    return {"package": "stedm", "version": __version__, "files": seen, "seed": seed}


def _sha256(file: Path) -> str:
    """Of a file, or of what is read of a SpatialData store."""
    if file.is_dir():
        from stedm.spatial import fingerprint

        return fingerprint(file)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _given(name: str, file: Path | None) -> Path:
    if file is None:
        msg = f"{name}: expected a file (evaluate OUT.h5ad --truth F, or --baselines --train F --data F)"
        raise ValueError(msg)
    return file


def _scored(made: Path, truth: Path, spatial_key: str, dim: int, seed: int) -> pd.DataFrame:
    """A reconstruction against the truth."""
    from stedm import h5ad
    from stedm.evaluation import against_truth

    cells, tissue = common.cells_of(made, spatial_key=MADE, dim=dim)
    _, known = common.cells_of(truth, spatial_key=spatial_key, dim=dim)
    taught = str(cells.uns.get(HOW, {}).get("training_sections", "")).split(", ")
    if both := [label for label in tissue.labels if label in taught]:
        common.say(
            f"note: the model learned from sections named {', '.join(both)}: of how good it is, others tell"
        )
    rows = h5ad.rows_by_section(cells, tissue)
    spread = h5ad.expected_error(cells, made.name)
    sd = [None if spread is None else spread[own] for own in rows]
    return against_truth(tissue, known, sd, seed=seed)


def _baselines(train: Path, data: Path, spatial_key: str, dim: int, seed: int) -> pd.DataFrame:
    """The simple methods, trained and scored."""
    from stedm.evaluation import of_baselines
    from stedm.tissue import shared_genes

    _, reference = common.cells_of(train, spatial_key=spatial_key, dim=dim)
    _, query = common.cells_of(data, spatial_key=spatial_key, dim=dim)
    reference, query, note = shared_genes(common.teaching(reference, dim), query)
    common.say(f"note: {note}")
    return of_baselines(reference, query, seed=seed)
