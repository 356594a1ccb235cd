import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o2diffusion.chunks import Chunk
from o2diffusion.columns import Vocabulary, numbers, text_codes
from o2diffusion.tables import DataError


def chunk(values, column="oxygen", kind=None):
    return Chunk("t.csv", 2, {column: pa.array(values, kind)})


def texts(values, kind=None, **options):
    words = Vocabulary(**options)
    return [words.names[c] for c in text_codes(chunk(values, "drug", kind), "drug", words)]


def test_ids_of_any_type_become_text():
    assert texts(["None", None, " a ", "NA"]) == ["None", "", "a", "NA"]
    assert texts([1, 2, None], pa.int16()) == ["1", "2", ""]
    assert texts([1.0, 2.5, float("nan")]) == ["1", "2.5", ""]
    assert texts(["a", None, "a"], pa.dictionary(pa.int8(), pa.string())) == ["a", "", "a"]
    assert texts(["a", None], pa.large_string()) == ["a", ""]


def test_folded_spellings_share_a_code_and_are_kept():
    words = Vocabulary(fold=True)
    codes = text_codes(chunk(["Drug A", "drug a ", "DRUG  A", "B"], "drug"), "drug", words)
    assert codes.tolist() == [0, 0, 0, 1]
    assert words.names[:2] == ["Drug A", "B"]
    assert words.spellings == {0: {"drug a ", "DRUG  A"}}


def test_an_absent_column_is_empty():
    assert text_codes(chunk([1.0, 2.0]), "drug", Vocabulary()).tolist() == [0, 0]
    assert np.isnan(numbers(chunk([1.0, 2.0]), "concentration_um")).all()


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_subnormal=False), min_size=1))
def test_numbers_as_text_are_the_numbers(values):
    expected = np.array([np.nan if v is None else v for v in values])
    plain = ["" if v is None else repr(v) for v in values]
    spaced = ["NA" if v is None else f" {v!r}\t" for v in values]
    for words in (plain, spaced):
        np.testing.assert_array_equal(numbers(chunk(words), "oxygen"), expected)
    np.testing.assert_array_equal(numbers(chunk(values, kind=pa.float64()), "oxygen"), expected)


def test_a_dose_in_single_precision_is_the_number_it_prints():
    array = chunk(np.array([0.1, np.nan, 22.5], np.float32), "concentration_um")
    np.testing.assert_array_equal(numbers(array, "concentration_um"), [0.1, np.nan, 22.5])


@given(
    st.lists(st.integers(-99, 99).map(str), max_size=40), st.lists(st.integers(-99, 99).map(str), max_size=40)
)
def test_the_first_bad_cell_is_named(before, after):
    with pytest.raises(
        DataError, match=rf"row {2 + len(before)}, column 'oxygen': expected a number, got '1x'"
    ):
        numbers(chunk([*before, "1x", *after, "2x"]), "oxygen")


@pytest.mark.parametrize(
    ("column", "text", "hint"),
    [
        ("oxygen", "3,5", "write 3.5"),
        ("oxygen", "#REF!", "leave the cell empty"),
        ("concentration_um", "2.5 mM", "put 2500 in"),
        ("concentration_um", "2 mg/mL", "the column is in uM"),
        ("time_h", "2 d", "hours alone"),
        ("time_h", "01/02/2024", "prepare"),
    ],
)
def test_hints_say_what_to_do(column, text, hint):
    with pytest.raises(DataError, match=hint):
        numbers(chunk([text], column), column)


def test_other_types_are_refused():
    with pytest.raises(DataError, match="expected numbers, got bool"):
        numbers(chunk([True]), "oxygen")
