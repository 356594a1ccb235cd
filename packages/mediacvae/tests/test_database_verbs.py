"""The verbs of the database from end to end: files, exit codes, what is said."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

from cytosol.cli import run
from mediacvae import db
from mediacvae.cli import app


def sh(*words):
    return run(app, [str(word) for word in words])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tables = tmp_path / "tables"
    (tables / "genomes").mkdir(parents=True)
    for n in range(3):
        (tables / "genomes" / f"g{n}.fna").write_text(f">a\n{'ACGT' * 50}{'GATTACA' * (n + 1)}\n")
    rows = "".join(f"g{n}\tbacteria\tBacillus subtilis\n" for n in range(3))
    (tables / "genomes.tsv").write_text("genome_id\torganism_type\tspecies\n" + rows)
    pd.DataFrame({"medium_id": ["m1", "m2"], "name": ["A", "B"]}).to_parquet(tables / "media.parquet")
    pd.DataFrame(
        {
            "medium_id": ["m1", "m2"],
            "ingredient": ["NaCl", "peptone"],
            "g_per_l": [5.0, 10.0],
            "flag": ["", "stock_x0.01"],
        }
    ).to_parquet(tables / "media_ingredients.parquet")
    return tables


def test_the_words_one_after_the_other(folder, capsys):
    assert sh("db", "init") == 0
    assert sh("db", "init") == 0
    assert "there already" in capsys.readouterr().out
    assert sh("db", "import", folder) == 0
    assert "media_ingredients: 2 new, 0 changed" in capsys.readouterr().out
    assert sh("db", "add-genomes", folder / "genomes", "--table", folder / "genomes.tsv") == 0
    (folder / "g.csv").write_text("genome_id,medium_id,growth\ng0,m1,true\ng1,m1,false\n")
    assert sh("db", "add-growth", folder / "g.csv") == 0
    assert sh("embed", "--method", "kmer4", "--workers", 1) == 0
    assert "kmer4: 3 genomes computed" in capsys.readouterr().out
    assert sh("embed", "--method", "kmer4", "--workers", 1) == 0
    assert "kmer4: 0 genomes computed" in capsys.readouterr().out
    assert sh("db", "info") == 0
    said = capsys.readouterr().out
    assert "genomes: 3, 3 with a sequence" in said
    assert "bacteria: 3 (3 with a sequence), grew 1, did not 1" in said
    assert "amounts guessed by the source: 1, not known: 0" in said
    assert sh("db", "info", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"]["genome_embeddings"] == 3
    assert found["embeddings"] == {"kmer4": {"genomes": 3, "dimension": 256}}
    assert sh("db", "upgrade") == 0
    assert (folder.parent / "mediacvae.db").is_file()


def test_refused_genomes_are_said_and_counted(folder, capsys):
    (folder / "genomes" / "bad.fna").write_text(">a\n")
    words = ["db", "add-genomes", folder / "genomes", "--organism", "bacteria"]
    assert sh(*words) == 2
    said = capsys.readouterr().err
    assert "refused: " in said
    assert "bad.fna" in said
    assert "1 of 4 genomes were refused, 3 are stored" in said
    assert sh(*words, "--skip-bad") == 0


def test_recipes_of_ones_own_come_in(folder, capsys):
    file = folder / "own.csv"
    file.write_text("medium_id,name,ingredient,amount,unit\nx1,Mine,NaCl,5,g/L\nx1,Mine,NaCl,5,g/L\n")
    assert sh("db", "import", file) == 0
    said = capsys.readouterr()
    assert "note: own.csv: row 3: medium 'x1' names 'NaCl' again: summed to 10 g/L" in said.err
    assert db.read().amounts["g_per_l"].tolist() == [10.0]


def test_the_direction_of_an_answer_changes_on_purpose_only(folder):
    assert sh("db", "import", folder) == 0
    assert sh("db", "add-genomes", folder / "genomes", "--organism", "bacteria") == 0
    for growth, words, code in (("true", [], 0), ("false", [], 2), ("false", ["--replace"], 0)):
        (folder / "g.csv").write_text(f"genome_id,medium_id,growth,source\ng0,m1,{growth},me\n")
        assert sh("db", "add-growth", folder / "g.csv", *words) == code
    assert db.read().growth["growth"].tolist() == [False]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["db", "info"], "there is no database: `mediacvae db init`"),
        (["db", "upgrade"], "there is no database"),
        (["db", "import", "nowhere"], "nowhere: expected a folder or a file"),
        (["db", "import", "."], "expected one or more of media.parquet"),
        (["db", "add-growth", "no.csv"], "no.csv"),
        (["db", "add-growth", "no.xlsx"], "expected a file ending in .csv or .tsv"),
        (["db", "add-genomes", "nowhere"], "nowhere: expected a folder"),
        (["db", "init", "--db", "mysql://a:b@c/d"], "expected sqlite:///FILE or postgresql"),
        (["embed"], "there is no database"),
        (["embed", "--method", "kmer7"], "embedding method: expected one of"),
        (["db", "nothing"], "No such command"),
        (["db"], "Usage: mediacvae db"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert sh(*words) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert words == ["db"] or told.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_verbs_work_on_both_kinds(folder, url):
    assert sh("db", "import", folder, "--db", url) == 0
    assert sh("db", "add-genomes", folder / "genomes", "--organism", "archea", "--db", url) == 0
    assert sh("embed", "--method", "stats", "--workers", 1, "--db", url) == 0
    assert db.info(url)["types"]["archaea"]["with_sequence"] == 3


def test_help_of_every_verb_is_light():
    code = """
import sys
from cytosol.cli import run
from mediacvae.cli import app
for words in (["--help"], ["db", "--help"], ["embed", "--help"], ["db", "import", "--help"]):
    assert run(app, words) == 0
print("loaded", *({"torch", "pandas", "sqlalchemy", "alembic", "numpy"} & set(sys.modules)))
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines()[-1] == "loaded"
