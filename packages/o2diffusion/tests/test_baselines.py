"""Simple fills: exact where they must be, defined where nothing is visible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o2diffusion import baselines, gp

NONE = np.empty(0)
ALL = list(baselines.POINT_FILLS)


def holes(value, seed, share=0.4):
    """The values with cells hidden, both ends left as they are."""
    hidden = np.random.default_rng(seed).random(value.shape) < share
    hidden[[0, -1]] = False
    return np.where(hidden, np.nan, value)


def times(t, r, seed=0):
    """Irregular times, a little apart in each replicate."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.uniform(0.5, 2.0, (t, 1)), axis=0) + rng.uniform(-0.2, 0.2, (t, r))


@pytest.mark.parametrize("name", ["linear", "pchip", "event_template"])
@given(seed=st.integers(0, 1000))
def test_straight_lines_on_irregular_times_are_exact(name, seed):
    time = times(40, 3, seed)
    value = 2.0 - 0.3 * time
    found = baselines.POINT_FILLS[name](holes(value, seed), time, NONE)
    np.testing.assert_allclose(found, value, atol=1e-9)


def test_beyond_the_ends_a_curve_stays_level():
    value = np.array([[np.nan], [1.0], [3.0], [np.nan]])
    time = np.arange(4.0)[:, None]
    for fill in (baselines.linear, baselines.pchip):
        np.testing.assert_allclose(fill(value, time, NONE)[:, 0], [1, 1, 3, 3])


@pytest.mark.parametrize("r", [2, 3, 4])
def test_parallel_replicates_with_different_holes_are_exact(r):
    rng = np.random.default_rng(r)
    curve, time = rng.normal(size=80).cumsum(), np.repeat(np.arange(80.0)[:, None], r, axis=1)
    value = curve[:, None] + rng.normal(0, 5, r)
    hidden = np.zeros(value.shape, dtype=bool)
    for k in range(r):
        hidden[5 + 15 * k : 5 + 15 * (k + 1), k] = True  # a block each, at different times
    found = baselines.replicate_mean(np.where(hidden, np.nan, value), time, NONE)
    np.testing.assert_allclose(found[hidden], value[hidden], atol=1e-9)
    straight = baselines.linear(np.where(hidden, np.nan, value), time, NONE)
    assert np.abs(straight - value)[hidden].max() > 1.0


def test_replicates_that_drift_apart_in_a_line_are_exact():
    time = np.repeat(np.arange(30.0)[:, None], 2, axis=1)
    value = np.sin(time) + np.array([0.0, 1.0]) + time * np.array([0.0, 0.2])
    hidden = np.zeros(value.shape, dtype=bool)
    hidden[10:20, 1] = True
    found = baselines.replicate_mean(np.where(hidden, np.nan, value), time, NONE)
    np.testing.assert_allclose(found[hidden], value[hidden], atol=1e-9)


def test_a_hole_of_all_replicates_is_a_line():
    time = np.repeat(np.arange(30.0)[:, None], 2, axis=1)
    value = np.sin(time) + np.array([0.0, 1.0])
    value[10:20] = np.nan
    found = baselines.replicate_mean(value, time, NONE)
    np.testing.assert_allclose(found[10:20], baselines.linear(value, time, NONE)[10:20])


@pytest.mark.parametrize("name", ALL)
def test_a_replicate_that_shows_nothing_gets_the_mean_of_the_others(name):
    time = times(30, 3)
    value = holes(np.sin(time) + np.arange(3), 1)
    value[:, 2] = np.nan
    found = baselines.POINT_FILLS[name](value, time, NONE)
    np.testing.assert_allclose(found[:, 2], found[:, :2].mean(axis=1), atol=0.6)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("events", [NONE, np.array([5.5, 12.0])])
def test_nothing_visible_is_zero(name, events):
    time = np.repeat(np.arange(20.0)[:, None], 2, axis=1)
    found = baselines.POINT_FILLS[name](np.full((20, 2), np.nan), time, events)
    np.testing.assert_array_equal(found, 0.0)


@pytest.mark.parametrize("name", ALL)
def test_one_visible_cell_is_its_level(name):
    time = np.repeat(np.arange(20.0)[:, None], 2, axis=1)
    value = np.full((20, 2), np.nan)
    value[7, 0] = 3.0
    found = baselines.POINT_FILLS[name](value, time, np.array([10.2]))
    np.testing.assert_allclose(found, 3.0)


