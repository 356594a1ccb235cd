"""`build` and `train` as a user types them: files, exit codes, what is said."""

import json
import shutil
import sqlite3
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cytosol.cli import run
from mediacvae import dataset, db, features, saving
from mediacvae.cli import app
from mediacvae.names import ORGANISM_TYPES

QUICK = ["epochs=1", "latent_dim=2", "genus_dim=1", "hidden_dims=[8]", "draws=2", "--device", "cpu"]


def copied(source, target):
    """A database with what its write-ahead log still holds."""
    with sqlite3.connect(source) as old, sqlite3.connect(target) as new:
        old.backup(new)
    old.close()
    new.close()


def sh(*words):
    return run(app, [str(word) for word in words])


@pytest.fixture
def url(tiny):
    return f"sqlite:///{tiny}/w.db"


def test_the_arrays_are_those_of_the_samples(tiny):
    folder = tiny / "d"
    samples = pd.read_parquet(folder / "samples.parquet")
    ingredients = features.get_ingredient_names(folder)
    amounts = pd.read_parquet(tiny / "world" / "media_ingredients.parquet").set_index("medium_id")
    for split in ("train", "val", "test"):
        x, c, y = (np.load(folder / f"{name}_{split}.npy") for name in "XCy")
        own = samples[samples["split"] == split]
        assert len(x) == len(c) == len(y) == len(own) > 0
        assert x.shape[1] == len(ingredients)
        assert np.isfinite(x).all()
        assert (x >= 0).all()
        assert [ORGANISM_TYPES[kind] for kind in y] == own["organism_type"].tolist()
        recipe = amounts.loc[[own["medium_id"].iloc[0]]].groupby("ingredient")["g_per_l"].sum()
        named = pd.Series(x[0], index=ingredients)
        pd.testing.assert_series_equal(
            named[named > 0].sort_index(), recipe[recipe > 0].sort_index(), check_names=False, check_dtype=False,
            rtol=1e-5,
        )  # fmt: skip


def test_relatives_keep_on_one_side_and_no_growth_is_no_pair(tiny):
    samples = pd.read_parquet(tiny / "d" / "samples.parquet")
    assert samples.groupby("genus")["split"].nunique().max() == 1
    growth = db.read(f"sqlite:///{tiny}/w.db").growth
    no = growth.loc[~growth["growth"], ["genome_id", "medium_id"]]
    assert len(no) > 10
    assert samples.merge(no, on=["genome_id", "medium_id"]).empty


@pytest.mark.parametrize("group", ["genus", "species"])
@pytest.mark.parametrize("condition", ["kmer4", "lineage,stats"])
def test_the_same_genome_under_another_name_keeps_on_its_side(tiny, tmp_path, group, condition):
    base = f"sqlite:///{tmp_path}/w.db"
    copied(tiny / "w.db", tmp_path / "w.db")
    samples = pd.read_parquet(tiny / "d" / "samples.parquet")
    fasta = tmp_path / "copies"
    fasta.mkdir()
    rows, growth = ["genome_id\torganism_type\tspecies\tlineage"], ["genome_id,medium_id,growth"]
    own = samples.drop_duplicates("genome_id")
    for at, row in enumerate(own.itertuples()):
        source = tiny / "world" / "genomes" / f"{row.genome_id}.fna.gz"
        if source.exists():
            shutil.copy(source, fasta / f"copy{at}.fna.gz")
            rows.append(f"copy{at}\t{row.organism_type}\tNovogenus{at} sp\tBacteria;Firmicutes")
            growth.append(f"copy{at},{row.medium_id},true")
    (tmp_path / "t.tsv").write_text("\n".join(rows) + "\n")
    (tmp_path / "g.csv").write_text("\n".join(growth) + "\n")
    assert sh("db", "add-genomes", fasta, "--table", tmp_path / "t.tsv", "--db", base) == 0
    assert sh("db", "add-growth", tmp_path / "g.csv", "--db", base) == 0
    assert sh("embed", "--method", "kmer4", "--workers", 1, "--db", base) == 0
    words = ["--condition", condition, "--group", group, "--db", base, "--seed", 5]
    assert sh("build", "--out", tmp_path / "d", *words) == 0
    made = pd.read_parquet(tmp_path / "d" / "organisms.parquet").set_index("genome_id")["split"]
    pairs = [(f"copy{at}", row.genome_id) for at, row in enumerate(own.itertuples()) if f"copy{at}" in made]
    assert len(pairs) > 8
    assert len({made[a] for a, _ in pairs}) > 1
    assert [(a, b) for a, b in pairs if made[a] != made[b]] == []


