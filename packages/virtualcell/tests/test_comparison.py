"""Predicted cells against real ones: matched by gene, context and perturbation, with control cells as the measure."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from virtualcell.comparison import PREDICTION, Keys, compare
from virtualcell.faults import DataError
from virtualcell.sources import open_cells
from virtualcell.writing import predicted_cells

GENES = [f"g{i}" for i in range(25)]


def cells(labels, seed=0, shift=0.0, genes=GENES, **obs):
    rng = np.random.default_rng(seed)
    rate = np.full((len(labels), len(genes)), 3.0)
    rate[np.array(labels) != "control", :5] += 6.0 + shift
    counts = sparse.csr_matrix(rng.poisson(rate).astype(np.float32))
    frame = pd.DataFrame({"condition": labels, **obs}, index=[f"c{i}" for i in range(len(labels))])
    return anndata.AnnData(counts, obs=frame, var=pd.DataFrame(index=genes))


def table(predicted, truth, control=None, **keys):
    files = [None if one is None else open_cells(one) for one in (predicted, truth, control)]
    found, notes = compare(*files, Keys(**keys))
    return found.set_index(["context", "perturbation", "method"]), notes


def test_the_truth_itself_is_perfect_and_control_cells_are_not():
    truth = cells(["control"] * 40 + ["A"] * 50)
    made = predicted_cells(truth.X[40:], GENES, "A")
    found, notes = table(made, truth)
    own, still = found.loc[("all", "A", PREDICTION)], found.loc[("all", "A", "no change")]
    assert own["pearson_delta"] == pytest.approx(1.0)
    assert own["mse"] == pytest.approx(0.0, abs=1e-10)
    assert own["energy"] < 0 < 0.1 < still["energy"]  # the very same cells are nearer than two draws would be
    assert own["correlations"] == pytest.approx(1.0)
    assert own["spread"] == pytest.approx(1.0)
    assert still["pearson_delta"] == 0.0
    assert own["cells"] == 50
    assert any("'cell_type'" in note for note in notes)


def test_files_agree_whatever_their_order_and_form():
    truth = cells(["control"] * 40 + ["A"] * 50)
    made = cells(["A"] * 60, seed=1)
    control = truth[:40].copy()
    rest = truth[40:].copy()
    whole, _ = table(made, truth)
    apart, _ = table(made, rest, control)
    del control.obs["condition"]
    bare, _ = table(made, rest, control)
    order = np.random.default_rng(0).permutation(25)
    turned, _ = table(made[:, order].copy(), rest, control)
    logs = predicted_cells(made.X, GENES, "A")
    logged, _ = table(logs, truth)
    for other in (apart, bare, turned, logged):
        np.testing.assert_allclose(other.to_numpy(dtype=float), whole.to_numpy(dtype=float), atol=1e-4)


def test_contexts_and_combinations_are_matched():
    labels = ["control", "A", "B", "B+A"] * 30
    truth = cells(labels, cell_type=["T", "NK"] * 60)
    truth.obs["cell_type"] = np.repeat(["T", "NK"], 60)
    made = cells(["A+B", "A"] * 20, seed=1, cell_type=["T"] * 40)
    found, notes = table(made, truth)
    assert sorted({key[:2] for key in found.index}) == [("T", "A"), ("T", "A+B")]
    assert (found["cells"] == 15).all()
    assert {"discrimination"} <= set(found.columns)
    assert notes == ()


def test_genes_that_are_not_shared_are_said():
    truth = cells(["control"] * 20 + ["A"] * 20)
    made = cells(["A"] * 20, genes=[*GENES[:20], *[f"x{i}" for i in range(5)]])
    _, notes = table(made, truth)
    assert "20 genes are in all files and scored" in notes
    with pytest.raises(DataError, match="none of 25 genes"):
        table(cells(["A"] * 20, genes=[f"x{i}" for i in range(25)]), truth)


def test_populations_without_a_truth_are_refused():
    truth = cells(["control"] * 20 + ["A"] * 20)
    for made, control, word in (
        (cells(["C"] * 5), None, "expected cells of all, C"),
        (cells(["control"] * 5), None, "all are 'control'"),
        (cells(["A"] * 5), truth[20:].copy(), "expected cells of all, control"),
    ):
        with pytest.raises(DataError, match=word):
            table(made, truth, control)
    found, _ = table(cells(["A"] * 2), truth)
    assert np.isnan(found.loc[("all", "A", PREDICTION), "correlations"])


def test_one_predicted_cell_is_scored():
    truth = cells(["control"] * 20 + ["A"] * 20)
    found, _ = table(cells(["A"]), truth)
    row = found.loc[("all", "A", PREDICTION)]
    assert np.isfinite(row[["pearson_delta", "mse", "energy", "mmd"]].to_numpy(dtype=float)).all()
