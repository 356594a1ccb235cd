"""The verb `explain`, as a user types it."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from cytosol.cli import run
from mediacvae.cli import app


def test_reasons_are_written_and_said(tiny, tmp_path, capsys):
    genome = sorted((tiny / "world" / "genomes").glob("*.fna.gz"))[0]
    out, told = tmp_path / "why.csv", tmp_path / "why.json"
    words = ["explain", tiny / "m", "--genome", genome, "--regions", "--top", 3, "--out", out, "--json", told]
    assert run(app, [str(word) for word in words]) == 0
    said = capsys.readouterr()
    assert "nearest media:" in said.out
    assert "not given" in said.err  # no lineage, no name
    table = pd.read_csv(out)
    assert {"ingredient", "feature", "block", "attribution"} <= set(table.columns)
    assert table["attribution"].notna().all()
    assert table.groupby("ingredient").size().max() <= 3
    assert json.loads(told.read_text())["regions"]


@pytest.mark.parametrize(
    ("words", "what"),
    [(["--regions", "--id", "x"], "--genome"), (["--ingredient", "Unobtainium"], "Unobtainium")],
)
def test_what_cannot_be_explained_is_refused_in_a_line(tiny, tmp_path, capsys, words, what):
    genome = sorted((tiny / "world" / "genomes").glob("*.fna.gz"))[0]
    given = [] if "--id" in words else ["--genome", str(genome)]
    assert run(app, ["explain", str(tiny / "m"), *given, *words, "--out", str(tmp_path / "w.csv")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if what in line]
    assert line.startswith("mediacvae")
