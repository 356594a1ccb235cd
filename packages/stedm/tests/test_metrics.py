"""Measures against their definitions, against scipy, and under what must not change them."""

import numpy as np
import pytest
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from stedm import metrics


def points(seed=0, n=80, d=2):
    return np.random.default_rng(seed).normal(size=(n, d))


def moved(x, seed=3, scale=2.5):
    """The points turned, mirrored, scaled and shifted."""
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(x.shape[1],) * 2))[0]
    turn[:, 0] *= -np.sign(np.linalg.det(turn))
    return scale * x @ turn + 7.0


@pytest.mark.parametrize("d", [2, 3])
def test_the_truth_under_a_similarity_is_perfect(d):
    x = points(d=d)
    found = metrics.score(moved(x), x)
    assert (found.jaccard10, found.hit10, found.mirrored) == (1.0, 1.0, 1)
    assert found.spearman == pytest.approx(1.0)
    assert found.rmse == pytest.approx(0.0, abs=1e-9)
    assert found.scale_ratio == pytest.approx(2.5)


def test_procrustes_is_scipys():
    a, b = points(0), points(1)
    assert metrics.score(a, b).rmse ** 2 == pytest.approx(procrustes(b, a)[2])


def test_neighbours_and_distances_are_those_of_the_full_matrix():
    a, b = points(0), points(0) + 0.4 * points(1)
    lists = [np.argsort(squareform(pdist(x)) + 1e9 * np.eye(80), axis=1)[:, :10] for x in (a, b)]
    each = [len({*p} & {*q}) for p, q in zip(*lists, strict=True)]
    found = metrics.score(b, a)
    assert found.jaccard10 == pytest.approx(np.mean([e / (20 - e) for e in each]))
    assert found.hit10 == pytest.approx(np.mean(each) / 10)
    assert found.spearman == pytest.approx(spearmanr(pdist(a), pdist(b)).statistic)


def test_sampled_pairs_are_close_to_all(monkeypatch):
    a, b = points(0, 300), points(0, 300) + 0.5 * points(1, 300)
    whole = metrics.distance_spearman(a, b)
    monkeypatch.setattr(metrics, "ALL_PAIRS", 100)
    assert metrics.distance_spearman(a, b) == pytest.approx(whole, abs=0.01)


def test_the_floor_is_what_random_positions_reach():
    rng = np.random.default_rng(0)
    found = [
        metrics.score(rng.normal(size=(60, 2)), rng.normal(size=(60, 2)), seed=i).jaccard10 for i in range(40)
    ]
    assert np.mean(found) == pytest.approx(metrics.random_floor(60), rel=0.05)


def test_the_order_of_the_cells_does_not_matter_and_ties_are_not_read_from_it():
    x = points()
    order = np.random.default_rng(1).permutation(80)
    a, b = metrics.score(x + 0.1, x).as_dict(), metrics.score((x + 0.1)[order], x[order]).as_dict()
    assert a == pytest.approx(b, nan_ok=True)
    line = np.stack([np.arange(200.0), np.zeros(200)], axis=1)
    collapsed = metrics.score(np.zeros((200, 2)), line)
    assert collapsed.jaccard10 < 3 * metrics.random_floor(200)


def test_an_honest_sd_is_called_honest():
    rng = np.random.default_rng(0)
    sd = rng.uniform(0.1, 2.0, 4000)
    error = np.linalg.norm(rng.normal(size=(4000, 2)) * sd[:, None] / np.sqrt(2), axis=1)
    rank, ratio, inside = metrics.calibrate(error, sd, 2)
    assert rank > 0.5
    assert ratio == pytest.approx(1.0, abs=0.05)
    assert inside == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_cells_and_one_place_give_nan_and_no_error(n):
    assert np.isnan(metrics.score(np.zeros((n, 2)), np.ones((n, 2))).jaccard10)
    assert np.isnan(metrics.score(np.zeros((n, 2)), np.ones((n, 2))).rmse)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="expected finite points"):
        metrics.score(np.full((4, 2), np.nan), np.zeros((4, 2)))


@pytest.mark.parametrize("sd", [np.ones(81), np.ones((80, 1)), np.full(80, np.nan)])
def test_an_sd_that_is_not_one_finite_number_a_cell_is_refused(sd):
    with pytest.raises(ValueError, match="expected a finite sd for each of 80 points"):
        metrics.score(points(), points(1), sd)
