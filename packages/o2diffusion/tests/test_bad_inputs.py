"""The bad inputs of oxygen tables: each gives one clear error, or a defined answer that is said.

The cases of the model (unknown drug when sampling, the sign of dose 0, lengths, leaks between train and test) are
beside the files that meet them.
"""

import numpy as np
import pandas as pd
import pytest

from o2diffusion.conditions import read_conditions
from o2diffusion.prepare import prepare
from o2diffusion.tables import DataError


def table(**columns):
    """Two replicates of three times, with columns replaced or added."""
    base = {
        "series_id": ["s"] * 6,
        "replicate": ["1"] * 3 + ["2"] * 3,
        "time_h": [0.0, 1.0, 2.0] * 2,
        "oxygen": [90.0, 80.0, 70.0, 91.0, 81.0, 71.0],
        "unit": ["%air"] * 6,
    }
    return pd.DataFrame(base | columns)


def read(data, events=None, **options):
    notes = []
    return read_conditions(data, events, notes=notes, **options), notes


def refused(data, *words, events=None, **options):
    """The one line that refuses the data, with every word in it."""
    with pytest.raises(DataError) as caught:
        read(data, events, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message
    return message


def test_1_unsorted_times_are_sorted_and_said():
    shuffled = table().sample(frac=1, random_state=0)
    (condition,), notes = read(shuffled)
    (straight,), _ = read(table())
    order = [condition.replicates.index(label) for label in straight.replicates]
    np.testing.assert_array_equal(condition.time_h, straight.time_h)
    np.testing.assert_array_equal(condition.oxygen[:, order], straight.oxygen)
    assert any("not in order of time" in n for n in notes)


def test_6_a_record_of_months_is_asked_about():
    _, notes = read(table(time_h=[0.0, 600.0, 14400.0] * 2))
    assert "1 series with more than 100 days: kept; is time_h in hours? (s)" in notes
    assert read(table(time_h=[0.0, 600.0, 1000.0] * 2))[1] == []


def test_columns_that_are_all_but_named_so_are_named():
    odd = table().rename(columns={"time_h": "Time (h)", "oxygen": "Oxygen", "replicate": "well"})
    said = refused(
        odd, "missing replicate, time_h, oxygen", "rename 'Time (h)' to time_h, 'Oxygen' to oxygen"
    )
    assert "'well' to" not in said
    _, notes = read(table(Drug="a", concentration=1.0, colour="red"))
    (said,) = [n for n in notes if "not used" in n]
    assert said.endswith(
        "Drug, concentration, colour; rename 'Drug' to drug, 'concentration' to concentration_um"
    )


def test_a_time_that_is_no_number_is_needed():
    refused(table(time_h=["0", "1", "day two"] * 2), "row 2", "'day two'", "every row has a time")


def test_1_rows_given_twice_alike_are_kept_once_and_said():
    (condition,), notes = read(pd.concat([table(), table().iloc[[1, 1, 4]]]))
    assert condition.oxygen.shape == (3, 2)
    assert any("twice alike (3 in all)" in n for n in notes)


def test_1_rows_given_twice_with_other_values_are_refused():
    again = table().iloc[[1]].assign(oxygen=55.0)
    refused(pd.concat([table(), again], ignore_index=True), "row 6", "'s'", "'1'", "time_h 1", "55", "row 1")


def test_1_a_missing_and_an_observed_row_at_one_time_are_refused():
    again = table().iloc[[1]].assign(oxygen=np.nan)
    refused(pd.concat([table(), again], ignore_index=True), "again with oxygen nan")


def test_2_irregular_times_and_lengths_keep_every_sample():
    data = table(time_h=[0.0, 0.7, 9.0, 0.0, 1.3, 2.0]).drop(index=5)
    (condition,), _ = read(data)
    np.testing.assert_array_equal(condition.time_h, [0.0, 0.7, 1.3, 9.0])
    np.testing.assert_array_equal(np.isfinite(condition.oxygen), [[1, 1], [1, 0], [0, 1], [1, 0]])
    assert not condition.wanted.any()  # no row, nothing to fill


def test_3_gaps_are_wanted_where_the_table_has_the_row():
    (condition,), _ = read(table(oxygen=[90.0, np.nan, 70.0, 91.0, 81.0, 71.0]))
    np.testing.assert_array_equal(condition.wanted, [[0, 0], [1, 0], [0, 0]])


def test_3_a_whole_replicate_missing_is_kept():
    (condition,), notes = read(table(oxygen=[90.0, 80.0, 70.0] + [np.nan] * 3))
    assert condition.wanted[:, 1].all()
    assert not condition.wanted[:, 0].any()
    assert notes == []


def test_3_all_replicates_missing_is_kept_and_said():
    (condition,), notes = read(table(oxygen=[np.nan] * 6))
    assert condition.wanted.all()
    assert any("no observed oxygen" in n for n in notes)


def test_4_no_rows_are_refused():
    refused(table().iloc[:0], "at least one row")


def test_4_a_row_without_replicate_is_refused():
    refused(table(replicate=["1", "1", "1", "2", None, "2"]), "row 4", "'replicate'", "empty")


@pytest.mark.parametrize(("count", "sizes"), [(5, [3, 2]), (6, [3, 3]), (9, [3, 3, 3]), (16, [4, 4, 4, 4])])
def test_4_more_than_four_replicates_are_split_and_said(count, sizes):
    rows = pd.concat([table().iloc[:3].assign(replicate=str(i), oxygen=float(i)) for i in range(count)])
    conditions, notes = read(rows, seed=3)
    assert [len(c.replicates) for c in conditions] == sizes
    assert sorted(int(r) for c in conditions for r in c.replicates) == list(range(count))
    for condition in conditions:
        for i, label in enumerate(condition.replicates):
            assert (condition.oxygen[:, i] == int(label)).all()
    assert any("more than four replicates" in n and "seed 3" in n for n in notes)


def test_5_concentration_zero_is_a_number():
    (condition,), _ = read(table(concentration_um=0.0, drug="A"))
    assert condition.concentration_um == 0.0


def test_5_negative_concentration_is_refused():
    refused(table(concentration_um=[1.0] * 5 + [-1.0]), "row 5", "'concentration_um'", "-1", "0 uM or more")


@pytest.mark.parametrize(
    ("text", "hint"), [("10 uM", "put 10 in"), ("10 µM", "put 10 in"), ("100 nM", "put 0.1 in"), ("high", "")]
)
def test_5_concentration_as_text_is_refused(text, hint):
    refused(table(concentration_um=["1"] * 3 + [text] * 3), "row 3", "'concentration_um'", repr(text), hint)


def test_6_two_oxygen_units_in_one_experiment_are_refused():
    data = pd.concat([table(), table(series_id="t", unit="mmHg")], ignore_index=True)
    refused(data, "'%air'", "'mmHg'", "row 6")


def test_6_one_unit_in_two_spellings_is_one_unit():
    conditions, _ = read(pd.concat([table(), table(series_id="t", unit="% air")]))
    assert [c.unit for c in conditions] == ["%air", "% air"]


def test_6_units_may_differ_between_experiments_and_that_is_said():
    data = pd.concat([table(experiment_id="p"), table(experiment_id="q", unit="umol/L")])
    conditions, notes = read(data)
    assert [c.unit for c in conditions] == ["%air", "umol/L"]
    assert any("different oxygen units" in n for n in notes)


def test_6_another_unit_than_the_stated_one_is_refused():
    refused(table(), "'kPa'", "'%air'", unit="kPa")


def test_6_minutes_are_refused_with_what_to_do():
    refused(table(time_h=["30 min"] * 6), "row 0", "'time_h'", "'30 min'", "hours")


def test_6_a_column_of_another_time_is_refused_with_what_to_do():
    refused(table().rename(columns={"time_h": "time"}), "missing time_h", "prepare")


def test_7_case_and_spaces_of_a_drug_do_not_matter_and_are_said():
    data = pd.concat([table(drug="Drug A"), table(series_id="t", drug=" drug  a ")])
    conditions, notes = read(data)
    assert [c.drug for c in conditions] == ["Drug A", "Drug A"]
    assert any("'Drug A'" in n and "' drug  a '" in n for n in notes)


@pytest.mark.parametrize("name", ["None", "NA", "null", "nan"])
def test_7_a_drug_may_be_called_none(name, tmp_path):
    path = tmp_path / "t.csv"
    table(drug=name).to_csv(path, index=False)
    (condition,), _ = read(path)
    assert condition.drug == name


def test_7_an_empty_drug_is_no_drug(tmp_path):
    path = tmp_path / "t.csv"
    table(drug=None).to_csv(path, index=False)
    (condition,), _ = read(path)
    assert condition.drug is None


def events(**columns):
    return pd.DataFrame(
        {"series_id": ["s", "s"], "time_h": [0.5, 1.5], "kind": ["media_change", "flush"]} | columns
    )


def test_8_events_outside_the_samples_are_kept_and_said():
    (condition,), notes = read(table(), events(time_h=[-3.0, 99.0]))
    assert not any("one clock" in n for n in notes)
    np.testing.assert_array_equal(condition.events.time_h, [-3.0, 99.0])
    assert any("before the first sample" in n for n in notes)
    assert any("after the last sample" in n for n in notes)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ([300.0, 600.0], "after the last sample: kept; are"),
        ([0.01, 0.02], "at the very start"),
        ([0.05], "not"),
        ([0.01], "at the very start"),
        ([0.0], "not"),
        ([0.05, 1.0], "not"),
    ],
)
def test_8_events_that_look_like_another_unit_are_asked_about(times, said):
    odd = pd.DataFrame({"series_id": "s", "time_h": times, "kind": "flush"})
    (condition,), notes = read(table(), odd)
    np.testing.assert_array_equal(condition.events.time_h, times)
    asked = [n for n in notes if "one clock, in hours?" in n]
    assert [said in n for n in asked] == ([] if said == "not" else [True])


