"""What must hold wherever a table is cut into chunks."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o2diffusion import chunks
from o2diffusion.conditions import read_conditions
from o2diffusion.tables import DataError


def scattered(seed, series=5, times=8):
    """Rows of some series in a random order."""
    frame = pd.DataFrame(
        [
            (f"s{s}", r, t / 3, s + r + t, f"D{s}", float(s))
            for s in range(series)
            for r in range(3)
            for t in range(times)
        ],
        columns=["series_id", "replicate", "time_h", "oxygen", "drug", "concentration_um"],
    )
    return frame.sample(frac=1, random_state=seed, ignore_index=True)


def in_chunks(frame, rows, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_ROWS", rows)
        notes = []
        return read_conditions(frame, notes=notes, **options), notes


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), rows=st.integers(1, 130))
def test_chunks_leave_no_trace(seed, rows):
    frame = scattered(seed)
    whole, said = in_chunks(frame, 10**6)
    parts, said_in_parts = in_chunks(frame, rows)
    assert said == said_in_parts
    for a, b in zip(whole, parts, strict=True):
        assert (a.series_id, a.replicates, a.drug, a.concentration_um) == (
            b.series_id,
            b.replicates,
            b.drug,
            b.concentration_um,
        )
        np.testing.assert_array_equal(a.time_h, b.time_h)
        np.testing.assert_array_equal(a.oxygen, b.oxygen)


@settings(max_examples=30, deadline=None)
@given(
    at=st.integers(1, 119),
    rows=st.integers(1, 130),
    column=st.sampled_from(["drug", "concentration_um", "time_h"]),
)
def test_a_fault_has_its_row_in_any_chunk(at, rows, column):
    frame = scattered(0)
    at = int(frame.index[frame["series_id"].duplicated()][at % 115])  # not a series' first row
    frame.loc[at, column] = {"drug": "other", "concentration_um": 99.0, "time_h": np.nan}[column]
    with pytest.raises(DataError, match=rf"DataFrame: row {at}, column '{column}'"):
        in_chunks(frame, rows)


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 130), at=st.integers(0, 119))
def test_a_well_in_two_places_is_found_in_any_chunk(rows, at):
    frame = scattered(1)
    frame["well"] = frame["series_id"] + "/" + frame["replicate"].astype(str)
    frame.loc[at, "well"] = "s9/0"
    in_chunks(frame, rows)  # a name of its own does no harm
    other = frame.index[(frame["series_id"] != frame["series_id"][at]) & (frame.index != at)]
    frame.loc[at, "well"] = frame.loc[other[0], "well"]
    with pytest.raises(DataError, match="each well in one series and replicate"):
        in_chunks(frame, rows)


def test_wells_may_be_unknown_in_some_rows():
    conditions, _ = in_chunks(scattered(2).assign(well=""), 10**6)
    assert len(conditions) == 5


def test_conflicting_rows_of_far_chunks_are_both_named():
    frame = scattered(3)
    again = pd.concat([frame, frame.iloc[[7]].assign(oxygen=-1.0)], ignore_index=True)
    with pytest.raises(DataError, match=r"row 120: .* -1 \(before: .*row 7\)"):
        in_chunks(again, 11)
