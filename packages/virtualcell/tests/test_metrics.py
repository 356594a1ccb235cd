"""Scores against their definitions, against scipy, and where they are not defined."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance as energy_of_one
from scipy.stats import pearsonr

from virtualcell import metrics
from virtualcell.faults import DataError


def drawn(seed=0, shape=(300,)):
    return np.random.default_rng(seed).normal(size=shape)


def test_the_truth_is_perfect_and_no_change_is_nothing():
    control, truth = drawn(0), drawn(0) + drawn(1)
    assert metrics.score(truth, truth, control) == metrics.Scores(1.0, 1.0, 0.0, 1.0)
    found = metrics.score(control, truth, control)
    assert (found.pearson_delta, found.pearson_top20, found.overlap50) == (0.0, 0.0, 0.0)
    assert found.mse == pytest.approx(((control - truth) ** 2).mean())


def test_scores_are_those_of_scipy_and_of_sets():
    control, truth, made = drawn(0), drawn(0) + drawn(1), drawn(0) + drawn(1) + drawn(2)
    found = metrics.score(made, truth, control)
    true, own = truth - control, made - control
    top = sorted(range(300), key=lambda i: -abs(true[i]))
    assert found.pearson_delta == pytest.approx(pearsonr(own, true).statistic)
    assert found.pearson_top20 == pytest.approx(pearsonr(own[top[:20]], true[top[:20]]).statistic)
    mine = sorted(range(300), key=lambda i: -abs(own[i]))
    assert found.overlap50 == len({*mine[:50]} & {*top[:50]}) / 50


def test_the_order_of_genes_does_not_matter():
    control, truth, made = drawn(0), drawn(1), drawn(2)
    order = np.random.default_rng(3).permutation(300)
    a = metrics.score(made, truth, control).as_dict()
    b = metrics.score(made[order], truth[order], control[order]).as_dict()
    assert a == pytest.approx(b)


def test_a_delta_that_is_constant_by_rounding_correlates_with_nothing():
    rounding = 0.1 + np.tile([0.0, 1e-17], 150)
    assert metrics.pearson(rounding, drawn()) == 0.0
    assert metrics.pearson(drawn(), np.zeros(300)) == 0.0
    assert metrics.overlap(np.zeros(300), drawn()) == 0.0
    few = np.zeros(300)
    few[:3] = 1.0
    assert metrics.largest(few, 50).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("made", "word"),
    [(np.full(300, np.nan), "finite"), (np.zeros(299), "genes"), (np.zeros((2, 300)), "genes")],
)
def test_means_that_cannot_be_scored_are_refused(made, word):
    with pytest.raises(DataError, match=word):
        metrics.score(made, drawn(), drawn(1))


def test_discrimination_is_one_for_the_truth_half_by_chance_and_for_no_change():
    truth = drawn(0, (9, 40))
    assert (metrics.discrimination(truth, truth) == 1.0).all()
    assert (metrics.discrimination(7 * truth, truth) == 1.0).all()
    assert (metrics.discrimination(-truth, truth) < 0.5).all()
    assert (metrics.discrimination(np.zeros_like(truth), truth) == 0.5).all()
    same = np.repeat(truth.mean(axis=0)[None], 9, axis=0)
    assert metrics.discrimination(same, truth).mean() == pytest.approx(0.5)
    with pytest.raises(DataError, match="two and more"):
        metrics.discrimination(truth[:1], truth[:1])


def test_discrimination_counts_those_that_are_nearer():
    truth = np.eye(3)
    made = np.array([[1.0, 0.5, 0.2], [1.0, 0.5, 0.2], [1.0, 0.5, 0.2]])
    assert metrics.discrimination(made, truth).tolist() == [1.0, 0.5, 0.0]


def pairs(x, kernel=lambda d: d):
    """The mean over pairs of different cells, as it is defined."""
    return np.mean(
        [kernel(np.linalg.norm(a - b)) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
    )


def test_energy_distance_is_scipys_but_for_its_bias():
    x, y = drawn(0, (70, 1)), 0.5 + drawn(1, (50, 1))
    biased = energy_of_one(x[:, 0], y[:, 0]) ** 2
    bias = pairs(x) / 70 + pairs(y) / 50
    assert metrics.energy_distance(x, y) == pytest.approx(biased - bias)


def test_distances_of_populations_are_those_of_all_pairs(monkeypatch):
    x, y = drawn(0, (30, 5)), 1 + drawn(1, (41, 5))

    def kernel(d):
        return np.exp(-(d**2) / (2 * 1.5**2))

    monkeypatch.setattr(metrics, "_ROWS", 7)
    across = cdist(x, y)
    assert metrics.energy_distance(x, y) == pytest.approx(2 * across.mean() - pairs(x) - pairs(y))
    expected = pairs(x, kernel) + pairs(y, kernel) - 2 * kernel(across).mean()
    assert metrics.mmd(x, y, 1.5) == pytest.approx(expected)
    assert metrics.mmd(x, y) == pytest.approx(metrics.mmd(x, y, pairs(y)))
    assert (
        metrics.mmd(np.ones((3, 2)), np.ones((4, 2)))
        == metrics.energy_distance(np.ones((3, 2)), np.ones((4, 2)))
        == 0
    )
    assert np.isfinite(metrics.energy_distance(x[:1], y))
    assert metrics.mmd(x[:1], x[:1]) == metrics.energy_distance(x[:1], x[:1]) == 0


def test_two_draws_of_one_population_are_0_apart_on_average_however_few():
    for distance in (metrics.energy_distance, metrics.mmd):
        found = [distance(drawn(i, (6, 4)), drawn(1000 + i, (9, 4))) for i in range(300)]
        assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(300)


def test_a_shifted_population_is_farther_than_a_drawn_one():
    truth = drawn(0, (200, 6))
    near, far = drawn(1, (200, 6)), drawn(1, (200, 6)) + 0.5
    for distance in (metrics.energy_distance, metrics.mmd):
        assert distance(near, truth) < distance(far, truth)


def test_correlations_agree_where_programs_are_the_same():
    rng = np.random.default_rng(0)
    loading = rng.normal(size=(2, 40))

    def cells(seed):
        made = np.random.default_rng(seed)
        return made.normal(size=(400, 2)) @ loading + made.normal(size=(400, 40))

    real = cells(1)
    apart = np.stack([rng.permutation(column) for column in real.T], axis=1)
    assert metrics.correlation_agreement(cells(2), real) > 0.9
    assert abs(metrics.correlation_agreement(apart, real)) < 0.2
    upper = np.triu_indices(10, 1)
    kept = np.sort(np.argsort(-real.var(axis=0))[:10])
    own = [np.corrcoef(x[:, kept].T)[upper] for x in (cells(2), real)]
    found = metrics.correlation_agreement(cells(2), real, genes=10)
    assert found == pytest.approx(pearsonr(*own).statistic)
    assert metrics.correlation_agreement(np.zeros((5, 40)), real) == 0.0
    with pytest.raises(DataError, match="three cells"):
        metrics.correlation_agreement(real[:2], real)


def test_spread_is_a_ratio_of_variances():
    real = drawn(0, (50, 4))
    assert metrics.spread(2 * real, real) == pytest.approx(4.0)
    assert metrics.spread(np.repeat(real[:1], 9, axis=0), real) == 0.0
    with pytest.raises(DataError, match="all are the same"):
        metrics.spread(real, np.ones((5, 4)))


def test_neighbours_vote():
    known = np.array([[0.0], [0.1], [5.0], [5.1], [5.2]])
    labels = np.array(["a", "a", "b", "b", "b"])
    assert metrics.knn_accuracy(known, labels, np.array([[0.05], [4.9]]), np.array(["a", "b"]), k=2) == 1.0
    assert metrics.knn_accuracy(known, labels, np.array([[0.05]]), np.array(["b"]), k=1) == 0.0
    assert metrics.knn_accuracy(known, labels, np.array([[2.0]]), np.array(["b"]), k=99) == 1.0
    tied = metrics.knn_accuracy(known, labels, np.array([[4.0]]), np.array(["b"]), k=4)
    assert tied == 1.0
    with pytest.raises(DataError, match="a label for each cell"):
        metrics.knn_accuracy(known, labels[:2], known, labels)


def test_mixing_is_one_where_batches_are_drawn_alike_and_none_where_they_are_apart():
    rng = np.random.default_rng(0)
    batches = rng.integers(0, 2, 600)
    cells = rng.normal(size=(600, 3))
    assert metrics.batch_mixing(cells, batches) == pytest.approx(1.0, abs=0.05)
    assert metrics.batch_mixing(cells + 50 * batches[:, None], batches) == 0.0
    types = np.arange(600) % 2
    mixed = cells + 50 * types[:, None]
    assert metrics.batch_mixing(mixed, batches, types) == pytest.approx(1.0, abs=0.05)
    with pytest.raises(DataError, match="two batches"):
        metrics.batch_mixing(cells, np.zeros(600))
