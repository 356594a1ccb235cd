"""The verbs `evaluate` and `plot`, as a user types them."""

import json

import pytest

from cytosol.cli import run
from mediacvae.cli import app


def sh(*words):
    return run(app, [str(word) for word in words])


def test_scores_are_written_and_said(tiny, tmp_path, capsys):
    out = tmp_path / "scores.json"
    assert sh("evaluate", tiny / "m", "--dataset", tiny / "d", "--json", out) == 0
    said = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found["split"] == "test"
    assert found["recipes"][0]["method"] == "mediacvae"
    assert {row["known"] for row in found["growth"]} == {0, 1, 2, 3}
    assert all(row["method"] in said for row in found["recipes"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--json {t}/scores.txt", "expected a file ending in .json"),
        ("--json {t}/no/scores.json", "expected a folder to write into"),
        ("--split train", "--split: expected test or val, got 'train'"),
    ],
)
def test_what_cannot_be_evaluated_is_told_before_any_work(tmp_path, capsys, words, said):
    given = words.replace("{t}", str(tmp_path)).split()
    assert sh("evaluate", tmp_path / "none", "--dataset", tmp_path / "none", *given) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "rank,medium_id,name,probability\n1,M:1,one,0.5\n2,M:2,two,0.1\n",
        "recipe,ingredient,g_per_l\n1,NaCl,5\n1,Biotin,1e-5\n2,NaCl,30\n",
    ],
)
def test_a_table_becomes_a_picture(tmp_path, text):
    table, out = tmp_path / "table.csv", tmp_path / "picture.png"
    table.write_text(text)
    assert sh("plot", table, "--out", out) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_the_latent_of_a_model_becomes_a_picture(tiny, tmp_path):
    out = tmp_path / "latent.png"
    assert sh("plot", tiny / "m", "--dataset", tiny / "d", "--out", out) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a table of `rank` or `generate`"),
        ("recipe,ingredient,g_per_l\n", "expected at least one row below the heading"),
        ("rank,medium_id,name,probability\n", "expected at least one row below the heading"),
        ("a,b\n1,2\n", "expected the columns of `rank` or `generate`, got a, b"),
    ],
)
def test_a_table_that_is_none_is_told(tmp_path, capsys, text, said):
    table = tmp_path / "table.csv"
    table.write_text(text)
    assert sh("plot", table, "--out", tmp_path / "picture.png") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "table.csv: " in line
    assert said in line
    assert not (tmp_path / "picture.png").exists()
