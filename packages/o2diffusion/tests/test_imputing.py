"""From holes to draws: every wanted sample once, narrow windows for short gaps, added times, a straight truth."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from o2diffusion.imputing import (
    MARGIN,
    WINDOW,
    add_times,
    gap_windows,
    impute_conditions,
    items_of,
    sample_noise,
)

SCALE = [(40.0, 20.0)]
NOBODY = [(-1, float("nan"))]


def holey(make, seed, n, r, hours):
    """Irregular times with holes of every length, wanted or simply not there."""
    rng = np.random.default_rng(seed)
    time = np.unique(rng.uniform(0, hours, n)) + rng.uniform(-50, 50)
    oxygen = rng.normal(size=(len(time), r))
    oxygen[rng.random(oxygen.shape) < rng.choice([0.0, 0.02, 0.3, 0.9])] = np.nan
    for k in range(r):
        first = rng.integers(0, len(time))
        oxygen[first : first + rng.integers(0, len(time) + 1), k] = np.nan
    wanted = np.isnan(oxygen) & (rng.random(oxygen.shape) < rng.choice([0.1, 1.0]))
    return make(time, oxygen, wanted=wanted)


@given(
    seed=st.integers(0, 100_000),
    n=st.integers(1, 1500),
    r=st.integers(1, 4),
    hours=st.sampled_from([0.01, 24.0, 400.0, 1e5]),
)
@settings(max_examples=150)
def test_every_wanted_sample_is_answered_exactly_once(condition, seed, n, r, hours):
    one = holey(condition, seed, n, r, hours)
    windows = gap_windows(one)
    answered = sum((w[2].astype(int) for w in windows), np.zeros(one.wanted.shape, dtype=int))
    np.testing.assert_array_equal(answered, one.wanted)
    first, last = one.time_h[0], one.time_h[-1]
    for start, end, mine in windows:
        assert mine.any()
        times = one.time_h[mine.any(axis=1)]
        tiny = 1e-9 * max(last - first, 1e-9)
        assert first - tiny <= start <= times.min()
        assert times.max() <= end <= last + tiny


@given(seed=st.integers(0, 10_000), n=st.integers(100, 1500))
def test_a_window_has_room_around_its_gaps(condition, seed, n):
    one = holey(condition, seed, n, 2, 400.0)
    first, last = one.time_h[0], one.time_h[-1]
    for start, end, mine in gap_windows(one):
        times = one.time_h[mine.any(axis=1)]
        margin = (MARGIN - 1e-9) * (end - start)
        assert times.min() >= start + margin or start <= first
        assert times.max() <= end - margin or end >= last


def test_a_short_gap_is_seen_through_a_narrow_window_and_a_long_one_through_a_wide_one(condition):
    time = np.arange(0, 1000.0)
    oxygen = np.sin(time / 50)[:, None]
    oxygen[500] = np.nan
    ((start, end, _),) = gap_windows(condition(time, oxygen))
    assert 128 <= end - start <= 256  # no cell is finer than the samples; windows are halves of the whole
    assert start < 500 < end
    oxygen[494:506] = np.nan
    ((start, end, _),) = gap_windows(condition(time, oxygen))
    assert WINDOW * 13 <= end - start <= 2 * WINDOW * 13
    oxygen[300:700] = np.nan
    ((start, end, _),) = gap_windows(condition(time, oxygen))
    assert (start, end) == (0.0, 999.0)


def test_a_missing_sample_varies_around_its_cell_as_the_measured_ones_do(condition, tiny_net):
    """Cells of a dozen samples: what their mean took away comes back, steps of the sensor and outliers as they are."""
    time = np.arange(0, 400.0, 0.25)
    rng = np.random.default_rng(0)
    steps = rng.choice([-0.5, 0.0, 0.5, 3.0], len(time), p=[0.3, 0.35, 0.3, 0.05])
    oxygen = np.stack([20 + steps, np.full(len(time), 20.0)], axis=1)
    oxygen[rng.random(oxygen.shape) < 0.1] = np.nan
    one = condition(time, oxygen)
    items = items_of([one], cells=32, fallbacks=[(0.0, 1.0)], who=[(-1, np.nan)])
    wide = max(items, key=lambda found: found[1].grid.width)[1]
    noisy, still = sample_noise(one, wide.grid)
    assert np.ptp(noisy) > 2.5
    assert len(noisy) > 60
    np.testing.assert_allclose(still, 0.0, atol=1e-9)
    blank = replace(one, oxygen=np.full_like(oxygen, np.nan))
    assert all(rest.size == 0 for rest in sample_noise(blank, wide.grid))


def test_a_short_and_a_long_gap_get_a_window_each(condition):
    time = np.arange(0, 1000.0)
    oxygen = np.repeat(np.sin(time / 50)[:, None], 2, axis=1)
    oxygen[100, 0] = np.nan
    oxygen[400:800, 1] = np.nan
    windows = gap_windows(condition(time, oxygen))
    assert len(windows) == 2
    wide, narrow = sorted(windows, key=lambda w: w[0] - w[1])
    assert wide[2][:, 1].sum() == 400
    assert narrow[2][:, 0].sum() == 1
    assert narrow[1] - narrow[0] < 0.3 * (wide[1] - wide[0])


def test_nothing_wanted_needs_no_window_and_one_row_one(condition, curves):
    assert gap_windows(condition(*curves(0))) == []
    ((start, end, mine),) = gap_windows(condition([7.0], [[np.nan, 3.0]]))
    assert (start, end) == (7.0, 7.0)
    assert mine.tolist() == [[True, False]]


def test_added_times_are_wanted_in_every_replicate_but_never_where_one_was_measured(condition):
    oxygen = np.array([[1.0, 1.0], [2.0, np.nan], [np.nan, 3.0], [4.0, 4.0]])
    one = condition([0.0, 1.0, 2.5, 4.0], oxygen, wanted=np.zeros((4, 2), dtype=bool))
    asked = add_times(one, 1.0)
    np.testing.assert_array_equal(asked.time_h, [0, 1, 2, 2.5, 3, 4])
    np.testing.assert_array_equal(asked.wanted, [[0, 0], [0, 1], [1, 1], [0, 0], [1, 1], [0, 0]])
    np.testing.assert_array_equal(asked.oxygen[[0, 1, 3, 5]], oxygen)
    assert not (asked.wanted & np.isfinite(asked.oxygen)).any()


@given(seed=st.integers(0, 1000), every=st.floats(0.05, 60.0))
def test_adding_times_keeps_every_sample_and_asks_for_every_step(condition, seed, every):
    one = holey(condition, seed, 60, 3, 50.0)
    asked = add_times(one, every)
    assert (np.diff(asked.time_h) > 0).all()
    old = np.isin(asked.time_h, one.time_h)
    np.testing.assert_array_equal(asked.oxygen[old], one.oxygen)
    assert (asked.wanted[old] >= one.wanted).all()
    steps = one.time_h[0] + every * np.arange(int((one.time_h[-1] - one.time_h[0]) / every) + 1)
    for step in steps:
        row = np.abs(asked.time_h - step).argmin()
        assert abs(asked.time_h[row] - step) < 1e-6
        assert (asked.wanted[row] | np.isfinite(asked.oxygen[row])).all()


def test_a_window_asked_for_one_time_needs_no_denoising(tiny_net, condition, curves, monkeypatch):
    time, oxygen = curves(0, n=400)
    oxygen[150] = np.nan
    one = condition(time, oxygen)

    def never(*given, **named):
        raise AssertionError

    monkeypatch.setattr(tiny_net.denoiser, "forward", never)
    kept = {"fallbacks": [(40.0, 20.0)], "who": [(-1, float("nan"))], "draws": 400, "seed": 0}
    (filled,) = impute_conditions(tiny_net, [one], **kept)
    assert filled.draws.shape == (400, 3)
    assert np.isfinite(filled.draws).all()
    oxygen[151] = np.nan
    with pytest.raises(AssertionError):
        impute_conditions(tiny_net, [condition(time, oxygen)], **kept)


@pytest.mark.parametrize("every", [0.0, -1.0, float("nan"), float("inf"), 1e-7])
def test_a_step_that_is_none_is_refused(condition, curves, every):
    with pytest.raises(ValueError, match="every: expected a step"):
        add_times(condition(*curves(0)), every)


def test_windows_are_looked_at_in_threads_with_the_same_result_in_the_same_order(condition, curves):
    conditions = []
    for k in range(6):
        time, oxygen = curves(k, n=120, r=1 + k % 4)
        oxygen[20 + 10 * k : 35 + 10 * k] = np.nan
        conditions.append(condition(time, oxygen, changes=(20.0,)))
    settings = {"cells": 32, "fallbacks": SCALE * 6, "who": [(k, float(k)) for k in range(6)]}
    threads, pools = torch.get_num_threads(), threadpool_info()
    found = []
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            found.append(items_of(conditions, **settings))
    finally:
        torch.set_num_threads(threads)
    assert threadpool_info() == pools  # linear algebra has its threads again
    assert [k for k, _, _ in found[0]] == sorted(k for k, _, _ in found[0])
    for (k, a, mine), (other, b, same) in zip(*found, strict=True):
        assert k == other == a.drug
        np.testing.assert_array_equal(mine, same)
        for field in fields(a.features):
            x, y = (getattr(one.features, field.name) for one in (a, b))
            np.testing.assert_array_equal(x, y, err_msg=field.name)


def test_a_straight_truth_is_filled_straight(tiny_config, condition):
    from o2diffusion.model import FlexibleReplicateDiffusionModel

    torch.manual_seed(0)
    net = FlexibleReplicateDiffusionModel(tiny_config)  # untrained: what it starts with knows lines already
    time = np.sort(np.random.default_rng(0).uniform(0, 100, 150))
    truth = (20 + 0.5 * time)[:, None] + np.array([0.0, 3.0])
    oxygen = truth.copy()
    oxygen[40:60, 0] = np.nan
    oxygen[90, :] = np.nan
    (found,) = impute_conditions(
        net, [condition(time, oxygen)], fallbacks=SCALE, who=NOBODY, draws=20, seed=0
    )
    assert found.draws.shape == (20, 22)
    np.testing.assert_array_equal(np.isnan(oxygen[found.row, found.column]), True)
    middle = np.median(found.draws, axis=0)
    assert np.abs(middle - truth[found.row, found.column]).max() < 0.05 * truth.std()


def test_every_answer_belongs_to_its_row_and_replicate(tiny_net, condition, curves):
    time, oxygen = curves(1, n=120)
    rng = np.random.default_rng(0)
    oxygen[rng.random(oxygen.shape) < 0.2] = np.nan
    one = condition(time, oxygen)
    (found,) = impute_conditions(tiny_net, [one], fallbacks=SCALE, who=NOBODY, draws=3, seed=0)
    got = np.zeros(oxygen.shape, dtype=int)
    np.add.at(got, (found.row, found.column), 1)
    np.testing.assert_array_equal(got, np.isnan(oxygen))
    assert np.isfinite(found.draws).all()


@pytest.mark.parametrize("case", ["constant", "nothing", "one row", "one empty row", "one replicate"])
def test_strange_series_are_filled_with_numbers(tiny_net, condition, curves, case):
    time, oxygen = curves(2)
    if case == "constant":
        oxygen[:] = 7.0
        oxygen[20:30] = np.nan
    if case == "nothing":
        oxygen[:] = np.nan
    if case == "one replicate":
        oxygen[:, 1] = np.nan
    if case.startswith("one row"):
        time, oxygen = time[:1], np.array([[5.0, np.nan]])
    if case == "one empty row":
        time, oxygen = time[:1], np.full((1, 2), np.nan)
    one = condition(time, oxygen)
    (found,) = impute_conditions(tiny_net, [one], fallbacks=SCALE, who=NOBODY, draws=5, seed=0)
    assert found.draws.shape == (5, one.wanted.sum())
    assert np.isfinite(found.draws).all()


def test_another_unit_and_another_pace_fill_the_same(tiny_net, condition, curves):
    time, oxygen = curves(3, n=120)
    oxygen[30:50, 1] = np.nan
    oxygen[80:90] = np.nan
    found = [
        impute_conditions(
            tiny_net,
            [condition(pace * time, factor * oxygen + shift)],
            fallbacks=SCALE,
            who=NOBODY,
            draws=6,
            seed=0,
        )[0].draws
        for pace, factor, shift in ((1.0, 1.0, 0.0), (1.0, 0.0417, 0.2), (100.0, 1.0, 0.0), (0.01, 5.0, -9.0))
    ]
    scale = np.nanstd(oxygen)
    for draws, (factor, shift) in zip(found[1:], ((0.0417, 0.2), (1.0, 0.0), (5.0, -9.0)), strict=True):
        np.testing.assert_allclose((draws - shift) / factor, found[0], atol=0.02 * scale)


def test_the_noise_of_single_samples_is_given_back(tiny_config, condition):
    """A cell of ten samples has a third of their noise; a filled sample is a measurement."""
    from o2diffusion.model import FlexibleReplicateDiffusionModel

    torch.manual_seed(0)
    net = FlexibleReplicateDiffusionModel(tiny_config)
    rng = np.random.default_rng(0)
    time = np.linspace(0, 100, 32 * 30)
    clean = 50 + 20 * np.sin(time / 15)
    oxygen = (clean + rng.normal(0, 2.0, len(time)))[:, None]
    oxygen[300:700] = np.nan
    (found,) = impute_conditions(
        net, [condition(time, oxygen)], fallbacks=SCALE, who=NOBODY, draws=40, seed=0
    )
    jumps = np.diff(found.draws, axis=1)  # within a cell of thirty samples the curve itself hardly moves
    assert jumps.std() == pytest.approx(2.0 * np.sqrt(2), rel=0.1)
