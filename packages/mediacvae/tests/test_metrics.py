"""Measures against their definitions and against scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from mediacvae import evaluation
from mediacvae.metrics import (
    calibration_error,
    cosine_scores,
    hits,
    jaccard,
    log_loss,
    mse_log1p,
    pearson,
    reconstruction_metrics,
    reliability,
    roc_auc,
)

AMOUNT = st.sampled_from([0.0, 0.005, 0.01, 0.02, 1.0, 30.0, 560.0])
media = arrays(float, (4, 6), elements=AMOUNT)
odds = arrays(float, 30, elements=st.floats(0.0, 1.0))
outcomes = arrays(bool, 30).filter(lambda y: 0 < y.sum() < 30)
X = np.array([[0.0, 1.0, 3.0], [2.0, 0.0, 0.0]])


@given(media, media)
def test_media_are_measured_pair_by_pair(x: np.ndarray, recon: np.ndarray) -> None:
    apart = [np.mean((np.log1p(a) - np.log1p(b)) ** 2) for a, b in zip(x, recon, strict=True)]
    assert mse_log1p(x, recon) == pytest.approx(np.mean(apart))
    alike, shared = [], []
    for a, b in zip(x, recon, strict=True):
        constant = len(set(a)) == 1 or len(set(b)) == 1
        alike.append(0.0 if constant else stats.pearsonr(np.log1p(a), np.log1p(b)).statistic)
        one, other = set(np.flatnonzero(a > 0.01)), set(np.flatnonzero(b > 0.01))
        shared.append(len(one & other) / len(one | other) if one | other else 1.0)
    assert pearson(x, recon) == pytest.approx(np.mean(alike), abs=1e-9)
    assert jaccard(x, recon) == pytest.approx(np.mean(shared))


@given(media)
def test_what_is_the_same_is_perfect(x: np.ndarray) -> None:
    x[:, 0], x[:, 1] = 1.0, 2.0  # no pair is constant
    said = reconstruction_metrics(x, x)
    assert said == pytest.approx({"mse": 0.0, "pearson_r": 1.0, "ingredient_match_pct": 100.0})


def test_the_three_numbers_are_also_where_the_specification_says() -> None:
    assert evaluation.reconstruction_metrics is reconstruction_metrics
    assert list(reconstruction_metrics(X, X)) == ["mse", "pearson_r", "ingredient_match_pct"]


def test_presence_begins_above_a_hundredth_of_a_gram() -> None:
    assert jaccard(np.array([[0.01, 1.0]]), np.array([[0.0, 1.0]])) == 1.0
    assert jaccard(np.array([[0.011, 1.0]]), np.array([[0.0, 1.0]])) == 0.5


@given(media, media)
def test_cosine_is_of_log1p_and_of_nothing_0(x: np.ndarray, library: np.ndarray) -> None:
    scores = cosine_scores(x, library)
    for i, a in enumerate(np.log1p(x)):
        for j, b in enumerate(np.log1p(library)):
            size = np.linalg.norm(a) * np.linalg.norm(b)
            assert scores[i, j] == pytest.approx(a @ b / size if size else 0.0, abs=1e-12)


@given(
    arrays(np.int8, (3, 7), elements=st.integers(0, 3)),
    st.lists(st.sets(st.integers(0, 6), min_size=1), min_size=3, max_size=3),
)
def test_a_hit_is_a_true_medium_among_the_first(scores: np.ndarray, truths: list[set[int]]) -> None:
    said = hits(scores.astype(float), truths, ks=(1, 3, 7))
    for k, share in said.items():
        found = 0
        for row, truth in zip(scores, truths, strict=True):
            order = sorted(range(7), key=lambda j, row=row: (-row[j], j))  # the first of equals is first
            found += bool(set(order[:k]) & truth)
        assert share == pytest.approx(found / 3)
    assert said[1] <= said[3] <= said[7] == 1.0


@given(arrays(np.int8, 30, elements=st.integers(-4, 4)), outcomes)
def test_auc_is_mann_and_whitneys_with_midranks(score: np.ndarray, y: np.ndarray) -> None:
    u = stats.mannwhitneyu(score[y].astype(float), score[~y].astype(float)).statistic
    assert roc_auc(score, y) == pytest.approx(u / (y.sum() * (~y).sum()))
    assert roc_auc(-score.astype(float), y) == pytest.approx(1 - roc_auc(score, y))
    assert roc_auc(np.zeros(30), y) == 0.5


@given(odds, outcomes, st.integers(1, 20))
def test_calibration_is_the_weighted_gap_of_the_bins(p: np.ndarray, y: np.ndarray, bins: int) -> None:
    table = reliability(p, y, bins)
    assert sum(row.n for row in table) == 30
    assert sum(row.n * row.said for row in table) == pytest.approx(p.sum())
    assert sum(row.n * row.came for row in table) == pytest.approx(y.sum())
    for row in table:
        assert row.low - 1e-9 <= row.said <= row.high + 1e-9
    gap = calibration_error(p, y, bins)
    assert gap == pytest.approx(sum(row.n * abs(row.said - row.came) for row in table) / 30)
    assert abs(p.mean() - y.mean()) - 1e-9 <= gap <= 1
    assert calibration_error(p, y, 1) == pytest.approx(abs(p.mean() - y.mean()))


def test_calibration_by_hand() -> None:
    p, y = np.array([0.05, 0.15, 0.95, 1.0]), np.array([0, 1, 1, 1])
    assert calibration_error(p, y) == pytest.approx((0.05 + 0.85 + 0.025 * 2) / 4)
    assert [(row.n, row.came) for row in reliability(p, y)] == [(1, 0.0), (1, 1.0), (2, 1.0)]


@given(odds, outcomes)
def test_log_loss_is_finite_and_least_for_the_truth(p: np.ndarray, y: np.ndarray) -> None:
    assert log_loss(y.astype(float), y) < 1e-11
    assert 0 <= log_loss(p, y) < 30
    rate = np.full(30, y.mean())
    expected = -(y.mean() * np.log(y.mean()) + (1 - y.mean()) * np.log(1 - y.mean()))
    assert log_loss(rate, y) == pytest.approx(expected)


BAD = [
    (lambda: mse_log1p(X, X[:1]), "expected x and recon of one shape"),
    (lambda: mse_log1p(X[:0], X[:0]), "not empty"),
    (lambda: pearson(X, -X), "recon: row 0, column 1: expected a finite amount >= 0"),
    (lambda: jaccard(X, X * np.nan), "recon: row 0, column 0: .* got nan"),
    (lambda: jaccard(X[0], X[0]), "x: expected a row a medium"),
    (lambda: cosine_scores(X, X[:, :2]), "the same ingredients, got 3 and 2"),
    (lambda: hits(X, [{0}]), "a row of scores for each set of truths"),
    (lambda: hits(X, [{0}, set()]), "row 1: expected one or more true media from 0 to 2"),
    (lambda: hits(X, [{0}, {3}]), "row 1"),
    (lambda: hits(X * np.nan, [{0}, {1}]), "scores that are not finite"),
    (lambda: hits(X, [{0}, {1}], ks=(0,)), "ks of 1 and more"),
    (lambda: roc_auc(np.arange(3), np.ones(3, dtype=bool)), "both outcomes, got 3 true and 0 false"),
    (lambda: roc_auc(np.array([1.0, np.nan]), np.array([0, 1])), "score: row 1: expected a finite number"),
    (lambda: log_loss(np.array([0.5]), np.array([2])), "true or false"),
    (lambda: log_loss(np.array([]), np.array([])), "two vectors of one length"),
    (lambda: calibration_error(np.array([1.2]), np.array([1])), "from 0 to 1, got 1.2"),
    (lambda: reliability(np.array([1.0]), np.array([1]), bins=0), "bins: expected 1 or more"),
]


@pytest.mark.parametrize(("call", "said"), BAD)
def test_no_measure_is_nan(call: object, said: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=said):
        call()
