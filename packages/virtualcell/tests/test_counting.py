"""Counts around a mean: overdispersion is found again, a mean of logarithms is reached, cells are moved, not remade."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from virtualcell.counting import overdispersion, rates_of
from virtualcell.metrics import pearson
from virtualcell.transport import lifted, moved
from virtualcell.writing import log_per


def drawn(rates, dispersion, sizes, seed=0):
    rng = np.random.default_rng(seed)
    mean = sizes[:, None] * rates
    return rng.poisson(mean * rng.gamma(1 / dispersion, dispersion, mean.shape))


@pytest.fixture(scope="module")
def sizes():
    return np.random.default_rng(1).lognormal(np.log(3000), 0.3, 3000)


def test_overdispersion_of_well_expressed_genes_is_found_again():
    truth = np.array([0.05, 0.3, 1.0, 3.0] * 10)
    rng = np.random.default_rng(0)
    rates = np.full(40, 1 / 40)
    some = [sparse.csr_matrix(drawn(rates, truth, rng.lognormal(8, 0.2, 800), seed)) for seed in range(2)]
    found = overdispersion(some)
    np.testing.assert_allclose(np.log(found), np.log(truth), atol=0.5)


def test_overdispersion_of_genes_never_seen_is_that_of_all_and_one_cell_tells_nothing():
    x = drawn(np.array([0.5, 0.5, 0.0]), np.array([0.5, 0.5, 0.5]), np.full(400, 500.0))
    found = overdispersion([sparse.csr_matrix(x), sparse.csr_matrix(x[:1])])
    assert np.isfinite(found).all()
    assert found[2] == pytest.approx(found[:2].mean(), rel=0.5)


@pytest.mark.parametrize("dispersion", [0.02, 0.5, 4.0])
def test_the_rate_of_a_mean_gives_that_mean(sizes, dispersion):
    rates = np.array([1e-6, 1e-4, 1e-3, 1e-2, 1e-1])
    counts = drawn(rates, np.full(5, dispersion), sizes)
    mean = np.log1p(counts * 1e4 / sizes[:, None]).mean(axis=0)
    found = rates_of(mean, np.full(5, dispersion), sizes)
    sure = mean > 0.01
    np.testing.assert_allclose(found[sure], rates[sure], rtol=0.25)
    assert rates_of(np.zeros(1), np.array([dispersion]), sizes)[0] == 0


def moving():
    rng = np.random.default_rng(0)
    size = rng.lognormal(8, 0.3, 400)
    program = rng.gamma(2, 0.5, (400, 1))
    rates = np.full(60, 1 / 60)
    mean = size[:, None] * rates * np.where(np.arange(60) < 20, program, 1.0)
    counts = sparse.csr_matrix(rng.poisson(mean).astype(np.float32))
    return counts, np.asarray(log_per(counts).mean(axis=0)).ravel()


def test_moved_cells_have_the_predicted_mean_and_keep_what_does_not_change():
    counts, before = moving()
    after = before.copy()
    after[:5], after[5:10], after[10] = before[:5] + 0.8, before[5:10] - 1.0, 0.0
    made = moved(counts, before, after, np.full(60, 0.3), generator=np.random.default_rng(1))
    found = np.asarray(log_per(made).mean(axis=0)).ravel()
    assert pearson(found - before, after - before) > 0.98
    assert made[:, 10].sum() == 0
    np.testing.assert_array_equal(made[:, 11:].toarray(), counts[:, 11:].toarray())
    assert (made.data == np.rint(made.data)).all()
    assert (made.data >= 0).all()


def test_genes_that_were_high_together_stay_so():
    counts, before = moving()
    after = before.copy()
    after[:20] += 0.5
    made = moved(counts, before, after, np.full(60, 0.5), generator=np.random.default_rng(1)).toarray()
    x = np.corrcoef(log_per(sparse.csr_matrix(made)).toarray()[:, :20].T)
    y = np.corrcoef(log_per(counts).toarray()[:, :20].T)
    upper = np.triu_indices(20, 1)
    assert x[upper].mean() > 0.6 * y[upper].mean() > 0.05


def test_nothing_changes_where_nothing_is_predicted():
    counts, before = moving()
    made = moved(counts, before, before.copy(), np.full(60, 0.3), generator=np.random.default_rng(0))
    assert (made != counts).nnz == 0


def test_a_gene_that_is_nearly_off_is_turned_on_in_more_cells_and_not_a_hundredfold_in_one():
    rng = np.random.default_rng(0)
    means = np.linspace(
        0.02, 3.0, 40
    )  # of log values; the share of cells that express a gene rises with them
    values = rng.normal(means / (1 - np.exp(-means)), 0.2, (400, 40)) * (
        rng.random((400, 40)) < 1 - np.exp(-means)
    )
    values = np.maximum(values, 0.0)
    after = values.mean(axis=0)
    after[0] = 2.0
    made = lifted(values, np.arange(400), after, generator=np.random.default_rng(1))
    assert made[:, 0].mean() == pytest.approx(2.0, abs=0.02)
    assert (made[:, 0] > 0).mean() == pytest.approx(1 - np.exp(-2.0), abs=0.08)
    assert made.max() < values.max() + 1
    np.testing.assert_allclose(made[:, 1:], values[:, 1:], atol=1e-9)