def test_the_function_of_the_specification_gives_what_the_verb_writes(tiny, url, tmp_path):
    made = features.build_genome_media_dataset("kmer_64", None, url=url, out=tmp_path / "d", seed=42)
    assert {f"{x}_{split}" for x in "XCy" for split in ("train", "val", "test")} <= made.keys()
    assert made["C_train"].shape[1] == 256
    assert made["X_train"].shape[1] == len(features.get_ingredient_names(tmp_path / "d"))
    assert sh("build", "--method", "kmer4", "--out", tmp_path / "v", "--db", url) == 0
    for name in ("X_test", "C_test", "y_test"):
        np.testing.assert_array_equal(np.load(tmp_path / "v" / f"{name}.npy"), made[name])
    only = features.build_genome_media_dataset("kmer4", "archea", url=url, save=False, out=tmp_path / "no")
    assert set(only["samples"]["organism_type"]) == {"archaea"}
    assert not (tmp_path / "no").exists()


def test_counts_and_notes_are_said(tiny, url, tmp_path, capsys):
    assert sh("build", "--condition", "stats", "--guessed", "out", "--out", tmp_path / "d", "--db", url) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    data = dataset.read(tmp_path / "d")
    assert lines[0].startswith(f"train: {len(data.rows('train'))} pairs (")
    assert "archaea" in lines[0]
    assert "conditions: stats 2" in lines[-1]
    assert "whose stock strength is guessed are left out" in said.err
    assert all(line.startswith("note: ") for line in said.err.splitlines())


def test_a_model_lies_beside_its_recipe_and_history(tiny):
    folder = tiny / "m"
    assert {"config.yaml", "history.csv", "manifest.json", "runs"} <= {path.name for path in folder.iterdir()}
    history = pd.read_csv(folder / "history.csv")
    phases = list(dict.fromkeys(history["phase"]))
    assert phases[0] == "bacteria"
    assert {f"loss_{phase}" for phase in phases} <= set(history.columns)
    model = saving.load(folder)
    assert model.config.latent_dim == 4
    assert "latent_dim: 4" in (folder / "config.yaml").read_text()


def test_training_says_what_each_phase_left_and_goes_on_where_it_was(tiny, tmp_path, capsys):
    words = ["--dataset", tiny / "d", "--out", tmp_path / "m", *QUICK]
    assert sh("train", *words) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split()[:3] == ["after", "phase", "loss_bacteria"]
    assert said[1].split()[0] == "bacteria"
    assert "model_type cvae" in said[-1]
    assert sh("train", *words) == 2
    assert "exists already" in capsys.readouterr().err
    before = saving.load(tmp_path / "m")
    assert sh("train", *words, "--resume") == 0
    np.testing.assert_array_equal(saving.load(tmp_path / "m").base.weights, before.base.weights)