def both(kinds, drug):
    """Two events at one time."""
    return events(time_h=[1.0, 1.0], kind=kinds, drug_containing=drug)


@pytest.mark.parametrize(
    ("kinds", "drug", "contradict"),
    [
        (["drug_start", "media_change"], ["", ""], True),
        (["drug_start", "media_change"], ["", "yes"], False),
        (["media_change", "media_change"], ["yes", "yes"], False),
        (["media_change", "media_change"], ["yes", "no"], True),
        (["media_change", "flush"], ["yes", "yes"], True),
    ],
)
def test_8_events_at_the_same_time_are_one_and_contradictions_are_said(kinds, drug, contradict):
    (condition,), notes = read(table(), both(kinds, drug))
    assert condition.events.kind == ("media_change",)
    assert condition.events.drug_containing.tolist() == [True]
    assert any("read as one" in n for n in notes) == contradict


def test_8_without_experiments_in_the_data_the_events_are_not_blamed():
    own = events(experiment_id=["plate 1", "plate 1"])
    said = refused(table(), "expected a column experiment_id", "row 0", "'plate 1'", "add it", events=own)
    assert said.startswith("DataFrame: ")
    (condition,), _ = read(table(experiment_id="plate 1"), own)
    assert len(condition.events) == 2


def test_8_unsorted_events_are_sorted():
    (condition,), notes = read(table(), events(time_h=[1.5, 0.5]))
    assert condition.events.kind == ("flush", "media_change")
    np.testing.assert_array_equal(condition.events.time_h, [0.5, 1.5])
    assert any("not in order of time" in n for n in notes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"series_id": ["S1", "S2"]}, ["row 0", "'series_id'", "(s)", "S1, S2 only"]),
        (
            {"kind": ["media change", "wash"]},
            ["row 1", "'wash'", "media_change, flush, injection, drug_start"],
        ),
        ({"time_h": [1.0, np.nan]}, ["row 1", "'time_h'", "finite"]),
        ({"time_h": [1.0, np.inf]}, ["row 1", "'time_h'", "finite"]),
        ({"drug_containing": ["yes", "perhaps"]}, ["row 1", "'drug_containing'", "'perhaps'"]),
        ({"series_id": ["s", ""]}, ["row 1", "series_id"]),
    ],
)
def test_8_events_that_cannot_be_placed_are_refused(change, words):
    refused(table(), *words, events=events(**change))


