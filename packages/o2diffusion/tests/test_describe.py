import json

import numpy as np
import pandas as pd

from o2diffusion.conditions import read_conditions
from o2diffusion.describe import describe, summarise


def frame(**columns):
    time = np.delete(np.arange(60.0), np.arange(20, 30))  # a gap of 11 h
    base = {"experiment_id": "p", "series_id": "s", "replicate": "1", "drug": "A", "concentration_um": 1.0}
    return pd.DataFrame(base | {"time_h": time, "oxygen": np.sin(time), "unit": "%air"} | columns)


def facts(data, events=None):
    notes = []
    return summarise(read_conditions(data, events, notes=notes), notes)


def test_replicates_gaps_and_steps_are_counted():
    data = pd.concat([frame(), frame(replicate="2"), frame(series_id="t", drug="", concentration_um=np.nan)])
    got = facts(data)
    assert got["replicates"] == {"1": 1, "2": 1}
    experiment = got["experiments"]["p"]
    assert experiment["gaps"] == {"count": 3, "longest_h": 11.0, "share_of_time": 11 / 59}
    assert experiment["step_h"]["median"] == 1.0
    assert not experiment["irregular"]
    assert (experiment["start_h"], experiment["end_h"], experiment["traces"]) == (0.0, 59.0, 3)
    assert got["doses"] == [
        {"drug": None, "doses_um": [], "conditions": 1, "traces": 1},
        {"drug": "A", "doses_um": [1.0], "conditions": 1, "traces": 2},
    ]
    assert got["rows_to_fill"] == 0


def test_missing_rows_are_to_fill_and_make_a_gap():
    got = facts(frame(oxygen=[np.nan] * 50))
    assert got["rows_to_fill"] == 50
    assert got["suspicious"]["empty"] == ["p/s"]
    assert got["experiments"]["p"]["oxygen"] is None
    assert "no oxygen observed" in describe(read_conditions(frame(oxygen=[np.nan] * 50), notes=[]))


def test_irregular_sampling_is_seen():
    time = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.5, 50))
    assert facts(frame(time_h=time))["experiments"]["p"]["irregular"]


def test_odd_curves_are_named():
    ceiling = np.minimum(np.arange(50.0), 25)
    data = pd.concat([frame(oxygen=5.0), frame(series_id="t", oxygen=ceiling), frame(series_id="u").iloc[:1]])
    got = facts(data)["suspicious"]
    assert got == {"constant": ["p/s"], "stuck": ["p/t"], "empty": [], "one_time": ["p/u"]}


def test_events_are_listed_once_with_their_conditions():
    events = pd.DataFrame({"experiment_id": "p", "time_h": [48.0, 24.0], "kind": "media_change"})
    got = facts(pd.concat([frame(), frame(series_id="t")]), events)["experiments"]["p"]["events"]
    assert [(e["time_h"], e["kind"], e["conditions"]) for e in got] == [
        (24.0, "media_change", 2),
        (48.0, "media_change", 2),
    ]


def test_doubtful_clocks_and_units_stand_in_place_of_nothing_suspicious():
    events = pd.DataFrame({"experiment_id": "p", "time_h": [1.0, 2.0], "kind": "media_change"})
    notes = []
    text = describe(read_conditions(frame(unit="parsec", extra=1), events, notes=notes), notes)
    assert "nothing suspicious" not in text
    odd, rest = text.split("\nsuspicious\n")[1].split("\nnotes\n")
    assert "very start of their record" in odd
    assert "units not known here" in odd
    assert rest == "  DataFrame: columns not used: extra"
    assert "\nreplicates  1 condition with 1\n" in text


def test_facts_are_json_and_the_text_is_compact():
    conditions = pd.concat([frame(experiment_id=f"p{i}", drug=f"D{i}") for i in range(40)])
    notes = []
    got = read_conditions(conditions, notes=notes)
    json.dumps(summarise(got, notes), allow_nan=False)
    text = describe(got, ["a note"])
    assert "... and 28 more" in text
    assert "D1: 1 condition, 1 trace, doses 1 uM" in text
    assert "a note" in text
    assert len(text.splitlines()) < 90
    assert "nothing suspicious" in text
