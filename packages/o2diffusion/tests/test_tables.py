import gzip
from pathlib import Path

import pandas as pd
import pytest

from o2diffusion.tables import DataError, count, nearest, suffix_of, write_table

FRAME = pd.DataFrame({"drug": ["None", "a,b"], "oxygen": [1.5, None]})


@pytest.mark.parametrize("name", ["t.csv", "T.CSV", "t.csv.gz", "a.b.parquet"])
def test_allowed_suffixes(name):
    assert suffix_of(Path(name)) in name.lower()


@pytest.mark.parametrize("name", ["t.xlsx", "t", "csv", "t.gz"])
def test_other_suffixes_are_refused_with_the_allowed_ones(name):
    with pytest.raises(DataError, match=r"\.csv, \.csv\.gz, \.parquet"):
        suffix_of(Path(name))


def test_frames_are_written_one_after_the_other(tmp_path):
    for name, load in (("t.csv", pd.read_csv), ("t.csv.gz", pd.read_csv), ("t.parquet", pd.read_parquet)):
        options = {"keep_default_na": False, "na_values": {"oxygen": [""]}} if "csv" in name else {}
        assert write_table(iter([FRAME, FRAME]), tmp_path / name) == 4
        back = load(tmp_path / name, **options)
        pd.testing.assert_frame_equal(back, pd.concat([FRAME, FRAME], ignore_index=True), check_dtype=False)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, name):
    path = tmp_path / name
    write_table([FRAME], path)
    before = path.read_bytes()

    def frames():
        yield FRAME
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_table(frames(), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_written_file_is_as_readable_as_any_other(tmp_path):
    write_table([FRAME], tmp_path / "t.csv")
    (tmp_path / "other").write_text("")
    assert (tmp_path / "t.csv").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_gz_is_gzip(tmp_path):
    write_table([FRAME], tmp_path / "t.csv.gz")
    assert gzip.decompress((tmp_path / "t.csv.gz").read_bytes()).startswith(b"drug,oxygen\n")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        write_table([FRAME], tmp_path / "no" / "t.csv")


def test_nearest_names_a_close_name_only():
    assert nearest("series", ["series_id", "oxygen"]) == "; did you mean 'series_id'?"
    assert nearest("zzz", ["series_id"]) == ""
    assert nearest("urchin", ["p|squid", "respR_urchins|urchin"]) == "; did you mean 'respR_urchins|urchin'?"
    assert nearest("URCHIN", ["z_urchin_of_the_sea", "a_urchin_of_the_sea"]).endswith(
        "'a_urchin_of_the_sea' or 'z_urchin_of_the_sea'?"
    )
    assert nearest("ur", ["z_urchin"]) == ""  # two letters are in too many names


def test_one_is_singular():
    assert [count(n, "well") for n in (0, 1, 2, 1000)] == ["0 wells", "1 well", "2 wells", "1,000 wells"]
