"""What the network is shown: the same in any unit and at any pace, no trace of what is hidden, finite always."""

import numpy as np
import pytest

from o2diffusion.features import CHANNELS, EXPERTS, GLOBALS, _distances, _event_channels, featurize
from o2diffusion.grid import to_grid

FALLBACK = (40.0, 20.0)
CHANGES = (11.3, 29.7)


@pytest.fixture
def shown(condition, curves):
    """A grid of three replicates with a block and some points hidden."""

    def make(seed=0, cells=32, factor=1.0, shift=0.0, pace=1.0, order=(0, 1, 2), changes=CHANGES):
        time, oxygen = curves(seed)
        one = condition(pace * time, factor * oxygen[:, order] + shift, changes=[pace * c for c in changes])
        grid = to_grid(one, cells)
        hidden = np.random.default_rng(seed).random(grid.value.shape) < 0.2
        hidden[10:15] = True
        return grid.hide(hidden[:, order])

    return make


def assert_alike(a, b, *, order=slice(None), atol=1e-6):
    np.testing.assert_allclose(b.channels, a.channels[:, order], atol=atol)
    np.testing.assert_allclose(b.experts, a.experts[:, order], atol=atol)
    np.testing.assert_allclose(b.sd, a.sd[:, order], rtol=1e-3, atol=atol)
    np.testing.assert_allclose(b.globals, a.globals, atol=atol)


def test_the_shapes_are_those_that_are_announced(shown):
    found = featurize(shown(), fallback=FALLBACK)
    assert found.channels.shape == (32, 3, CHANNELS)
    assert found.globals.shape == (GLOBALS,)
    assert found.experts.shape == (32, 3, len(EXPERTS))
    assert found.sd.shape == (32, 3)
    assert (found.sd > 0).all()


def test_replicates_in_another_order_give_features_in_that_order(shown):
    order = (2, 0, 1)
    theta = featurize(shown(), fallback=FALLBACK).theta
    a, b = (featurize(shown(order=o), fallback=FALLBACK, theta=theta) for o in ((0, 1, 2), order))
    assert_alike(a, b, order=list(order), atol=1e-5)
    a, b = (featurize(shown(order=o), fallback=FALLBACK) for o in ((0, 1, 2), order))
    assert_alike(a, b, order=list(order), atol=5e-3)  # hyper-parameters found by a search


def test_a_replicate_that_shows_nothing_is_expected_where_the_others_are(shown):
    grid = shown()
    hidden = np.zeros(grid.value.shape, dtype=bool)
    hidden[:, 1] = True
    found = featurize(grid.hide(hidden), fallback=FALLBACK)
    process = found.experts[..., 0]
    np.testing.assert_allclose(process[:, 1], process[:, [0, 2]].mean(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.channels[:, 1, 2], np.clip(process[:, 1], -6, 6), rtol=1e-5)
    nothing = featurize(grid.hide(np.ones(grid.value.shape, dtype=bool)), fallback=FALLBACK)
    assert not nothing.experts.any()


@pytest.mark.parametrize(("factor", "shift"), [(0.0417, 0.0), (1e-6, 0.0), (3.0, 500.0)])
def test_another_unit_gives_the_same_features(shown, factor, shift):
    a = featurize(shown(), fallback=FALLBACK)
    b = featurize(shown(factor=factor, shift=shift), fallback=FALLBACK)
    assert_alike(a, b, atol=2e-3)
    assert b.level == pytest.approx(factor * a.level + shift)
    assert b.scale == pytest.approx(factor * a.scale)


@pytest.mark.parametrize("pace", [0.01, 100.0])
def test_another_pace_gives_the_same_features(shown, pace):
    a, b = (featurize(shown(pace=p), fallback=FALLBACK) for p in (1.0, pace))
    assert_alike(a, b, atol=2e-3)


def test_hidden_values_are_not_seen(condition, curves):
    time, oxygen = curves(3)
    other = oxygen.copy()
    hidden = np.zeros((32, 3), dtype=bool)
    hidden[8:14, 1] = True
    edges = to_grid(condition(time, oxygen), 32).edges
    inside = (time >= edges[8]) & (time < edges[14])
    other[inside, 1] += 1000.0
    a, b = (
        featurize(to_grid(condition(time, x), 32).hide(hidden), fallback=FALLBACK) for x in (oxygen, other)
    )
    np.testing.assert_array_equal(a.channels, b.channels)
    np.testing.assert_array_equal(a.experts, b.experts)
    assert (a.level, a.scale) == (b.level, b.scale)


@pytest.mark.parametrize("visible", ["none", "one", "constant", "zeros", "one replicate", "spike"])
def test_little_or_strange_input_stays_finite(condition, curves, visible):
    time, oxygen = curves(4)
    if visible in ("none", "one"):
        oxygen[:] = np.nan
    if visible == "one":
        oxygen[7, 1] = 50.0
    if visible == "constant":
        oxygen[:] = 123.456
    if visible == "zeros":
        oxygen[:] = 0.0
    if visible == "one replicate":
        oxygen[:, 1:] = np.nan
    if visible == "spike":
        oxygen[:] = 10.0
        oxygen[30, 0] = 1e6
    found = featurize(to_grid(condition(time, oxygen, changes=CHANGES), 32), fallback=FALLBACK)
    for name in ("channels", "globals", "experts", "sd", "theta"):
        assert np.isfinite(getattr(found, name)).all(), name
    assert found.scale > 0
    if visible == "none":
        assert (found.level, found.scale) == FALLBACK


def test_a_series_of_one_row_has_features(condition):
    found = featurize(to_grid(condition([5.0], [[3.0, np.nan]]), 32), fallback=FALLBACK)
    assert np.isfinite(found.channels).all()
    assert (found.level, found.scale) == (3.0, FALLBACK[1])


def test_distances_are_those_of_a_loop():
    seen = np.random.default_rng(0).random((20, 3)) < 0.3
    seen[:, 2] = False
    before, after = _distances(seen)
    for r in range(3):
        rows = np.flatnonzero(seen[:, r])
        for i in range(20):
            back, ahead = rows[rows <= i], rows[rows >= i]
            assert before[i, r] == (i - back.max() if back.size else 20)
            assert after[i, r] == (ahead.min() - i if ahead.size else 20)


def test_events_show_from_their_own_cell_on(condition, curves):
    time, oxygen = curves(5)
    grid = to_grid(condition(time, oxygen, changes=(20.0,)), 32)
    found = _event_channels(grid)
    cell = int(np.searchsorted(grid.edges, 20.0) - 1)
    after = found[:, -1] > 0  # has there been one
    assert not after[:cell].any()
    assert after[cell:].all()
    assert np.flatnonzero(found[:, 4]).tolist() == [cell]
    assert (np.diff(found[cell:, 1]) < 0).all()  # decays
    assert (np.diff(found[:cell, 3]) > 0).all()  # comes nearer
    outside = to_grid(condition(time, oxygen, changes=(-5.0, 99.0)), 32)
    np.testing.assert_array_equal(_event_channels(outside), 0.0)
