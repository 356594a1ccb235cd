import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o2diffusion.events import KINDS, Events, read_events
from o2diffusion.tables import DataError, write_table


def frame(rows, columns=("experiment_id", "series_id", "time_h", "kind")):
    return pd.DataFrame(rows, columns=list(columns))


def test_no_table_is_no_events():
    events, merged = read_events(None, []).of("p", "s")
    assert (len(events), merged) == (0, 0)
    assert len(Events()) == 0


def test_an_event_reaches_its_series_its_experiment_or_its_name_in_all():
    table = read_events(
        frame([["p", "", 1.0, "flush"], ["p", "s", 2.0, "flush"], ["", "s", 3.0, "flush"]]), []
    )
    assert table.of("p", "s")[0].time_h.tolist() == [1, 2, 3]
    assert table.of("p", "t")[0].time_h.tolist() == [1]
    assert table.of("q", "s")[0].time_h.tolist() == [3]
    assert len(table.of("q", "t")[0]) == 0


def test_one_id_column_is_enough_and_none_is_refused():
    assert (
        len(read_events(frame([["s", 1.0, "flush"]], ("series_id", "time_h", "kind")), []).of("p", "s")[0])
        == 1
    )
    assert (
        len(
            read_events(frame([["p", 1.0, "flush"]], ("experiment_id", "time_h", "kind")), []).of("p", "s")[0]
        )
        == 1
    )
    with pytest.raises(DataError, match="experiment_id or series_id"):
        read_events(frame([[1.0, "flush"]], ("time_h", "kind")), [])


def test_drug_containing_is_read_or_follows_from_the_kind():
    columns = ("series_id", "time_h", "kind", "drug_containing")
    rows = [["s", 1.0, "flush", "Yes"], ["s", 2.0, "drug_start", None], ["s", 3.0, "media_change", ""]]
    assert read_events(frame(rows, columns), []).of("p", "s")[0].drug_containing.tolist() == [
        True,
        True,
        False,
    ]
    booleans = pd.DataFrame({"series_id": "s", "time_h": [1.0], "kind": "flush", "drug_containing": [True]})
    assert read_events(booleans, []).of("p", "s")[0].drug_containing.tolist() == [True]


@pytest.mark.parametrize("text", ["media_change", "Media change", " MEDIA-CHANGE "])
def test_kinds_may_be_spelt_with_spaces_and_capitals(text):
    assert read_events(frame([["p", "s", 1.0, text]]), []).of("p", "s")[0].kind == ("media_change",)


def test_a_column_of_details_is_tolerated_and_said():
    notes = []
    read_events(frame([["p", "s", 1.0, "flush"]]).assign(detail="x"), notes)
    assert notes == ["DataFrame: columns not used: detail"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (["q", "", 1.0, "flush"], r"'experiment_id': .* \(p, r\), got q only"),
        (["p", "x", 1.0, "flush"], r"'series_id': .* \(s, t, u\), got x only"),
        (["p", "u", 1.0, "flush"], "got u only; correct the ids, or leave the events out"),
        (["", "x", 1.0, "flush"], "got x only"),
    ],
)
def test_events_of_nothing_in_the_data_are_left_out_or_refused_where_none_fits(row, words):
    keys, notes = [("p", "s"), ("p", "t"), ("r", "u")], []
    table = read_events(frame([["p", "s", 0.0, "flush"], row]), [])
    table.check(keys, notes)
    assert notes == [f"1 event of ids that the data does not have: left out ({row[1] or row[0]})"]
    with pytest.raises(DataError, match=words) as caught:
        read_events(frame([row]), []).check(keys, [])
    assert "row 0" in str(caught.value)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_without_events_is_said(tmp_path, suffix):
    path, notes = tmp_path / f"events{suffix}", []
    write_table([frame([])], path)
    assert len(read_events(path, notes).of("p", "s")[0]) == 0
    assert notes == [f"{path}: holds no event: read as if none was given"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_events_from_files(tmp_path, suffix):
    path = tmp_path / f"events{suffix}"
    write_table([frame([["p", "s", 1.5, "injection"]])], path)
    np.testing.assert_array_equal(read_events(path, []).of("p", "s")[0].time_h, [1.5])


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(KINDS)), max_size=12))
def test_events_of_a_condition_are_strictly_in_order_and_none_is_lost(rows):
    table = read_events(frame([["p", "s", float(t), k] for t, k in rows]), [])
    events, merged = table.of("p", "s")
    assert (np.diff(events.time_h) > 0).all()
    assert set(events.time_h) == {float(t) for t, _ in rows}
    alike = {t: {(k, k == "drug_start") for at, k in rows if at == t} for t, _ in rows}
    assert merged == sum(len(told) > 1 for told in alike.values())
    for time, kind, drug in zip(events.time_h, events.kind, events.drug_containing, strict=True):
        there = [k for t, k in rows if t == time]
        assert kind in there
        assert drug == ("drug_start" in there)
