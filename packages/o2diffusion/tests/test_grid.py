"""Conditions on a grid of cells: against a loop over samples, irregular times, windows, other units."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o2diffusion.grid import scale_of, to_grid


def by_hand(condition, cells, start, end):
    """Means of values and times, one sample after another."""
    r = condition.oxygen.shape[1]
    found = [[[] for _ in range(r)] for _ in range(cells)]
    for t, row in zip(condition.time_h, condition.oxygen, strict=True):
        if start <= t <= end:
            cell = min(int((t - start) / (end - start) * cells), cells - 1)
            for k, value in enumerate(row):
                if np.isfinite(value):
                    found[cell][k].append((t, value))
    mean = np.array([[np.mean([v for _, v in c]) if c else np.nan for c in row] for row in found])
    width = (end - start) / cells
    when = np.empty(mean.shape)
    for (i, k), _ in np.ndenumerate(when):
        inside = np.clip((condition.time_h - start) / width, 0, cells - 1e-9).astype(int) == i
        due = condition.time_h[inside & (condition.time_h >= start) & (condition.time_h <= end)]
        expected = due.mean() if due.size else start + (i + 0.5) * width
        when[i, k] = np.mean([t for t, _ in found[i][k]]) if found[i][k] else expected
    return mean, when


@given(seed=st.integers(0, 10_000), cells=st.sampled_from([16, 33, 128]), r=st.integers(1, 4))
def test_cells_hold_the_means_of_their_samples_and_of_their_times(condition, curves, seed, cells, r):
    time, oxygen = curves(seed, n=70, r=r)
    oxygen[np.random.default_rng(seed).random(oxygen.shape) < 0.3] = np.nan
    one = condition(time, oxygen)
    grid = to_grid(one, cells)
    mean, when = by_hand(one, cells, time[0], time[-1])
    np.testing.assert_allclose(grid.value, mean)
    np.testing.assert_allclose(grid.time, when)
    np.testing.assert_array_equal(grid.observed, np.isfinite(mean))
    assert grid.edges[0] == time[0]
    assert grid.edges[-1] == time[-1]
    assert (np.diff(grid.time, axis=0) > 0).all()


def test_a_window_holds_its_own_samples_only(condition, curves):
    time, oxygen = curves(1)
    one = condition(time, oxygen)
    grid = to_grid(one, 16, start=10.0, end=20.0)
    mean, when = by_hand(one, 16, 10.0, 20.0)
    np.testing.assert_allclose(grid.value, mean)
    np.testing.assert_allclose(grid.time, when)
    assert grid.width == pytest.approx(10 / 16)
    empty = to_grid(one, 16, start=60.0, end=70.0)
    assert not empty.observed.any()
    np.testing.assert_allclose(empty.time[:, 0], empty.centre)


@pytest.mark.parametrize("at", [0.0, 3.5, 1e6])
def test_one_row_gets_a_window_of_an_hour_around_it(condition, at):
    grid = to_grid(condition([at], [[7.0, np.nan]]), 16)
    assert grid.edges[-1] - grid.edges[0] == pytest.approx(1.0)
    assert grid.observed.sum() == 1
    cell, replicate = np.argwhere(grid.observed)[0]
    assert replicate == 0
    assert grid.edges[cell] <= at <= grid.edges[cell + 1]
    assert (grid.value[cell, 0], grid.time[cell, 0]) == (7.0, at)


@given(factor=st.floats(1e-6, 1e6), shift=st.floats(-1e3, 1e3), seed=st.integers(0, 1000))
def test_another_unit_gives_the_same_grid_in_that_unit(condition, curves, factor, shift, seed):
    time, oxygen = curves(seed)
    here = to_grid(condition(time, oxygen), 24)
    there = to_grid(condition(time, factor * (oxygen + shift)), 24)
    np.testing.assert_allclose(there.value, factor * (here.value + shift), rtol=1e-9, atol=1e-9 * factor)
    np.testing.assert_array_equal(here.time, there.time)
    level, scale = scale_of(here.value, here.observed, (0.0, 1.0))
    other = scale_of(there.value, there.observed, (0.0, 1.0))
    assert other[0] == pytest.approx(factor * (level + shift), rel=1e-9, abs=1e-9 * factor)
    assert other[1] == pytest.approx(factor * scale, rel=1e-6)


def test_hidden_cells_are_gone_and_the_rest_stays(condition, curves):
    time, oxygen = curves(2)
    grid = to_grid(condition(time, oxygen), 16)
    hidden = np.zeros(grid.value.shape, dtype=bool)
    hidden[3:6] = True
    shown = grid.hide(hidden)
    assert not shown.observed[3:6].any()
    np.testing.assert_array_equal(shown.value[~hidden], grid.value[~hidden])
    np.testing.assert_array_equal(shown.time, grid.time)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([np.nan, np.nan], (5.0, 2.0)),  # nothing visible
        ([7.0, np.nan], (7.0, 2.0)),  # one cell has a level, but no scale
        ([7.0, 7.0], (7.0, 2.0)),  # constant
        ([0.0, 0.0], (0.0, 2.0)),
        ([1.0, 3.0], (2.0, 1.0)),
        ([1e-9, 3e-9], (2e-9, 1e-9)),  # small numbers are a unit, not a fault
    ],
)
def test_level_and_scale_fall_back_where_a_curve_has_none(value, expected):
    value = np.array(value)[:, None]
    assert scale_of(value, np.isfinite(value), (5.0, 2.0)) == pytest.approx(expected)
