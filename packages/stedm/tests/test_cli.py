"""Every verb from end to end on a small simulated tissue: files, exit codes, what is said."""

import json
import subprocess
import sys
from dataclasses import replace

import anndata
import numpy as np
import pytest

from cytosol.cli import run
from stedm.cli import app
from stedm.saving import load, save

TINY = [
    "base.genes=60", "base.components=[5]", "base.penalties=[0.1]", "pairs.trees=10", "pairs.embed=10",
    "pairs.near=20", "pairs.alike=10", "networks.encoder_steps=4", "networks.refiner_steps=4", "networks.draws=2",
    "trainer.max_steps=4", "trainer.val_every=4", "trainer.batch_size=8", "net.width=16",
    "net.context_width=16", "net.score_blocks=1", "patches.least=40", "patches.most=60", "patches.rounds=1",
]  # fmt: skip
SMALL = ["simulation.cells=80", "simulation.genes=60", "simulation.spatial=40"]


def sh(*words):
    return run(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("cli")
    assert sh("simulate", "--out", made / "t.h5ad", "--seed", 1, *SMALL) == 0
    assert sh("train", "--data", made / "t.h5ad", "--out", made / "m", "--val-section", "S3", *TINY) == 0
    assert sh("reconstruct", made / "m", "--data", made / "t.h5ad", "--out", made / "o.h5ad") == 0
    return made


def test_a_reconstruction_keeps_cells_order_and_names(folder):
    given, made = (anndata.read_h5ad(folder / name) for name in ("t.h5ad", "o.h5ad"))
    assert list(given.obs_names) == list(made.obs_names)
    assert made.obsm["X_stedm"].shape == (240, 2)
    assert (made.obs["stedm_sd"] > 0).all()
    assert made.uns["stedm"]["training_sections"] == "S1, S2"
    kin = made.obsp["stedm_neighbours"]
    assert kin.shape == (240, 240)
    assert 0 < kin.data.min() <= kin.data.max() <= 1
    rows, columns = kin.nonzero()
    assert (made.obs["section"].to_numpy()[rows] == made.obs["section"].to_numpy()[columns]).all()
    assert (rows != columns).all()
    assert (folder / "m" / "config.yaml").exists()


def test_samples_keep_their_draws_and_differ_from_the_mean(folder):
    words = ["--data", folder / "t.h5ad", "--out", folder / "s.h5ad", "--force"]
    assert sh("reconstruct", folder / "m", *words, "--estimate", "sample", "--draws", 3) == 0
    made, mean = (anndata.read_h5ad(folder / name) for name in ("s.h5ad", "o.h5ad"))
    draws = made.obsm["X_stedm_draws"].reshape(240, 3, 2)
    np.testing.assert_allclose(draws[:, 0], made.obsm["X_stedm"])
    assert (draws.std(axis=1) > 0).all()
    assert not np.allclose(made.obsm["X_stedm"], mean.obsm["X_stedm"])
    assert made.uns["stedm"]["stage"] == "sample"


def test_refining_can_be_left_out_and_done_later(folder):
    words = ["--data", folder / "t.h5ad", "--out", folder / "n.h5ad", "--force", "--no-refine"]
    assert sh("reconstruct", folder / "m", *words) == 0
    assert anndata.read_h5ad(folder / "n.h5ad").uns["stedm"]["stage"] == "pairs"
    words = ["--data", folder / "n.h5ad", "--out", folder / "f.h5ad", "--force"]
    assert sh("refine", folder / "m", *words) == 0
    made = anndata.read_h5ad(folder / "f.h5ad")
    assert made.uns["stedm"]["stage"] == "mean"
    assert np.isfinite(made.obsm["X_stedm"]).all()
    assert sh("refine", folder / "m", *words, "--key", "X_nowhere") == 2


def test_sections_that_end_at_different_stages_are_told_apart(folder):
    given = anndata.read_h5ad(folder / "t.h5ad")
    rows = np.flatnonzero(given.obs["section"] == "S3")
    cells = given[np.concatenate([[0], rows])].copy()  # one cell of S1: no network corrects it
    cells.write_h5ad(folder / "few.h5ad")
    words = ["--data", folder / "few.h5ad", "--out", folder / "w.h5ad", "--force", "--refine"]
    assert sh("reconstruct", folder / "m", *words) == 0
    assert anndata.read_h5ad(folder / "w.h5ad").uns["stedm"]["stage"] == "regression, mean"


def test_diagnose_answers_with_numbers(folder, capsys):
    words = ["--data", folder / "t.h5ad", "--out", folder / "d", "--force"]
    assert sh("diagnose", folder / "m", *words) == 0
    said = capsys.readouterr().out
    assert all(f"**{k}. " in said for k in range(1, 7))
    assert (folder / "d" / "diagnosis.png").stat().st_size > 10_000
    assert "by_sigma" in (folder / "d" / "diagnosis.csv").read_text()


def test_scores_are_printed_and_kept(folder, capsys):
    file = folder / "s.json"
    assert sh("evaluate", folder / "o.h5ad", "--truth", folder / "t.h5ad", "--json", file, "--force") == 0
    found = json.loads(file.read_text())
    assert found["meta"]["package"] == "stedm"
    rows = [row for row in found["rows"] if row["metric"] == "jaccard10"]
    assert [row["dataset"] for row in rows] == ["S1", "S2", "S3"]
    said = capsys.readouterr()
    assert "Procrustes" in said.out
    assert "learned from sections named S1, S2: of how good it is, others tell" in said.err


def test_simple_methods_are_scored(folder):
    file, table = folder / "b.json", folder / "b.h5ad"
    few = ["simulation.sections=2", "simulation.cells=40", "simulation.genes=60", "simulation.spatial=40"]
    assert sh("simulate", "--out", table, "--seed", 1, *few) == 0
    assert sh("evaluate", "--baselines", "--train", table, "--data", table, "--json", file, "--force") == 0
    assert {row["method"] for row in json.loads(file.read_text())["rows"]} == {
        "ridge",
        "ridge, aligned",
        "kNN",
        "MLP",
        "expression PCA",
    }


def test_rows_in_another_order_give_the_same_places(folder):
    given = anndata.read_h5ad(folder / "t.h5ad")
    order = np.random.default_rng(0).permutation(given.n_obs)
    given[order].copy().write_h5ad(folder / "r.h5ad")
    assert (
        sh("reconstruct", folder / "m", "--data", folder / "r.h5ad", "--out", folder / "p.h5ad", "--force")
        == 0
    )
    a, b = (anndata.read_h5ad(folder / name).obsm["X_stedm"] for name in ("o.h5ad", "p.h5ad"))
    np.testing.assert_allclose(a[order], b, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--data", "{}/none.h5ad", "--out", "{}/x"], "expected a file"),
        (["train", "--data", "{}/t.h5ad", "--out", "{}/x", "base.gens=5"], "did you mean"),
        (
            ["train", "--data", "{}/t.h5ad", "--out", "{}/x", "network.use=false"],
            "did you mean 'networks.use'",
        ),
        (["train", "--data", "{}/t.h5ad", "--out", "{}/x", "--val-section", "S9"], "'S9'"),
        (["train", "--data", "{}/t.h5ad", "--out", "{}/x", "--dim", "3"], "expected 3 columns"),
        (["train", "--data", "{}/t.h5ad", "--out", "{}/m"], "exists already"),
        (["reconstruct", "{}/none", "--data", "{}/t.h5ad", "--out", "{}/y.h5ad"], "none"),
        (
            ["evaluate", "{}/t.h5ad", "--truth", "{}/t.h5ad", "--json", "{}/z.json"],
            "`stedm reconstruct` writes it",
        ),
        (["evaluate", "--json", "{}/z.json"], "OUT.h5ad"),
    ],
)
def test_faults_are_one_line_and_exit_code_2(folder, capsys, words, said):
    assert sh(*(word.format(folder) for word in words)) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert said in err[-1], err


