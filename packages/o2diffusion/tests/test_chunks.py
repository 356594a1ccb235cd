import gzip
import random
from contextlib import suppress

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o2diffusion import chunks
from o2diffusion.chunks import read_chunks
from o2diffusion.conditions import read_conditions
from o2diffusion.tables import DataError, write_table

HEADER = "series_id,replicate,time_h,oxygen\n"


def load(data, notes=None):
    known = {"texts": ("series_id", "replicate", "drug"), "numbers": ("time_h", "oxygen")}
    need = ("series_id", "replicate", "time_h", "oxygen")
    return list(read_chunks(data, required=need, notes=[] if notes is None else notes, **known))


def csv(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refused(path, *words):
    with pytest.raises(DataError) as caught:
        read_conditions(path, notes=[])
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    for word in words:
        assert word in message, message


def test_rows_are_numbered_as_their_owner_sees_them(tmp_path):
    frame = pd.DataFrame({"series_id": ["s"], "replicate": ["1"], "time_h": [0.0], "oxygen": [1.0]})
    write_table([frame], tmp_path / "t.parquet")
    assert load(csv(tmp_path, HEADER + "s,1,0,1\n"))[0].first_row == 2
    assert load(tmp_path / "t.parquet")[0].first_row == 1
    assert load(frame)[0].first_row == 0


@pytest.mark.parametrize("row", ["s,1,0,1,9", "s,1,0"])
def test_a_field_too_many_or_too_few_is_refused_with_its_row(tmp_path, row):
    refused(
        csv(tmp_path, HEADER + "s,1,1,2\n\n" + row + "\n"),
        "row 4",
        "expected 4 fields",
        f"got {row.count(',') + 1}",
    )


def test_row_numbers_hold_far_into_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "BLOCK_BYTES", 1 << 12)
    rows = [f"s,1,{i},1\n" for i in range(3000)]
    rows[2500] = "s,1,2500,x\n"
    rows[100] = "\n"
    refused(csv(tmp_path, HEADER + "".join(rows)), "row 2502", "'oxygen'", "'x'")
    rows[2500] = "s,1,2500,1,7\n"
    refused(csv(tmp_path, HEADER + "".join(rows)), "row 2502", "5")


def test_a_mark_windows_line_ends_spaces_and_blank_lines_do_not_matter(tmp_path):
    text = "\ufeffseries_id, replicate,time_h ,oxygen\r\n s ,1, 0 ,1\r\n\r\ns,1,1, NA\r\n,,,\r\n"
    (condition,) = read_conditions(csv(tmp_path, text), notes=[])
    assert condition.series_id == "s"
    np.testing.assert_array_equal(condition.time_h, [0, 1])
    np.testing.assert_array_equal(condition.oxygen[:, 0], [1, np.nan])


def test_rows_of_conflicts_count_blank_lines(tmp_path):
    refused(csv(tmp_path, HEADER + "s,1,0,1\n\n\ns,1,0,2\n"), "row 5", "row 2")


@pytest.mark.parametrize("missing", ["", "NA", "NaN", "nan", "null"])
def test_missing_oxygen(tmp_path, missing):
    (condition,) = read_conditions(csv(tmp_path, HEADER + f"s,1,0,{missing}\ns,1,1,2\n"), notes=[])
    assert condition.wanted[:, 0].tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["header"]),
        (HEADER, ["at least one row"]),
        (HEADER.replace(",", ";") + "s;1;0;1\n", ["missing series_id", "separated by commas"]),
        ("series_id,oxygen,oxygen\n", ["'oxygen'", "twice"]),
        (
            "series_id,replicate,hours,oxygen\ns,1,0,1\n",
            ["missing time_h", "came: series_id, replicate, hours"],
        ),
        (HEADER + "s,1,0,3,5\n", ["row 2"]),
        (HEADER.encode() + b"s\xff,1,0,3\n", ["cannot be read"]),
        (b"\x00\x01\x02", ["missing series_id"]),
        (gzip.compress(b"x", mtime=0), ["cannot be read"]),
    ],
)
def test_files_that_are_no_such_table_are_refused(tmp_path, text, words):
    refused(csv(tmp_path, text), *words)


def test_a_cut_off_gz_is_refused(tmp_path):
    text = gzip.compress((HEADER + "".join(f"s,1,{i},{i % 7}\n" for i in range(5000))).encode())
    refused(csv(tmp_path, text[:-9], "t.csv.gz"), "cannot be read")
    refused(csv(tmp_path, text[: len(text) // 2], "t.csv.gz"), "cannot be read")


def test_a_file_or_folder_that_is_none_is_refused(tmp_path):
    refused(tmp_path / "no.csv", "no such file")
    (tmp_path / "d.csv").mkdir()
    refused(tmp_path / "d.csv", "directory")
    refused(csv(tmp_path, b"", "t.parquet"), "cannot be read")
    refused(tmp_path / "t.xlsx", ".csv, .csv.gz, .parquet")


def test_columns_not_used_are_said(tmp_path):
    notes = []
    load(csv(tmp_path, "plate," + HEADER + "p,s,1,0,1\n"), notes)
    assert notes == [f"{tmp_path / 't.csv'}: columns not used: plate"]


def test_a_broken_text_in_a_frame_is_refused():
    frame = pd.DataFrame({"series_id": [b"\xff"], "replicate": [["1"]], "time_h": [0.0], "oxygen": [1.0]})
    assert len(read_conditions(frame, notes=[])) == 1  # objects become their text
    nested = pa.table({"series_id": [["s"]], "replicate": ["1"], "time_h": [0.0], "oxygen": [1.0]})
    with pytest.raises(DataError, match="'series_id': expected text"):
        read_conditions(nested.to_pandas(types_mapper=pd.ArrowDtype), notes=[])


def _valid(suffix, folder):
    n = 30
    frame = pd.DataFrame(
        {
            "experiment_id": "p",
            "series_id": np.repeat(["a", "b"], n // 2),
            "replicate": np.tile(["1", "2", "3"], n // 3),
            "drug": np.repeat(["None", ""], n // 2),
            "concentration_um": np.repeat([1.0, 0.0], n // 2),
            "time_h": np.arange(n) * 0.5,
            "oxygen": np.where(np.arange(n) % 7 == 0, np.nan, np.arange(n) * 1.5),
        }
    )
    path = folder / f"valid{suffix}"
    write_table([frame], path)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_damaged_bytes_raise_nothing_but_data_errors(tmp_path_factory, suffix):
    folder = tmp_path_factory.mktemp("fuzz")
    valid, path = _valid(suffix, folder), folder / f"damaged{suffix}"

    @settings(max_examples=150, deadline=None)
    @given(seed=st.integers(0, 2**32), cuts=st.integers(1, 5))
    def damage(seed, cuts):
        rng, data = random.Random(seed), bytearray(valid)
        for _ in range(cuts):
            at, what = rng.randrange(len(data) + 1), rng.random()
            some = bytes(
                rng.choice([rng.randrange(256), *b'0123456789,\n"-. eEx']) for _ in range(rng.randint(1, 6))
            )
            if what < 0.5:
                data[at : at + len(some)] = some
            elif what < 0.7:
                data[at:at] = some
            elif what < 0.9:
                del data[at : at + len(some)]
            else:
                del data[at:]
        path.write_bytes(data)
        with suppress(DataError):
            read_conditions(path, notes=[])

    damage()
