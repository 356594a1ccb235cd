import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o2diffusion.clock import hours
from o2diffusion.plate_export import Export
from o2diffusion.tables import DataError


def at(*texts, unit="h", ordered=True, decimal="."):
    frame = pd.DataFrame({"time": pd.Series(list(texts), dtype=object)})
    return hours(
        Export("p.csv", frame, np.arange(2, 2 + len(texts)), decimal), "time", unit, [], ordered=ordered
    )


def test_numbers_are_in_the_unit():
    np.testing.assert_allclose(at("0", " 90 ", "1e2", unit="min"), [0, 1.5, 100 / 60])
    np.testing.assert_allclose(at("0,5", "1,5", decimal=","), [0.5, 1.5])


def test_durations_count_on_their_own():
    np.testing.assert_allclose(
        at("00:00", "0:30:36", "26:30", "2d 01:00:00", "2.01:00:00"), [0, 0.51, 26.5, 49, 49]
    )


@given(
    st.lists(
        st.datetimes(min_value=pd.Timestamp("1990-01-01"), max_value=pd.Timestamp("2050-01-01")), min_size=2
    )
)
def test_iso_dates_are_hours_since_the_first(stamps):
    stamps = sorted(stamps)
    expected = [(s - stamps[0]).total_seconds() / 3600 for s in stamps]
    np.testing.assert_allclose(at(*(s.isoformat(" ") for s in stamps)), expected, atol=1e-9)


def test_zones_are_compared_in_utc():
    np.testing.assert_allclose(at("2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00"), [0, 1])
    np.testing.assert_allclose(at("2024-01-01T00:00Z", "2024-01-01T00:30Z"), [0, 0.5])


def test_the_order_of_the_rows_tells_day_from_month():
    np.testing.assert_allclose(at("30.11.2025 23:00", "01.12.2025 01:00"), [0, 2])
    np.testing.assert_allclose(at("11/30/2025 23:00", "12/01/2025 01:00"), [0, 2])
    np.testing.assert_allclose(at("05/06/2025 10:00", "05/06/2025 11:00"), [0, 1])  # either way one hour


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("01/02/2025 10:00", "03/02/2025 10:00"), "day or month first"),
        (("2024-10-27 02:30", "2024-10-27 02:00"), "row 3.*daylight saving"),
        (("2024-10-27T02:30:00Z", "2024-10-27T03:00:00"), "row 3.*time zone"),
        (("0:10", "later"), "row 3.*HH:MM:SS"),
        (("0", "x"), "row 3.*expected a number"),
        (("0", ""), "row 3.*empty cell"),
        (("2024-10-27 02:30", "soon 5"), "row 3.*'soon 5'"),
    ],
)
def test_other_times_are_refused(texts, words):
    with pytest.raises(DataError, match=words):
        at(*texts)


def test_rows_of_a_long_table_may_be_in_any_order():
    np.testing.assert_allclose(at("2024-01-01 02:00", "2024-01-01 01:00", ordered=False), [1, 0])