def test_a_section_too_small_to_teach_is_left_out_aloud(folder, capsys):
    cells = anndata.read_h5ad(folder / "t.h5ad")
    labels = cells.obs["section"].astype(str).to_numpy()
    labels[:2] = "tiny"
    cells.obs["section"] = labels
    cells.write_h5ad(folder / "tiny.h5ad")
    words = ["--data", folder / "tiny.h5ad", "--out", folder / "u", "networks.use=false", *TINY[:7]]
    assert sh("train", *words) == 0
    said = capsys.readouterr()
    assert "tiny.h5ad: section tiny has 2 cells: too few to learn from, left out" in said.err
    assert "3 sections, 238 cells" in said.out


@pytest.fixture(scope="module")
def odd(folder):
    """Files that are cells, and of which one thing is wrong; and a model without networks."""
    cells = anndata.read_h5ad(folder / "o.h5ad")
    n = cells.n_obs
    cells.obsm["X_three"], cells.obsm["X_same"] = np.zeros((n, 3)), np.ones((n, 2))
    cells.obsm["X_nan"] = np.where(np.arange(n)[:, None] == 7, np.nan, np.arange(n)[:, None] * [1.0, 2.0])
    cells.write_h5ad(folder / "odd.h5ad")
    bare = cells.copy()
    del bare.obsm["spatial"]
    bare.write_h5ad(folder / "bare.h5ad")
    other = cells.copy()
    other.var_names = [f"other{i}" for i in range(cells.n_vars)]
    other.write_h5ad(folder / "other.h5ad")
    (folder / "cut.h5ad").write_bytes((folder / "o.h5ad").read_bytes()[:5000])
    save(replace(load(folder / "m"), networks=None), folder / "plain")
    return folder


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("refine {}/m --data {}/odd.h5ad --out {}/q.h5ad --key X_three", "expected 2 columns, got shape (240, 3)"),
        ("refine {}/m --data {}/odd.h5ad --out {}/q.h5ad --key X_nan", "expected numbers up to 1e+12, got [nan, nan]"),
        ("refine {}/m --data {}/odd.h5ad --out {}/q.h5ad --key X_same", "S1: expected cells at different places"),
        ("refine {}/plain --data {}/odd.h5ad --out {}/q.h5ad", "was trained without networks"),
        ("refine {}/m --data {}/other.h5ad --out {}/q.h5ad", "shares 0 of 60 genes"),
        ("refine {}/m --data {}/cut.h5ad --out {}/q.h5ad", "cut.h5ad: expected an AnnData file, it cannot be read"),
        ("refine {}/m --data {}/odd.h5ad --out {}/o.h5ad", "exists already"),
        ("refine {}/m --data {}/odd.h5ad --out {}/q.csv", "expected a file ending in .h5ad"),
        ("refine {}/m --data {}/odd.h5ad --out {}/q.h5ad --draws 0", "draws"),
        ("refine {}/m --data {}/odd.h5ad --out {}/q.h5ad --estimate median", "median"),
        ("diagnose {}/plain --data {}/t.h5ad --out {}/e", "there is nothing to diagnose"),
        ("diagnose {}/m --data {}/bare.h5ad --out {}/e", "obsm['spatial']: expected coordinates"),
        ("diagnose {}/m --data {}/odd.h5ad --out {}/e --spatial-key X_same", "different places"),
        ("diagnose {}/m --data {}/odd.h5ad --out {}/e --spatial-key X_nan", "got [nan, nan]"),
        ("diagnose {}/m --data {}/odd.h5ad --out {}/e --dim 3", "expected 3 columns"),
        ("diagnose {}/m --data {}/other.h5ad --out {}/e", "shares 0 of 60 genes"),
        ("diagnose {}/m --data {}/t.h5ad --out {}/t.h5ad", "exists already"),
        ("diagnose {}/t.h5ad --data {}/t.h5ad --out {}/e", "t.h5ad"),
        ("reconstruct {}/plain --data {}/t.h5ad --out {}/q.h5ad --refine", "trained without networks"),
        ("reconstruct {}/m --data {}/t.h5ad --out {}/q.h5ad --no-refine --estimate sample", "needs the refiner"),
        ("reconstruct {}/m --data {}/t.h5ad --out {}/q.h5ad --draws -1", "draws"),
    ],
)  # fmt: skip
def test_what_cannot_be_refined_or_diagnosed_is_one_line(odd, capsys, words, said):
    assert sh(*(word.format(odd) for word in words.split())) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert said in err[-1], err
    assert not (odd / "q.h5ad").exists()
    assert not (odd / "e").exists()


def test_every_verb_has_help_and_help_is_light():
    verbs = ("simulate", "train", "reconstruct", "evaluate", "plot", "demo")
    code = (
        "import sys; from cytosol.cli import run; from stedm.cli import app\n"
        f"codes = [run(app, [verb, '--help']) for verb in {verbs}]\n"
        "heavy = {'torch', 'pandas', 'scipy', 'sklearn', 'anndata', 'h5py', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(str(heavy or codes) if heavy or any(codes) else 0)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert [verb for verb in verbs if f"stedm {verb} " not in process.stdout] == []