def spikes(t, events):
    """A level of 1 with the same decaying spike after every event."""
    since = np.arange(t)[:, None] - np.ceil(events)[None, :]
    last = np.where(since >= 0, since, np.inf).min(axis=1)
    return 1.0 + 4.0 * np.exp(-last / 3.0)


def test_a_repeated_response_is_learnt_from_the_other_events():
    events = np.array([20.5, 50.5, 80.5, 110.5])
    curve = spikes(140, events)
    time = np.repeat(np.arange(140.0)[:, None], 2, axis=1)
    value = np.repeat(curve[:, None], 2, axis=1)
    hidden = np.zeros(value.shape, dtype=bool)
    hidden[79:95] = True  # one whole response, in all replicates
    seen = np.where(hidden, np.nan, value)
    error = {
        name: np.abs(baselines.POINT_FILLS[name](seen, time, events) - value)[hidden].mean()
        for name in ("linear", "event_template")
    }
    assert error["event_template"] < 0.1 * error["linear"]


def test_the_template_is_zero_until_the_first_event_and_with_no_event_inside():
    time = np.repeat(np.arange(60.0)[:, None], 2, axis=1)
    value = np.repeat(spikes(60, np.array([20.5, 40.5]))[:, None], 2, axis=1)
    shape = baselines.template(value, time, np.array([20.5, 40.5]))
    np.testing.assert_array_equal(shape[:20], 0.0)
    assert shape[21, 0] == pytest.approx(value[21, 0] - 1.0, abs=0.1)
    for outside in (NONE, np.array([-5.0, 70.0])):
        np.testing.assert_array_equal(baselines.template(value, time, outside), 0.0)


def test_stretched_time_changes_no_fill():
    rng = np.random.default_rng(5)
    time = times(60, 3)
    value, events = holes(rng.normal(size=(60, 3)).cumsum(axis=0), 2), np.array([20.123, 41.456])
    for name, fill in baselines.POINT_FILLS.items():
        np.testing.assert_allclose(
            fill(value, time, events), fill(value, 100 * time, 100 * events), atol=1e-9, err_msg=name
        )


def test_the_process_fills_a_hidden_block_from_the_other_replicate():
    rng = np.random.default_rng(0)
    time = np.repeat(np.linspace(0, 1, 60)[:, None], 2, axis=1)
    value = np.sin(8 * time) + np.array([0.0, 0.3]) + 0.02 * rng.normal(size=time.shape)
    seen = value.copy()
    seen[20:40, 1] = np.nan
    shared = baselines.gaussian_process(seen, time).mean.reshape(60, 2)
    alone = baselines.gaussian_process(seen, time, shared=False).mean.reshape(60, 2)
    error = [np.abs(found - value)[20:40, 1].mean() for found in (shared, alone)]
    assert error[0] < 0.05 < 2 * error[1]
    assert error[0] < error[1]


def test_a_replicate_that_shows_nothing_gets_the_others_beliefs_trace_by_trace():
    time = times(40, 3)
    value = holes(np.sin(time / 8) + np.array([0.0, 2.0, 0.0]), 1)
    value[:, 2] = np.nan
    found = baselines.gaussian_process(value, time, shared=False)
    mean, sd = found.mean.reshape(40, 3), found.sd.reshape(40, 3)
    np.testing.assert_allclose(mean[:, 2], mean[:, :2].mean(axis=1))
    np.testing.assert_allclose(sd[:, 2] ** 2, (sd[:, :2] ** 2).mean(axis=1) + mean[:, :2].var(axis=1))
    alone = baselines.gaussian_process(value[:, :1], time[:, :1], shared=False)
    assert np.abs(alone.mean - mean[:, 0]).max() < 0.05


def test_the_process_without_data_is_its_prior():
    time = np.repeat(np.linspace(0, 1, 20)[:, None], 2, axis=1)
    for shared in (True, False):
        found = baselines.gaussian_process(np.full((20, 2), np.nan), time, shared=shared)
        np.testing.assert_array_equal(found.mean, 0.0)
        np.testing.assert_allclose(found.sd**2, np.exp(gp.PRIOR_MEAN[[0, 2, 4, 5]]).sum())
