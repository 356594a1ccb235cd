"""Using a model as a user types it: ranks, odds, recipes, cards."""

import csv
import io
import sqlite3
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from cytosol.cli import run
from mediacvae import asking, constraints, dataset, saving
from mediacvae.cli import app
from mediacvae.ingredients import is_complex


def copied(source, target):
    """A database with what its write-ahead log still holds."""
    with sqlite3.connect(source) as old, sqlite3.connect(target) as new:
        old.backup(new)
    old.close()
    new.close()


def sh(*words):
    return run(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def genome(tiny):
    """A genome of the test split."""
    organisms = dataset.read(tiny / "d").organisms
    own = organisms[(organisms["split"] == "test") & (organisms["genome"] == "own")]
    return tiny / "world" / "genomes" / f"{own['genome_id'].iloc[0]}.fna.gz"


@pytest.fixture(scope="module")
def model(tiny):
    return saving.load(tiny / "m")


@pytest.fixture
def tried(model):
    return model.growth.media


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_rank_writes_what_it_says(tiny, genome, tmp_path, capsys, model):
    out = tmp_path / "r.csv"
    assert sh("rank", tiny / "m", "--genome", genome, "--top", 7, "--out", out) == 0
    said = capsys.readouterr()
    first, second = said.err.splitlines()
    assert first == "note: lineage, names not given: less certain"
    assert "the genomes most like it " in second
    assert str(out) in said.out
    found = pd.read_csv(out)
    assert list(found.columns) == ["rank", "medium_id", "name", "probability"]
    assert found["rank"].tolist() == list(range(1, 8))
    assert found["probability"].between(0, 1).all()
    assert found["probability"].is_monotonic_decreasing
    names = dict(zip(model.library["medium_id"], model.library["name"], strict=True))
    assert [names[medium] for medium in found["medium_id"]] == found["name"].tolist()
    assert sh("rank", tiny / "m", "--genome", genome, "--out", out) == 2
    assert "exists already" in capsys.readouterr().err
    assert sh("rank", tiny / "m", "--genome", genome, "--top", 7) == 0
    assert capsys.readouterr().out == out.read_text()


def test_all_that_is_asked_for_is_given(tiny, genome, capsys):
    row = (
        pd.read_csv(tiny / "world" / "genomes.tsv", sep="\t").set_index("genome_id").loc[asking.id_of(genome)]
    )
    words = ["--genome", genome, "--name", row["species"], "--lineage", row["lineage"]]
    assert sh("rank", tiny / "m", *words, "--organism", row["organism_type"]) == 0
    by_file = capsys.readouterr()
    assert by_file.err == ""
    assert sh("rank", tiny / "m", "--id", asking.id_of(genome), "--db", f"sqlite:///{tiny}/w.db") == 0
    by_id = capsys.readouterr()
    assert by_id.err == ""
    assert by_id.out == by_file.out


def test_a_lineage_alone_will_do_and_one_nobody_knows_is_said(tiny, capsys):
    assert sh("rank", tiny / "m", "--organism", "archea", "--top", 3) == 0
    assert len(table(capsys.readouterr().out)) == 3
    assert sh("rank", tiny / "m", "--lineage", "Klingon;Bactera") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the model knows none of 'Klingon;Bactera'; did you mean 'Bacteria'?" in line
    assert sh("rank", tiny / "m", "--lineage", "Bacteria;Targ;Archae") == 0
    line = "note: --lineage: the model does not know, and leaves out: Targ, Archae (did you mean Archaea?)"
    assert line in capsys.readouterr().err.splitlines()


def test_odds_say_what_they_rest_on(tiny, model, tried, capsys):
    count = f"{len(model.growth.grew)} results of {len(model.growth.who.ids)} organisms, the nearest "
    assert sh("predict-growth", tiny / "m", "--organism", "bacteria", "--medium", tried[0]) == 0
    assert count in capsys.readouterr().err


def test_generate_writes_recipes_of_known_ingredients(tiny, genome, tmp_path, capsys, model):
    out = tmp_path / "g.csv"
    words = ["generate", tiny / "m", "--genome", genome, "-n", 4, "--seed", 1]
    assert sh(*words, "--out", out, "--card", tmp_path / "c.html") == 0
    card = (tmp_path / "c.html").read_text()
    assert "<dt>Lineage</dt><dd>" in card
    assert "guess" in card.lower().partition("<dt>lineage</dt><dd>")[2].partition("</dd>")[0]
    assert f"<dt>Odds of growth rest on</dt><dd>{len(model.growth.grew)} results of " in card
    said = capsys.readouterr().out
    found = pd.read_csv(out)
    assert list(found.columns) == ["recipe", "ingredient", "g_per_l"]
    assert sorted(set(found["recipe"])) == [1, 2, 3, 4]
    spelt = set(pd.read_parquet(tiny / "world" / "media_ingredients.parquet")["ingredient"])
    assert set(found["ingredient"]) <= spelt
    assert (found["g_per_l"] > 0).all()
    assert not found.duplicated(["recipe", "ingredient"]).any()
    x = np.zeros((4, len(model.ingredients)))
    for row in found.itertuples():
        x[row.recipe - 1, model.ingredients.index(row.ingredient)] = row.g_per_l
    assert model.plausible.valid(x).all()
    assert said.count("odds of growth 0.") == 4
    assert sh(*words) == 0
    assert capsys.readouterr().out == out.read_text()


class Text(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.articles, self.words = 0, []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.articles += tag == "article"

    def handle_data(self, data):
        self.words.append(data)


def test_cards_tell_what_is_known(tiny, genome, tmp_path, capsys):
    file = tmp_path / "c.html"
    words = ["--genome", genome, "--name", "Ignotus <b>primus", "-n", 2, "--card", file, "--ph", 7]
    assert sh("generate", tiny / "m", *words) == 0
    page = Text(file.read_text(encoding="utf-8"))
    assert page.articles == 2
    said = " ".join(page.words)
    for word in ("Recipe 1 for Ignotus <b>primus", "Recipe 2", "Odds of growth", "Nearest known media", "SIM:", "pH",
                 "Relatives learned from", "of the media expected for such an organism", "GC"):  # fmt: skip
        assert word in said, word
    assert "nan" not in said
    assert sh("generate", tiny / "m", *words) == 2
    assert "exists already" in capsys.readouterr().err


def test_constraints_are_obeyed(tiny, genome, capsys, model):
    words = ["generate", tiny / "m", "--genome", genome, "-n", 3, "--any"]
    other = next(name for name in model.ingredients if is_complex(name))
    assert sh(*words, "--exclude", other, "--require", "nacl=2.5", "--cap", "Glucose=0.25") == 0
    made = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert other not in set(made["ingredient"])
    assert made.loc[made["ingredient"] == "NaCl", "g_per_l"].tolist() == [2.5] * 3
    assert (made.loc[made["ingredient"] == "Glucose", "g_per_l"] <= 0.25).all()
    assert sh(*words, "--defined", "--require", "NaCl") == 0
    made = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert not any(map(is_complex, made["ingredient"]))
    assert (made["ingredient"] == "NaCl").sum() == 3
    assert sh(*words, "--ph", 5) == 0
    made = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert not made["ingredient"].str.contains("CO3").any()


def test_recipes_without_a_buffer_are_said(tiny, genome, capsys, model):
    names = [
        n for n, b in zip(model.ingredients, constraints.buffers(model.ingredients, 7.0), strict=True) if b
    ]
    words = [word for name in names for word in ("--exclude", name)]
    assert sh("generate", tiny / "m", "--genome", genome, "-n", 1, "--any", "--ph", 7, *words) == 0
    assert "nothing in recipe 1 buffers at pH 7" in capsys.readouterr().err


def test_a_medium_for_several_is_that_of_their_mean(tiny, genome, capsys, model):
    others = sorted((tiny / "world" / "genomes").glob("*.fna.gz"))[:2]
    assert sh("generate", tiny / "m", "--genome", others[0], "--genome", others[1], "-n", 1, "--any") == 0
    said = capsys.readouterr()
    made = pd.read_csv(io.StringIO(said.out))
    rows = np.concatenate([model.condition(asking.of_file(file, model.conditioner)) for file in others])
    mean = asking.mean(rows)
    np.testing.assert_array_equal(np.isnan(mean), np.isnan(rows).all(axis=0, keepdims=True))
    expected = model.generate(mean, 1, plausible=False)
    at = np.flatnonzero(expected[0])
    assert set(made["ingredient"]) == {model.ingredients[j] for j in at}
    assert sh("generate", tiny / "m", "--genome", others[0], "--genome", others[1], "--name", "A b") == 2
    assert "--name: expected one organism" in capsys.readouterr().err


def test_odds_change_with_what_is_known(tiny, genome, tmp_path, capsys, tried):
    def odds(*words):
        assert sh("predict-growth", tiny / "m", "--genome", genome, "--medium", tried[0], *words) == 0
        (row,) = table(capsys.readouterr().out)
        assert row["medium_id"] == tried[0]
        return float(row["probability"])

    found = {}
    for result in ("yes", "0"):
        known = tmp_path / f"{result}.csv"
        known.write_text("medium_id,growth\n" + "".join(f'"{name}",{result}\n' for name in tried[1:6]))
        found[result] = odds("--known", known)
    assert found["0"] < odds() < found["yes"]
    out = tmp_path / "p.csv"
    assert sh("predict-growth", tiny / "m", "--genome", genome, "--medium", tried[0], "--medium", tried[1],
              "--out", out) == 0  # fmt: skip
    assert capsys.readouterr().out == out.read_text()
    assert list(pd.read_csv(out).columns) == ["medium_id", "name", "probability"]


def test_media_that_only_results_name_have_names(tiny, genome, tmp_path, capsys, monkeypatch, model, tried):
    about = {**model.facts["dataset"], "tried": {tried[0]: "A MEDIUM OF A SURVEY"}}
    own = model.library["medium_id"] != tried[0]
    library = model.library[own].reset_index(drop=True)
    without = replace(model, facts={**model.facts, "dataset": about}, library=library, media=model.media[own])
    monkeypatch.setattr(saving, "load", lambda _: without)
    assert sh("predict-growth", tiny / "m", "--genome", genome, "--medium", tried[0]) == 0
    (row,) = table(capsys.readouterr().out)
    assert row["name"] == "A MEDIUM OF A SURVEY"


def test_what_is_known_is_not_suggested(tiny, genome, tmp_path, capsys, tried):
    out = tmp_path / "s.csv"
    words = ["suggest-experiments", tiny / "m", "--genome", genome]
    assert sh(*words, "--top", 4, "--out", out) == 0
    first = pd.read_csv(out)
    assert list(first.columns) == ["rank", "medium_id", "name", "probability", "information"]
    assert first["information"].is_monotonic_decreasing
    assert (first["information"] >= 0).all()
    filled = first.assign(growth=["true", "no", "1", "FALSE"])  # what a user does with the file
    filled.to_csv(tmp_path / "k.csv", index=False)
    capsys.readouterr()
    assert sh(*words, "--known", tmp_path / "k.csv", "--top", 1000) == 0
    second = table(capsys.readouterr().out)
    assert {row["medium_id"] for row in second} == set(tried) - set(first["medium_id"])


def test_between_two_organisms(tiny, genome, tmp_path, capsys, model):
    other = str(model.organisms["genome_id"].iloc[0])
    out = tmp_path / "i.csv"
    assert sh("interpolate", tiny / "m", "--from", genome, "--to", other, "--steps", 3, "--out", out) == 0
    said = capsys.readouterr().err
    assert said.startswith("note: names not known of both organisms: less certain\n")
    assert said.count("names not") == 1
    made = pd.read_csv(out)
    assert list(made.columns) == ["alpha", "recipe", "ingredient", "g_per_l"]
    assert sorted(set(zip(made["alpha"], made["recipe"], strict=True))) == [(0.0, 1), (0.5, 2), (1.0, 3)]
    same = tmp_path / "same.csv"
    assert sh("interpolate", tiny / "m", "--from", other, "--to", other, "--steps", 2, "--out", same) == 0
    found = pd.read_csv(same)
    one, two = (found[found["recipe"] == n].drop(columns=["alpha", "recipe"]).to_numpy() for n in (1, 2))
    assert (one == two).all()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("{0},maybe\n", "row 2: column 'growth': expected true or false, got 'maybe'"),
        ("{0},true\n{1},\n", "row 3: column 'growth': expected a value"),
        ("{0},true\nSIM:9999,true\n", "row 3: medium 'SIM:9999' is not known to the model; did you mean"),
        ("{0},true\n{0},false\n", "row 3: medium '{0}': expected True as above, got False"),
        ("{0}\n", "row 2: expected 2 fields"),
        ("{0},true\n../../etc,true\n", "row 3: column 'medium_id'"),
    ],
)
def test_bad_results_are_refused_with_their_row(tiny, genome, tmp_path, capsys, tried, rows, said):
    known = tmp_path / "k.csv"
    known.write_text("medium_id,growth\n" + rows.format(*tried))
    assert sh("suggest-experiments", tiny / "m", "--genome", genome, "--known", known) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1
    assert said.format(*tried) in err[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("rank {m}", "expected a genome file (--genome), an id of the database (--id), or a --name or --lineage"),
        ("rank {m} --genome {g} --id x", "got both"),
        ("rank {m} --genome {t}/none.fna", "none.fna"),
        ("rank {t}/none --genome {g}", "none"),
        ("rank {m} --genome {g} --top 0", "--top"),
        ("rank {m} --genome {g} --out {t}/r.txt", "expected a file ending in .csv"),
        ("rank {m} --genome {g} --out {t}/no/r.csv", "expected a folder to write into"),
        ("rank {m} --id SIM_0 --db sqlite:///{w}", "is not in the database; did you mean"),
        ("rank {m} --id SIM_0 --db sqlite:///{t}/no.db", "there is no database"),
        ("rank {m} --genome {g} --organism plants", "organism type: expected one of bacteria"),
        ("rank {m} --genome {g} --vector {t}/v.npz", "the model reads none"),
        ("generate {m} --genome {g} -n 0", "-n"),
        ("generate {m} --genome {g} --diversity 2", "--diversity"),
        ("generate {m} --genome {g} --exclude unobtainium", "exclude: unknown ingredient 'unobtainium'; did you mean"),
        ("generate {m} --genome {g} --cap NaCl", "--cap: expected NAME=G"),
        ("generate {m} --genome {g} --cap NaCl=lots", "--cap: expected NAME=G"),
        ("generate {m} --genome {g} --cap NaCl=-1", "cap 'NaCl': expected a finite number"),
        ("generate {m} --genome {g} --require NaCl=nan", "require 'NaCl': expected a finite number"),
        ("generate {m} --genome {g} --require NaCl --exclude NaCl", "require 'NaCl': it is"),
        ("generate {m} --genome {g} --ph 20", "ph: expected a number from 0 to 14"),
        ("generate {m} --genome {g} --card {t}/c.pdf", "expected a file ending in .html"),
        ("predict-growth {m} --genome {g}", "--medium"),
        ("predict-growth {m} --genome {g} --medium nothing", "medium: 'nothing' is not known to the model; did you"),
        ("predict-growth {m} --genome {g} --medium x --known {t}/none.csv", "none.csv"),
        ("interpolate {m} --from {g} --to nobody", "nobody: expected a FASTA file or the id of an organism"),
        ("interpolate {m} --from {g} --to {g} --steps 1", "--steps"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(tiny, genome, tmp_path, capsys, words, said):
    known = {"{m}": tiny / "m", "{g}": genome, "{t}": tmp_path, "{w}": tiny / "w.db"}
    for key, value in known.items():
        words = words.replace(key, str(value))
    assert sh(*words.split()) == 2
    told = capsys.readouterr()
    assert said in told.err.splitlines()[-1], told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def outside(tiny, tmp_path_factory):
    """A model that reads features which another program made."""
    folder = tmp_path_factory.mktemp("outside")
    copied(tiny / "w.db", folder / "w.db")
    url = f"sqlite:///{folder}/w.db"
    ids = [asking.id_of(file) for file in sorted((tiny / "world" / "genomes").glob("*.gz"))]
    rng = np.random.default_rng(0)
    np.savez(folder / "esm.npz", **{name: rng.normal(size=6).astype(np.float32) for name in ids})
    np.savez(folder / "long.npz", **{ids[0]: rng.normal(size=7).astype(np.float32)})
    np.savez(folder / "others.npz", a=np.ones(6), b=np.ones(6))
    for words in (
        ["embed", "--method", "esm", "--from", folder / "esm.npz", "--db", url],
        ["build", "--condition", "esm,stats", "--out", folder / "d", "--db", url],
        ["train", "--dataset", folder / "d", "--out", folder / "m", "model_type=base"],
    ):
        assert sh(*words) == 0
    return folder


def test_a_vector_from_outside_is_used_and_its_length_checked(tiny, outside, genome, capsys):
    words = ["rank", outside / "m", "--genome", genome]
    assert sh(*words) == 0
    without = capsys.readouterr()
    assert "note: esm not given: less certain" in without.err
    assert sh(*words, "--vector", outside / "esm.npz") == 0
    given = capsys.readouterr()
    assert given.err == ""
    assert given.out != without.out
    assert sh(*words, "--vector", f"esm={outside}/esm.npz") == 0
    assert capsys.readouterr().out == given.out
    for file, said in (
        ("long.npz", "expected 6 numbers of esm, as the model was trained with, got 7"),
        ("others.npz", f"expected a vector of '{asking.id_of(genome)}', it holds a, b"),
    ):
        assert sh(*words, "--vector", outside / file) == 2
        assert said in capsys.readouterr().err
    assert sh(*words, "--vector", f"prot={outside}/esm.npz") == 2
    assert "vector prot: expected one of esm, got 'prot'" in capsys.readouterr().err


def test_a_model_without_a_network_makes_one_recipe(outside, genome, capsys):
    assert sh("generate", outside / "m", "--genome", genome, "-n", 1, "--any") == 0
    assert sh("generate", outside / "m", "--genome", genome, "-n", 2) == 2
    assert "ask for -n 1" in capsys.readouterr().err