def test_9_a_constant_curve_is_kept_and_said():
    (condition,), notes = read(table(oxygen=5.0))
    assert (condition.oxygen == 5.0).all()
    assert any("never changes" in n for n in notes)


def test_10_negative_oxygen_is_an_offset():
    (condition,), notes = read(table(oxygen=[-5.0, -4.0, -3.0] * 2))
    assert condition.oxygen.min() == -5.0
    assert notes == []


@pytest.mark.parametrize("value", [np.inf, -np.inf, 9999.0, -9999.0, 99999.0, 1e30])
def test_10_saturation_is_missing_and_counted(value):
    (condition,), notes = read(table(oxygen=[90.0, value, 70.0, 91.0, value, 71.0]))
    assert np.isnan(condition.oxygen[1]).all()
    assert condition.wanted[1].all()
    assert any(n.startswith("2 values saturated") for n in notes)


@pytest.mark.parametrize(
    "change",
    [{"drug": ["A"] * 5 + ["B"]}, {"concentration_um": [1.0] * 5 + [2.0]}, {"drug": ["A"] * 5 + [""]}],
)
def test_11_a_series_of_two_drugs_or_doses_is_refused(change):
    (column,) = change
    refused(table(**change), "row 5", repr(column), "'s'", "row 0")


def test_11_a_well_in_two_series_is_refused():
    data = pd.concat(
        [table(well=["A1"] * 3 + ["A2"] * 3), table(series_id="t", well="A1")], ignore_index=True
    )
    refused(data, "row 6", "'well'", "'A1'", "'t'", "row 0")


