"""Means of populations: numpy's, whatever the file holds and however it is read; combinations have one name."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from virtualcell import populations as module
from virtualcell.faults import DataError
from virtualcell.populations import canonical, read_populations, split
from virtualcell.sources import open_cells


def made(n=200, g=15, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.0, (n, g)).astype(np.float32)
    counts[:, 0] += 1
    obs = pd.DataFrame(
        {
            "perturbation": rng.choice(["control", "A", "B+A"], n),
            "cell_type": rng.choice(["T", "CD14+Mono"], n),
        },
        index=[f"c{i}" for i in range(n)],
    )
    obs.iloc[0] = ["once", "T"]
    return anndata.AnnData(
        sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(g)])
    )


def logged(data):
    x = data.X.toarray().astype(float)
    return np.log1p(1e4 * x / x.sum(axis=1, keepdims=True))


def test_moments_are_those_of_the_dense_matrix(monkeypatch):
    data = made()
    monkeypatch.setattr(module, "BLOCK", 17)
    found = read_populations(data, context_key="cell_type")
    x = logged(data)
    assert found.cells.sum() == 200
    assert found.context_names == ("CD14+Mono", "T")
    assert found.perturbation_names == ("A", "A+B", "once")
    for context, done in zip(found.contexts, found.perturbations, strict=True):
        name = {"A+B": "B+A"}.get(done, done)
        own = ((data.obs["cell_type"] == context) & (data.obs["perturbation"] == name)).to_numpy()
        row = found.where(context, done)
        assert found.cells[row] == own.sum()
        np.testing.assert_allclose(found.mean[row], x[own].mean(axis=0), atol=1e-5)
        variance = x[own].var(axis=0, ddof=1) if own.sum() > 1 else np.zeros(15)
        np.testing.assert_allclose(found.variance[row], variance, atol=1e-4)
        np.testing.assert_allclose(found.detected[row], (x[own] > 0).mean(axis=0))
    row = found.where("T", "A")
    np.testing.assert_allclose(found.standard_error(row), np.sqrt(found.variance[row] / found.cells[row]))


def test_deltas_are_against_the_own_control():
    found = read_populations(made(), context_key="cell_type")
    for context in found.context_names:
        own = found.mean[found.where(context, "A")] - found.mean[found.where(context, "control")]
        np.testing.assert_array_equal(found.delta(context, "A"), own)
        assert (found.delta(context, "control") == 0).all()
    assert found.done_in("T") == ("A", "A+B", "once")
    assert found.seen_in("once") == ("T",)
    rest = found.take(found.contexts != "T")
    assert rest.context_names == ("CD14+Mono",)
    assert rest.mean.shape == (len(rest), 15)


def test_files_logs_and_blocks_give_the_same(tmp_path):
    data = made()
    whole = read_populations(data, context_key="cell_type")
    data.write_h5ad(tmp_path / "a.h5ad")
    logs = data.copy()
    logs.X = sparse.csr_matrix(logged(data).astype(np.float32))
    for other in (open_cells(tmp_path / "a.h5ad", backed=True), tmp_path / "a.h5ad", logs):
        found = read_populations(other, context_key="cell_type")
        np.testing.assert_allclose(found.mean, whole.mean, atol=1e-5)
        np.testing.assert_allclose(found.variance, whole.variance, atol=1e-4)


def test_a_combination_has_one_name():
    assert split("B+A") == split("A + B") == split("A+B+control") == ("A", "B")
    assert canonical("B+A") == "A+B"
    assert canonical("A+ctrl", control="ctrl") == "A"
    assert canonical("control") == canonical("control+control") == "control"
    assert canonical("CD4+") == "CD4+"
    found = read_populations(made())
    assert found.context_names == ("all",)
    assert found.where("all", "B+A") == found.where("all", "A+B")
    assert found.parts("A+B") == ("A", "B")


def test_what_is_not_there_is_said():
    found = read_populations(made(), context_key="cell_type")
    for call, word in (
        (lambda: found.where("CD14Mono", "A"), "did you mean 'CD14[+]Mono'"),
        (lambda: found.where("T", "C"), "T: perturbation 'C'"),
        (lambda: found.take(found.perturbations == "A").delta("T", "A"), "control"),
        (lambda: read_populations(made(), control="ctrl"), "--control says"),
        (lambda: read_populations(made(), perturbation_key="perturbations"), "there is perturbation"),
        (lambda: read_populations(made(), context_key="type"), "cell_type"),
    ):
        with pytest.raises(DataError, match=word):
            call()


def test_collected_cells_have_the_means_that_were_measured(real):
    found = read_populations(real / "kang_ifnb.h5ad", perturbation_key="condition", context_key="cell_type")
    types = found.seen_in("stimulated")
    assert types == ("B", "CD14+Mono", "CD4T", "Dendritic", "NK")
    assert np.mean([(found.delta(t, "stimulated") ** 2).mean() for t in types]) == pytest.approx(
        0.0410, abs=1e-4
    )
