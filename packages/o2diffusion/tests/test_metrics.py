"""Scores: against scoringrules, coverage counted by hand, near and far, areas under what was hidden."""

import numpy as np
import pytest
import scoringrules as sr
from scipy.stats import norm

from o2diffusion.metrics import Prediction, gaussian_crps, score

ONE = np.zeros(4, dtype=int)
FAR = np.zeros(4, dtype=bool)


def test_the_crps_of_a_gaussian_is_that_of_scoringrules():
    rng = np.random.default_rng(0)
    mean, sd, truth = rng.normal(size=50), rng.uniform(0.01, 3, 50), rng.normal(size=50) * 3
    np.testing.assert_allclose(gaussian_crps(mean, sd, truth), sr.crps_normal(truth, mean, sd), atol=1e-10)


@pytest.mark.parametrize("n", [2, 5, 100])
def test_the_crps_of_draws_is_the_fair_one_of_scoringrules(n):
    rng = np.random.default_rng(n)
    draws, truth = rng.normal(size=(n, 30)), rng.normal(size=30)
    row = score(Prediction(draws.mean(0), draws=draws), truth, np.zeros(30, int), np.zeros(30, bool))
    expected = sr.crps_ensemble(truth, draws.T, estimator="fair")
    assert row["crps"] == pytest.approx(expected.mean(), abs=1e-10)


def test_errors_by_hand():
    row = score(Prediction(np.array([1.0, 2, 3, 4])), np.array([1.0, 0, 3, 8]), ONE, FAR)
    assert row == pytest.approx({"mae": 1.5, "rmse": np.sqrt(20 / 4), "crps": 1.5})


def test_coverage_by_hand():
    truth = np.array([0.0, 0.6, 1.6, 2.0])
    normal = score(Prediction(np.zeros(4), sd=np.ones(4)), truth, ONE, FAR)
    assert normal["coverage50"] == 0.5  # within .674
    assert normal["coverage90"] == 0.75  # within 1.645
    draws = np.tile(np.arange(101.0)[:, None], (1, 4))
    found = score(Prediction(np.full(4, 50.0), draws=draws), np.array([50.0, 24.0, 6.0, 99.0]), ONE, FAR)
    assert found["coverage50"] == 0.25  # within 25 to 75
    assert found["coverage90"] == 0.75  # within 5 to 95


def test_calibrated_beliefs_are_covered_as_often_as_they_say():
    rng = np.random.default_rng(1)
    truth, replicate = rng.normal(size=4000), np.zeros(4000, int)
    near = np.zeros(4000, bool)
    normal = score(Prediction(np.zeros(4000), sd=np.ones(4000)), truth, replicate, near)
    drawn = score(Prediction(np.zeros(4000), draws=rng.normal(size=(200, 4000))), truth, replicate, near)
    for row in (normal, drawn):
        assert row["coverage50"] == pytest.approx(0.5, abs=0.03)
        assert row["coverage90"] == pytest.approx(0.9, abs=0.02)
        assert row["crps"] == pytest.approx(norm.std() / np.sqrt(np.pi), rel=0.03)


def test_an_area_is_covered_by_joint_draws_and_not_by_independent_ones():
    rng = np.random.default_rng(2)
    joint, apart = [], []
    for _ in range(150):
        truth = np.full(20, rng.normal())  # one error shared by all cells
        replicate, near = np.repeat([0, 3], 10), np.zeros(20, bool)
        together = np.repeat(rng.normal(size=(200, 1)), 20, axis=1)
        for draws, found in ((together, joint), (rng.normal(size=(200, 20)), apart)):
            row = score(Prediction(np.zeros(20), draws=draws), truth, replicate, near)
            found.append(row["area_coverage90"])
    assert np.mean(joint) == pytest.approx(0.9, abs=0.07)
    assert np.mean(apart) < 0.6


def test_an_area_of_a_gaussian_uses_its_joint_spread_by_replicate():
    truth = np.array([1.0, 1.0, 5.0, 5.0])
    replicate = np.array([0, 0, 2, 2])
    p = Prediction(np.zeros(4), sd=np.ones(4), area_sd=np.array([1.0, 1.0]))
    assert score(p, truth, replicate, FAR)["area_coverage90"] == 0.5
    wide = Prediction(np.zeros(4), sd=np.ones(4), area_sd=np.array([1.0, 4.0]))
    assert score(wide, truth, replicate, FAR)["area_coverage90"] == 1.0


def test_near_and_far_part_the_cells():
    near = np.array([True, False, False, False])
    row = score(Prediction(np.zeros(4)), np.array([4.0, 1.0, 2.0, 3.0]), ONE, near)
    assert (row["mae_near"], row["mae_far"], row["mae"]) == (4.0, 2.0, 2.5)
    assert "mae_near" not in score(Prediction(np.zeros(4)), np.zeros(4), ONE, FAR)
    everywhere = score(Prediction(np.zeros(4)), np.ones(4), ONE, ~FAR)
    assert everywhere["mae_near"] == 1.0
    assert "mae_far" not in everywhere