def test_12_a_series_of_one_row_is_kept_and_said():
    (condition,), notes = read(table().iloc[:1])
    assert condition.oxygen.shape == (1, 1)
    assert any("one time only" in n for n in notes)


@pytest.mark.parametrize(
    "text", ["2024-01-31 10:00", "2024-01-31T10:00:00+02:00", "31.01.2024 10:00", "10:30:00"]
)
def test_13_dates_in_time_h_are_refused_with_what_to_do(text):
    refused(table(time_h=text), "row 0", "'time_h'", "o2diffusion prepare")


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_13_a_column_of_datetimes_is_refused_with_what_to_do(zone):
    stamps = pd.date_range("2024-01-31", periods=6, freq="h", tz=zone)
    refused(table(time_h=stamps), "'time_h'", "timestamp", "o2diffusion prepare")


def test_13_seconds_since_1970_are_refused():
    refused(table(time_h=1.7e9), "row 0", "'time_h'", "1.7e+09", "hours between")


def test_13_prepare_turns_dates_and_zones_into_hours(tmp_path):
    plate, layout = tmp_path / "p.csv", tmp_path / "map.csv"
    plate.write_text(
        "time,A1\n2024-03-31 00:30:00+01:00,9\n2024-03-31 03:30:00+02:00,8\n"
    )  # a change of clocks
    layout.write_text("well\nA1\n")
    frame, _ = prepare(plate, layout)
    np.testing.assert_allclose(frame["time_h"], [0.0, 2.0])
