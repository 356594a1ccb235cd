"""Summaries: exact on curves of known area and slope, honest about what was left out."""

import numpy as np
import pytest

from o2diffusion.imputing import Filled
from o2diffusion.summaries import complete, mean_over, summarise

NAN = np.nan


def filled_by(condition, fill, *, draws=50, sd=0.0, seed=0) -> Filled:
    """Draws around `fill` (n, r) at the wanted samples."""
    row, column = np.nonzero(condition.wanted)
    noise = sd * np.random.default_rng(seed).standard_normal((draws, len(row)))
    return Filled(condition, row, column, fill[row, column] + noise)


def test_complete_keeps_what_was_observed_and_puts_draws_where_wanted(condition):
    oxygen = np.array([[1.0, NAN], [NAN, 5.0], [3.0, NAN]])
    one = condition([0, 1, 4], oxygen, wanted=[[False, True], [True, False], [False, False]])
    draws = complete(Filled(one, np.array([0, 1]), np.array([1, 0]), np.array([[10.0, 20.0], [11.0, 21.0]])))
    assert draws.shape == (2, 3, 2)
    np.testing.assert_array_equal(draws[1], [[1, 11], [21, 5], [3, NAN]])
    np.testing.assert_array_equal(complete(one)[0], oxygen)


def test_the_area_of_a_straight_line_is_exact_on_any_sampling_and_window(condition):
    rng = np.random.default_rng(0)
    time = np.sort(np.concatenate([[0, 100], rng.uniform(0, 100, 37)]))
    one = condition(time, np.stack([3 + 0.5 * time, 7 + 0 * time], axis=1))
    table = summarise([one], "area").table()
    np.testing.assert_allclose(table["mean"], [28.0, 7.0])
    table = summarise([one], "area", window=(20.3, 60.7)).table()
    np.testing.assert_allclose(table["mean"], [3 + 0.5 * 40.5, 7.0])
    table = summarise([one], "final_level", hours=10).table()
    np.testing.assert_allclose(table["mean"], [3 + 0.5 * 95, 7.0])
    assert table["start_h"].tolist() == [90, 90]


def test_dense_sampling_of_a_part_does_not_pull_the_area(condition):
    time = np.concatenate([np.linspace(0, 1, 500), np.linspace(1.1, 10, 20)])
    value = np.where(time <= 1, 100.0, 0.0)
    area = summarise([condition(time, value)], "area").table()["mean"][0]
    assert 10.0 <= area <= 11.0  # the plain mean is 96


def test_a_window_is_level_beyond_the_samples_and_its_share_is_told():
    value, share = mean_over(np.array([2.0, 4.0]), np.array([[1.0, 3.0]]), 0.0, 10.0)
    assert share == pytest.approx(0.2)
    assert value[0] == pytest.approx((2 * 1 + 2 * 2 + 6 * 3) / 10)
    assert mean_over(np.array([5.0]), np.array([[4.0]]), 0.0, 10.0)[0] == 4.0


def test_filling_gives_the_interval_and_the_truth(condition):
    time = np.linspace(0, 50, 101)
    truth = (20 + 10 * np.sin(time / 5))[:, None]
    hidden = truth.copy()
    hidden[30:60] = NAN
    one = filled_by(condition(time, hidden), truth, sd=2.0, draws=400)
    row = summarise([one], "area").table().iloc[0]
    whole = summarise([condition(time, truth)], "area").table().iloc[0]
    assert row["mean"] == pytest.approx(whole["mean"], abs=0.05)
    sd = 2.0 * np.sqrt(30) / 100
    assert row["q95"] - row["q05"] == pytest.approx(2 * 1.645 * sd, rel=0.2)
    np.testing.assert_allclose([whole["q05"], whole["q95"]], whole["mean"])
    assert row["q05"] < row["q50"] < row["q95"]


def test_short_replicates_are_left_out_and_said(condition):
    time = np.linspace(0, 10, 11)
    oxygen = np.stack([time, np.where(time < 5, time, NAN), np.full(11, NAN)], axis=1)
    found = summarise([condition(time, oxygen, wanted=np.zeros((11, 3), bool))], "area")
    assert found.keys["replicate"].tolist() == ["0"]
    assert "2 replicates" in found.notes[0]
    assert "s/1, s/2" in found.notes[0]
    assert len(summarise([condition(time, oxygen)], "area", min_covered=0.3).keys) == 2
    with pytest.raises(ValueError, match="expected at least one replicate"):
        summarise([condition(time, oxygen[:, 2:])], "area")


def test_the_mean_of_replicates_has_an_interval_from_both(condition):
    rng = np.random.default_rng(1)
    inside = 0
    for k in range(200):
        level = 10 + rng.normal(0, 2.0, 3)
        one = condition([0.0, 1.0], np.tile(level, (2, 1)))
        row = summarise([one], "area").by_series(seed=k).iloc[0]
        inside += row["q05"] <= 10 <= row["q95"]
    assert row["n_replicates"] == 3
    assert 0.83 <= inside / 200 <= 0.96
    lone = summarise([condition([0.0, 1.0], [4.0, 4.0])], "area").by_series()
    assert lone[["n_replicates", "q05", "q95"]].iloc[0].tolist() == [1, 4.0, 4.0]


def test_keys_go_through_and_units_are_said(condition):
    one = condition([0.0, 10.0], [1.0, 1.0], drug="a", concentration_um=2.5, unit="mg/L", series_id="x")
    row = summarise([one], "area").table().iloc[0]
    assert row[["drug", "concentration_um", "series_id", "summary", "unit"]].tolist() == [
        "a",
        2.5,
        "x",
        "area",
        "mg/L",
    ]


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"kind": "volume"}, "expected one of area"),
        ({"kind": "area", "window": (5, 5)}, "start < end"),
        ({"kind": "final_level", "hours": 0}, "hours > 0"),
        ({"kind": "area", "blanks": ["b"]}, "blanks: belongs to the summary consumption_rate"),
        ({"kind": "final_level", "settle_h": 1.0}, "settle_h: belongs to the summary consumption_rate"),
    ],
)
def test_senseless_questions_are_refused(condition, words, match):
    with pytest.raises(ValueError, match=match):
        summarise([condition([0.0, 1.0], [1.0, 1.0])], **words)
