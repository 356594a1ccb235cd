import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o2diffusion.plate_export import is_plate_well, read_export, well_name
from o2diffusion.tables import DataError


@given(st.integers(0, 31), st.integers(1, 48))
def test_a_well_has_one_name_in_all_spellings(row, column):
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    text = letters[row] if row < 26 else "A" + letters[row - 26]
    spellings = {f"{text}{column}", f" {text}{column:02d}", f"{text.lower()}{column:03d} "}
    assert {well_name(s) for s in spellings} == {f"{text}{column}"}
    assert all(is_plate_well(s) for s in spellings)


@pytest.mark.parametrize("text", ["Temp", "A", "A0", "A100", "1A", "urchin 1"])
def test_other_names_are_no_plate_wells(text):
    assert not is_plate_well(text)
    assert well_name(f" {text} ") == text


def export(tmp_path, text, notes=None):
    path = tmp_path / "p.csv"
    path.write_text(text)
    return read_export(path, lambda fields: fields.count("A1"), "a column A1", [] if notes is None else notes)


def test_rows_keep_their_line_numbers(tmp_path):
    got = export(tmp_path, "made by\n\ntime,A1\n0,1\n\n1,2\n")
    assert got.rows.tolist() == [4, 6]
    assert got.at(1, "A1").endswith("p.csv: row 6, column 'A1'")
    np.testing.assert_array_equal(got.numbers("A1"), [1, 2])


def test_short_rows_end_in_missing_cells(tmp_path):
    got = export(tmp_path, "time,A1\n0,1\n1\n")
    np.testing.assert_array_equal(got.numbers("A1"), [1, np.nan])


def test_words_of_saturation_are_counted_or_refused(tmp_path):
    got, counted = export(tmp_path, "time,A1\n0,OVRFLW\n1,inf\n2,3\n"), {}
    np.testing.assert_array_equal(got.numbers("A1", counted=counted), [np.nan, np.nan, 3])
    assert counted == {"saturated": 2}
    with pytest.raises(DataError, match="row 2, column 'A1': expected a number, got 'OVRFLW'"):
        got.numbers("A1")