def test_a_type_with_a_single_pair_is_learned_from(tiny, tmp_path):
    """Of archaea one organism and one medium are left; the others are as they were."""
    shutil.copytree(tiny / "d", tmp_path / "d")
    organisms = pd.read_parquet(tmp_path / "d" / "organisms.parquet")
    pairs = pd.read_parquet(tmp_path / "d" / "pairs.parquet")
    kind = organisms["organism_type"].to_numpy()[pairs["organism"]]
    split = organisms["split"].to_numpy()[pairs["organism"]]
    one = np.flatnonzero((kind == "archaea") & (split == "train"))[:1]
    pairs.iloc[np.sort(np.concatenate([np.flatnonzero(kind == "bacteria"), one]))].to_parquet(
        tmp_path / "d" / "pairs.parquet"
    )
    for at, kind in enumerate(("cvae", "spec", "hierarchical")):
        out = tmp_path / f"m{at}"
        assert sh("train", "--dataset", tmp_path / "d", "--out", out, *QUICK, f"model_type={kind}") == 0
        assert saving.load(out).facts["by_type"]["archaea"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("build --out {}/d --db {u}", "d exists already: give another --out, or --force"),
        ("build --out {t}/x --db sqlite:///{t}/no.db", "there is no database"),
        ("build --out {t}/x --db {u} --method kmer6", "`mediacvae embed --method kmer6`"),
        ("build --out {t}/x --db {u} --method kmer7", "condition: expected some of lineage, names, stats, kmer4"),
        ("build --out {t}/x --db {u} --condition lineag", "got 'lineag'"),
        ("build --out {t}/x --db {u} --condition lineage,lineage", "'lineage' is said twice"),
        ("build --out {t}/x --db {u} --method kmer4 --condition lineage", "expected the embedding method kmer4 among"),
        ("build --out {t}/x --db {u} --method kmer4 --organism plants", "organism type: expected one of bacteria"),
        ("build --out {t}/x --db {u} --method kmer4 --organism virus", "nothing to learn from"),
        ("build --out {t}/x --db {u} --method kmer4 --source KOMODO", "got 'KOMODO'"),
        ("build --out {t}/x --db {u} --method kmer4 --test-size 0.9 --val-size 0.2", "expected shares below 1"),
        ("build --out {t}/x --db {u} --method kmer4 --group family", "family"),
        ("train --dataset {}/nowhere --out {t}/x", "expected a dataset made by `mediacvae build`"),
        ("train --dataset {}/d --out {t}/x epoch=5", "did you mean"),
        ("train --dataset {}/d --out {t}/x epochs=0", "epochs: expected at least 1, got 0"),
        ("train --dataset {}/d --out {t}/x model_type=gan", "model_type"),
        ("train --dataset {}/d --out {t}/x curriculum_phases=[plants]", "organism type"),
        ("train --dataset {}/d --out {}/m", "or --resume to go on with it"),
        ("train --dataset {}/d --out {t}/x curriculum_phases=[virus]", "no pair of virus to learn from"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_leaves_nothing(tiny, url, tmp_path, capsys, words, said):
    assert sh(*words.replace("{u}", url).replace("{t}", str(tmp_path)).format(*[tiny] * 3).split()) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert said in err[-1], err
    assert "Traceback" not in "".join(err)
    assert not (tmp_path / "x" / "manifest.json").exists()
    assert not (tmp_path / "x" / "dataset.json").exists()


def test_a_stored_vector_of_another_length_is_refused(tiny, tmp_path, capsys):
    from sqlalchemy import create_engine, text

    from mediacvae.db import blobs

    copied(tiny / "w.db", tmp_path / "w.db")
    engine = create_engine(f"sqlite:///{tmp_path}/w.db")
    blob = blobs.to_bytes(np.ones(5, dtype=np.float32) / 5)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE genome_embeddings SET embedding = :b, embedding_dim = 5"), {"b": blob}
        )
    engine.dispose()
    assert (
        sh("build", "--method", "kmer4", "--out", tmp_path / "d", "--db", f"sqlite:///{tmp_path}/w.db") == 2
    )
    assert "expected 256 numbers, got 5" in capsys.readouterr().err


def test_outside_features_are_a_condition(tiny, tmp_path):
    copied(tiny / "w.db", tmp_path / "w.db")
    url = f"sqlite:///{tmp_path}/w.db"
    ids, _ = db.read_embeddings(url, "kmer4")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "esm.npz", **{name: rng.normal(size=6).astype(np.float32) for name in ids})
    assert sh("embed", "--method", "esm", "--from", tmp_path / "esm.npz", "--db", url) == 0
    assert (
        sh("build", "--method", "esm", "--condition", "esm,stats", "--out", tmp_path / "d", "--db", url) == 0
    )
    said = json.loads((tmp_path / "d" / "dataset.json").read_text())["condition"]
    assert said[0]["features"] == [f"esm {n}" for n in range(1, 7)]


def test_the_module_runs_and_help_of_every_verb_is_light():
    verbs = ["build", "train", "generate", "rank", "predict-growth", "suggest-experiments", "interpolate"]
    code = f"""
import sys
from cytosol.cli import run
from mediacvae.cli import app
codes = [run(app, words) for words in [["--help"], *([verb, "--help"] for verb in {verbs})]]
assert codes == [0] * {len(verbs) + 1}
print("loaded", *({{"torch", "pandas", "sqlalchemy", "numba", "numpy", "scipy"}} & set(sys.modules)))
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines()[-1] == "loaded"
    words = [sys.executable, "-m", "mediacvae", "train", "--dataset", "d", "--out", "m", "epochs"]
    process = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == "mediacvae: command line: expected key=value, got 'epochs'\n"
