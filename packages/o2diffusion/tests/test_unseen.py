"""Responses that no replicate shows: who is told of what, on a simulated plate and on conditions made by hand."""

import numpy as np
import pytest

from o2diffusion.config import SimulationConfig
from o2diffusion.oxygen_model import load
from o2diffusion.simulation import simulate
from o2diffusion.unseen import unseen_note, unseen_responses

PLATE = SimulationConfig(
    experiments=1,
    drugs=1,
    concentrations=2,
    replicate_share=(0.0, 0.0, 1.0, 0.0),
    hours=100.0,
    change_times_h=(30.0, 60.0),
    faults=0.0,
    excluded=0.0,
)


@pytest.fixture(scope="module")
def told():
    """The notes of `impute` on a plate: a function of the series and replicates whose answer at 60 h is hidden."""
    model, made = load(), simulate(PLATE, seed=0)

    def notes(series, replicates):
        data = made.table
        hidden = data["series_id"].isin(series) & data["replicate"].astype(str).isin(replicates)
        hidden &= data["time_h"].between(60.0, 75.0, inclusive="right")
        assert hidden.any()
        data = data.assign(oxygen=data["oxygen"].mask(hidden))
        assert sum(len(f.row) for f in model.impute_iter(data, made.events, draws=2)) >= hidden.sum()
        return [note for note in model.notes if "no replicate shows" in note]

    return notes, list(made.table["series_id"].unique())


def test_a_response_hidden_in_all_replicates_is_told_once_a_run(told):
    notes, series = told
    assert len(series) == 2
    (note,) = notes(series[:1], ["1", "2", "3"])
    assert note.startswith("1 series with events after which no replicate shows the response")
    assert f"({series[0]} at 60 h)" in note
    (note,) = notes(series, ["1", "2", "3"])
    assert f"({series[0]} at 60 h, {series[1]} at 60 h)" in note


def test_a_response_hidden_in_one_replicate_is_not(told):
    notes, series = told
    assert notes(series, ["1"]) == []


@pytest.mark.parametrize(
    ("hidden", "changes", "found"),
    [
        ((20.5, 27.0), (20.0, 40.0), [20.0]),
        ((20.5, 23.0), (20.0, 40.0), []),  # the rest of the response is seen
        ((19.0, 22.5), (20.0, 22.6), [20.0]),  # the next event ends it
        ((44.0, 60.0), (20.0, 45.5), [45.5]),  # the record ends before it does
        ((20.5, 27.0), (20.1, 20.4), [20.4]),  # nothing was to be measured between the two
        ((-1.0, 60.0), (20.0,), []),  # nothing is seen at all: another note says so
        ((24.0, 27.0), (), []),
    ],
)
def test_the_hours_after_an_event_count(condition, hidden, changes, found):
    time = np.arange(50.0)
    oxygen = np.ones((50, 2))
    oxygen[(time > hidden[0]) & (time < hidden[1])] = np.nan
    assert unseen_responses(condition(time, oxygen, changes=changes)) == found
    oxygen[:, 1] = 1.0
    assert unseen_responses(condition(time, oxygen, changes=changes)) == []


def test_a_pause_that_nobody_asks_for_is_no_unseen_response(condition):
    time, oxygen = np.arange(50.0), np.ones((50, 2))
    oxygen[21:27] = np.nan
    wanted = np.zeros((50, 2), dtype=bool)
    assert unseen_responses(condition(time, oxygen, wanted=wanted, changes=[20.0])) == []


def test_three_series_and_three_events_are_named():
    assert unseen_note({"a": [], "b": []}) == []
    (note,) = unseen_note({"a": [1.0, 1.0, 2.0, 3.0, 4.0], "b": [], "c": [5.25], "d": [6.0], "e": [7.0]})
    assert note.startswith("4 series ")
    assert note.endswith("(a at 1, 2, 3, ... h, c at 5.25 h, d at 6 h, ...)")
