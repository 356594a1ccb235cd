"""Rounds of a run: found in the times alone, by events where the medium is renewed, phases known everywhere."""

from dataclasses import replace

import numpy as np
import pytest

from o2diffusion.bursts import burst_starts
from o2diffusion.conditions import Condition
from o2diffusion.events import Events
from o2diffusion.grid import to_grid
from o2diffusion.rounds import phase, restarts


def bursts(n=6, ticks=10, length=0.1, start=0.0):
    """n bursts of `ticks` samples, `length` [h] from start to start, the last half of it a pause."""
    return start + (np.arange(n)[:, None] * length + np.linspace(0, 0.5 * length, ticks)).ravel()


def condition(time, events=Events()):  # noqa: B008 - read only
    oxygen = np.cos(time)[:, None]
    none = np.zeros(oxygen.shape, dtype=bool)
    return Condition(
        "e", "s", None, None, None, ("1",), time, oxygen, none, events, bursts=burst_starts(time)
    )


def test_bursts_are_found_where_they_start():
    np.testing.assert_allclose(burst_starts(bursts()), np.arange(6) * 0.1)
    jitter = bursts() + np.random.default_rng(0).uniform(0, 5e-4, 60)
    np.testing.assert_allclose(burst_starts(jitter), np.arange(6) * 0.1, atol=1e-3)


@pytest.mark.parametrize(
    "time",
    [
        np.empty(0),
        np.array([1.0]),
        np.linspace(0, 400, 500),
        np.delete(np.linspace(0, 400, 500), [*range(100, 140), *range(300, 330)]),
        np.sort(np.random.default_rng(3).uniform(0, 100, 300)),
        bursts(n=3),
        bursts(n=20, ticks=2),
    ],
    ids=["nothing", "one", "even", "faults", "random", "three", "pairs"],
)
def test_times_without_regular_bursts_have_none(time):
    assert not burst_starts(time).size


def test_a_hidden_burst_keeps_its_phase():
    c = condition(bursts())
    c = replace(c, oxygen=np.where((c.time_h > 0.2) & (c.time_h < 0.3), np.nan, c.oxygen.T).T)
    grid = to_grid(c)
    since, until = phase(grid, restarts(grid))
    assert grid.observed[(grid.centre > 0.2) & (grid.centre < 0.29)].sum() == 0
    assert (since >= 0).all()
    assert (until >= 0).all()
    cells = np.flatnonzero(np.diff(since[:, 0]) < 0)
    np.testing.assert_allclose(grid.centre[cells], [0.1, 0.2, 0.3, 0.4, 0.5], atol=2 * grid.width)


def test_renewals_come_before_bursts_and_bursts_before_injections():
    time = bursts()
    changes = Events(np.array([0.2, 0.41]), ("media_change",) * 2, np.ones(2, dtype=bool))
    grid = to_grid(condition(time, changes))
    np.testing.assert_allclose(restarts(grid), [-0.01, 0.2, 0.41])
    injected = replace(changes, kind=("injection",) * 2)
    np.testing.assert_allclose(restarts(to_grid(condition(time, injected))), np.arange(6) * 0.1)
    plain = to_grid(condition(np.linspace(0, 1, 200), injected))
    np.testing.assert_allclose(restarts(plain), [-0.01, 0.2, 0.41])


def test_without_rounds_phases_are_zero():
    grid = to_grid(condition(np.linspace(0, 10, 300)))
    begun = restarts(grid)
    assert not begun.size
    assert not np.any(phase(grid, begun))


def test_a_window_knows_the_round_it_begins_in():
    grid = to_grid(condition(bursts()), start=0.13, end=0.45)
    begun = restarts(grid)
    np.testing.assert_allclose(begun, [0.1, 0.2, 0.3, 0.4])
    assert phase(grid, begun)[0][0, 0] == pytest.approx(
        np.arcsinh((grid.time[0, 0] - 0.1) / (2 * grid.width))
    )
