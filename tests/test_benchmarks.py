"""Every claim has a script, a table, a picture and a line; tables are read as they are written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks.__main__ import main, words
from benchmarks.charts import CHARTS, draw, picked
from benchmarks.registry import BENCHMARKS, called
from benchmarks.tables import number, spread, tables

FOLDER = Path(__file__).parents[1] / "benchmarks"
NAMES = [one.name for one in BENCHMARKS]


def test_every_script_and_every_table_is_listed() -> None:
    scripts = {path.stem for path in FOLDER.glob("*_*.py") if not path.stem.startswith("__")}
    assert scripts == set(NAMES)
    assert {path.stem for path in FOLDER.glob("*_*.md")} == set(NAMES)
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}.py`" not in readme] == []
    assert [name for name in NAMES if f"pictures/{name}.png" not in readme] == []


def test_every_table_has_a_picture() -> None:
    assert sorted(chart.table for chart in CHARTS) == sorted(NAMES)
    assert [name for name in NAMES if not (FOLDER / "pictures" / f"{name}.png").exists()] == []


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.table)
def test_the_rows_of_a_chart_are_in_its_table(chart) -> None:
    table = picked(chart, FOLDER)
    columns = (
        [c for c in table.columns if c not in {*chart.label, chart.panel}] if chart.wide else chart.values
    )
    assert columns
    for column in columns:
        assert any(number(row[column]) == number(row[column]) for row in table.rows)  # a number, not NaN
    assert not chart.names or len(chart.names) == len(table.rows)


def test_a_table_is_read_and_drawn(tmp_path: Path) -> None:
    text = "# T\n\nfirst\n\n| method | x | x |\n|---|---|---|\n| a | 1,200 ± 3 | 9 |\n| **b** | `0.5` +- 0.1 | 8 |\n"
    (tmp_path / "stedm_peers.md").write_text(text, encoding="utf-8")
    (table,) = tables(tmp_path / "stedm_peers.md")
    assert (table.above, table.columns) == ("first", ("method", "x", "x"))
    assert [row["method"] for row in table.rows] == ["a", "b"]
    assert [number(row["x"]) for row in table.rows] == [1200, 0.5]
    assert [spread(row["x"]) for row in table.rows] == [3, 0.1]
    chart = next(chart for chart in CHARTS if chart.table == "stedm_peers")
    with pytest.raises(ValueError, match="expected a table with jaccard10"):
        picked(chart, tmp_path)
    picture = draw(type(chart)("stedm_peers", "t", ("x",)), tmp_path)
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_what_is_missing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert all(name in capsys.readouterr().out for name in ["stedm_peers"])
    assert main(["run", "virtualcell_knockouts"]) == 1
    assert "needs --data" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["run", "stedm_seals"])
    assert "no such benchmark" in capsys.readouterr().err


def test_words_of_a_script_have_their_paths() -> None:
    (one,) = called(["stedm_peers"])
    alone = words(one, Path("d"), None, Path("k"))
    assert alone == [sys.executable, str(FOLDER / "stedm_peers.py"), "--data", "d/stedm"]
    assert words(one, Path("d"), Path("p"), Path("k"))[-4:] == ["--novosparc", "p", "--celery", "p"]
    (one,) = called(["virtualcell_cells"])
    assert words(one, None, None, Path("k")) == "needs --peers"
    assert words(one, None, Path("p"), Path("k"))[0] == "p"
    assert {one.library for one in called(["stedm"])} == {"stedm"}
