"""Pictures: what is drawn is what was given; looks are for people."""

from __future__ import annotations

import json

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cytosol.cli import run
from cytosol.figures import save
from virtualcell import plots
from virtualcell.baselines import ridge_name
from virtualcell.cli import app
from virtualcell.evaluation import Predicted
from virtualcell.faults import DataError


def one(context="T", seed=0):
    rng = np.random.default_rng(seed)
    control, true = rng.normal(size=(2, 60))
    return Predicted(context, "A", "model", true + 0.1 * rng.normal(size=60), true, control, 40)


def texts(figure):
    found = [text.get_text() for ax in figure.axes for text in ax.texts]
    return found + [ax.get_title(loc="left") for ax in figure.axes]


def test_the_genes_that_change_most_are_named():
    made = one()
    genes = [f"g{i}" for i in range(60)]
    figure = plots.plot_deltas([made, one("NK", 1)], genes)
    top = np.argsort(-np.abs(made.true - made.control))[: plots.NAMED]
    assert {f"g{i}" for i in top} <= set(texts(figure))
    (all_genes, *_) = figure.axes[0].collections
    np.testing.assert_allclose(all_genes.get_offsets().data[:, 1], made.made - made.control)
    assert any("T, A" in text and "r " in text for text in texts(figure))
    with pytest.raises(DataError, match="1 to 6"):
        plots.plot_deltas([], genes)
    still = Predicted("T", "A", "m", np.ones(60), np.ones(60), np.ones(60), 3)
    assert plots.plot_deltas([still], genes).axes


def test_every_method_has_a_bar_and_of_the_ridges_the_best():
    rows = [
        {"context": c, "perturbation": "A", "method": m, "pearson_delta": r, "mse": 0.1}
        for c in ("T", "NK")
        for m, r in (
            ("no change", 0.0),
            (ridge_name(4, 1.0), 0.3),
            (ridge_name(4, 10.0), 0.5),
            ("model", np.nan),
        )
    ]
    figure = plots.plot_methods(pd.DataFrame(rows))
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0.0, 0.5, 0.0]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["no change", "ridge on control PCA", "model"]
    pair = [{"context": "T", "perturbation": "A+B", "method": "additive", "pearson_delta": 0.9, "mse": 0.1}]
    few = plots.plot_methods(pd.DataFrame([*rows, *pair]))
    assert few.axes[0].get_yticklabels()[-1].get_text() == "additive (1 of 2)"
    assert "-" in texts(figure)
    with pytest.raises(DataError, match="at least one score"):
        plots.plot_methods(
            pd.DataFrame(rows)[["context", "perturbation", "method"]].assign(pearson_delta=np.nan)
        )


@pytest.mark.parametrize("kind", ["tsne", "pca"])
def test_a_map_keeps_groups_apart(kind):
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 40)
    found = plots.project(rng.normal(size=(80, 6)) + 20 * group[:, None], kind=kind)
    assert found.shape == (80, 2)
    inside = np.linalg.norm(found[:40] - found[:40].mean(axis=0), axis=1).max()
    between = np.linalg.norm(found[:40].mean(axis=0) - found[40:].mean(axis=0))
    assert between > inside


def test_maps_of_few_cells_are_defined():
    for n in (1, 3, 12):
        assert np.isfinite(plots.project(np.random.default_rng(0).normal(size=(n, 5)))).all()
    assert plots.project(np.zeros((4, 1))).shape == (4, 2)
    for bad in (np.full((3, 2), np.nan), np.zeros((0, 2)), np.zeros(5)):
        with pytest.raises(DataError, match="finite numbers"):
            plots.project(bad)


def test_labels_are_colours_and_numbers_are_a_scale(tmp_path):
    points = np.random.default_rng(0).normal(size=(90, 2))
    many = [f"type{i % 14}" for i in range(90)]
    figure = plots.plot_embedding(points, {"few": many[:3] * 30, "many": many, "depth": np.arange(90.0)})
    legends = [
        [text.get_text() for text in ax.get_legend().get_texts()] for ax in figure.axes if ax.get_legend()
    ]
    assert legends[0] == ["type0", "type1", "type2"]
    assert legends[1][0] == "4 others"
    assert len(figure.axes) == 4  # the third has a bar
    assert save(figure, tmp_path / "f.png").stat().st_size > 5000
    with pytest.raises(DataError, match="90 labels"):
        plots.plot_embedding(points, {"short": many[:5]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("plots")
    rng = np.random.default_rng(0)
    labels = np.array(["control", "A", "B"] * 20)
    counts = rng.poisson(3 + 4.0 * (labels != "control")[:, None] * (np.arange(15) < 4))
    obs = pd.DataFrame({"condition": labels, "depth": counts.sum(axis=1)}, index=[f"c{i}" for i in range(60)])
    cells = anndata.AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs=obs)
    cells.obsm["X_virtualcell"] = rng.normal(size=(60, 4))
    cells.write_h5ad(made / "cells.h5ad")
    return made


def sh(*words):
    return run(app, [str(word) for word in words])


def test_the_verb_draws_maps_changes_and_scores(folder, capsys):
    cells = folder / "cells.h5ad"
    assert sh("plot", cells, "--out", folder / "map.png", "--color", "condition", "--color", "depth") == 0
    assert sh("plot", cells, "--truth", cells, "--out", folder / "change.svg") == 0
    assert sh("evaluate", "--pred", cells, "--truth", cells, "--json", folder / "s.json") == 0
    assert sh("plot", folder / "s.json", "--out", folder / "scores.pdf") == 0
    assert sh("plot", folder / "s.json", folder / "s.json", "--out", folder / "both.png") == 0
    for name in ("map.png", "change.svg", "scores.pdf", "both.png"):
        assert (folder / name).stat().st_size > 3000
    capsys.readouterr()
    (folder / "other.json").write_text(json.dumps({"rows": 5}))
    for words, said in (
        (["plot", cells, "--out", folder / "map.png"], "exists already"),
        (["plot", cells, "--out", folder / "map.gif"], "expected a file ending in .png"),
        (["plot", cells, "--out", folder / "n.png", "--key", "X_pca"], "obsm: expected 'X_pca'"),
        (["plot", cells, "--out", folder / "n.png", "--color", "conditions"], "did you mean 'condition'"),
        (["plot", cells, "--out", folder / "n.png", "--control", cells], "--control: is not used"),
        (["plot", folder / "s.json", "--out", folder / "n.png", "--color", "x"], "--color: is not used"),
        (
            ["plot", folder / "s.json", "--out", folder / "n.png", "--seed", "1"],
            "--seed: is not used with scores",
        ),
        (["plot", cells, "--truth", cells, "--out", folder / "n.png", "--seed", "1"], "--seed: is not used"),
        (
            ["plot", folder / "s.json", "--out", folder / "n.png", "--map", "tsne"],
            "--map: is not used with scores",
        ),
        (
            ["plot", cells, "--truth", cells, "--out", folder / "n.png", "--key", "X"],
            "--key: is not used with",
        ),
        (
            ["plot", cells, "--out", folder / "n.png", "--control-word", "x"],
            "--control-word: is not used with",
        ),
        (
            ["plot", cells, folder / "s.json", "--out", folder / "n.png"],
            "expected one file, or several of scores",
        ),
        (
            ["plot", cells, "--truth", cells, "--control", "ctrl", "--out", folder / "n.png"],
            "their word is --control-word",
        ),
        (["plot", folder / "other.json", "--out", folder / "n.png"], "expected scores"),
    ):
        assert sh(*words) == 2
        assert said in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (folder / "n.png").exists()
