import gzip

import numpy as np
import pandas as pd
import pytest

from o2diffusion.conditions import read_conditions
from o2diffusion.prepare import COLUMNS, prepare
from o2diffusion.tables import DataError, write_table

MAP = """well,drug,concentration,unit,exclude
A1,Drug A,10,uM,
A2,drug a ,10000,nM,
A3,Drug A,10,uM,yes
B1,,,,
B2,Blank,,,
"""
PLATE = """Time [min],A01,A02,A03,B01,B02,C01,Temp
0,90,91,92,80,100,1,37
30,80,,82,70,100,2,37
60,70,71,72,OVER,100,3,37
"""
GERMAN = """Instrument;X 100
Start;31.12.2025

Zeit;Temp. [°C];A1;A2;A3;B1;B2;
31.12.2025 23:30:00;37,0;90,5;91;92;80;100;
01.01.2026 00:00:00;37,1;80,5;;82;70;100;
01.01.2026 00:30:00;36,9;70,5;71;72;--;100;
Ende;;;;;;
"""


@pytest.fixture
def files(tmp_path):
    def write(plate=PLATE, layout=MAP, name="plate7.csv", encoding="utf-8"):
        (tmp_path / name).write_bytes(plate if isinstance(plate, bytes) else plate.encode(encoding))
        (tmp_path / "map.csv").write_text(layout)
        return tmp_path / name, tmp_path / "map.csv"

    return write


def refused(pair, *words, **options):
    with pytest.raises(DataError) as caught:
        prepare(*pair, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_a_plate_becomes_a_long_table(files):
    table, notes = prepare(*files(), time_unit="min", oxygen_unit="%air")
    assert tuple(table.columns) == COLUMNS
    wells = table.drop_duplicates("well").set_index("well")
    assert wells["series_id"].to_dict() == {
        "A1": "Drug A 10 uM",
        "A2": "Drug A 10 uM",
        "B1": "control",
        "B2": "blank",
    }
    assert wells["replicate"].to_dict() == {"A1": "1", "A2": "2", "B1": "1", "B2": "1"}
    np.testing.assert_array_equal(wells["concentration_um"], [10, 10, np.nan, np.nan])
    np.testing.assert_array_equal(table["time_h"].unique(), [0, 0.5, 1])
    np.testing.assert_array_equal(table.loc[table["well"] == "A2", "oxygen"], [91, np.nan, 71])
    assert set(table["unit"]) == {"%air"}
    assert set(table["experiment_id"]) == {"plate7"}
    said = "\n".join(notes)
    for words in (
        "1 well excluded by the map: A3",
        "1 well not in the map, left out: C1",
        "1 value saturated",
        "Temp",
    ):
        assert words in said


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_prepared_is_read(files, tmp_path, suffix):
    table, _ = prepare(*files(), time_unit="min", oxygen_unit="%air")
    write_table([table], tmp_path / f"long{suffix}")
    notes = []
    dosed, control, blank = read_conditions(tmp_path / f"long{suffix}", notes=notes)
    assert (dosed.drug, dosed.concentration_um, dosed.replicates) == ("Drug A", 10.0, ("1", "2"))
    assert (control.drug, control.concentration_um) == (None, None)
    assert blank.drug == "blank"
    assert not any("not used" in n for n in notes)


def test_lines_around_semicolons_decimal_commas_dates_and_old_encodings(files):
    table, notes = prepare(*files(GERMAN, encoding="cp1252"))
    np.testing.assert_array_equal(table["time_h"].unique(), [0, 0.5, 1])
    np.testing.assert_array_equal(table.loc[table["well"] == "A1", "oxygen"], [90.5, 80.5, 70.5])
    said = "\n".join(notes)
    for words in ("3 lines above", "decimal commas", "1 line below", "31.12.2025 23:30:00", "Windows-1252"):
        assert words in said


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_of_unicode_and_tabs(files, encoding):
    plain, _ = prepare(*files(), time_unit="min")
    tabbed, _ = prepare(
        *files(PLATE.replace(",", "\t"), name="plate7.txt", encoding=encoding), time_unit="min"
    )
    pd.testing.assert_frame_equal(plain, tabbed)


def test_gzip_is_opened(files):
    plain, _ = prepare(*files(), time_unit="min")
    packed, _ = prepare(*files(gzip.compress(PLATE.encode()), name="plate7.csv.gz"), time_unit="min")
    pd.testing.assert_frame_equal(plain, packed)


def test_the_long_format_gives_the_same_table(files):
    plain, _ = prepare(*files(PLATE.replace("OVER", "")), time_unit="min")
    rows = pd.DataFrame([line.split(",") for line in PLATE.replace("OVER", "").splitlines()[1:]])
    wells = ["A01", "A02", "A03", "B01", "B02"]
    long = pd.concat(
        [pd.DataFrame({"well": w, "time": rows[0], "O2": rows[i + 1]}) for i, w in enumerate(wells)]
    )
    shuffled = long.sample(frac=1, random_state=0).to_csv(index=False)
    table, _ = prepare(*files(shuffled), time_unit="min", fmt="long")
    pd.testing.assert_frame_equal(plain, table)


def test_series_and_replicates_of_the_map_are_kept(files):
    layout = "Well,Series,Replicate,Compound\nA1,x,left,D\nA2,x,right,D\nB1,y,,D\n"
    table, _ = prepare(*files(layout=layout), time_unit="min")
    wells = table.drop_duplicates("well")
    assert wells[["series_id", "replicate"]].to_numpy().tolist() == [
        ["x", "left"],
        ["x", "right"],
        ["y", "1"],
    ]


def test_any_names_of_the_map_are_wells(files):
    table, _ = prepare(*files("t,urchin 1,urchin 2\n0,1,2\n1,3,4\n", "well\nurchin 1\nurchin 2\n"))
    assert table["well"].unique().tolist() == ["urchin 1", "urchin 2"]
    assert table["replicate"].unique().tolist() == ["1", "2"]


def test_unsorted_times_are_sorted_and_said(files):
    table, notes = prepare(*files("time,A1\n2,7\n0,9\n", "well\nA1\n"))
    assert table["oxygen"].tolist() == [9, 7]
    assert any("sorted" in n for n in notes)


@pytest.mark.parametrize(
    ("plate", "layout", "words"),
    [
        (PLATE, MAP + "D1,,,,\n", ["1 missing: D1"]),
        (PLATE, MAP + "a01,,,,\n", ["row 7", "'well'", "'a01' again", "row 2"]),
        (PLATE, MAP + ",,,,\n".replace(",", ",x", 1), ["row 7", "'well'", "empty"]),
        (PLATE, MAP + "C1,D,10 mg/L,,\n", ["row 7", "'concentration'", "'10 mg/L'", "uM"]),
        (PLATE, MAP + "C1,D,-1,,\n", ["row 7", "0 or more"]),
        (PLATE, MAP + "C1,D,1,,maybe\n", ["row 7", "'exclude'", "'maybe'"]),
        (PLATE, MAP.replace("well", "position"), ["'well'", "found none"]),
        (PLATE, "well\nZ1\n", ["wells of the map", "found none"]),
        (PLATE.replace("80,,82", "80,x1,82"), MAP, ["row 3", "'A02'", "'x1'"]),
        (PLATE.replace("30,", "0,"), MAP, ["row 3", "each time once"]),
        (PLATE.replace("30,80", "30,80,5"), MAP, ["row 3", "8 fields", "got 9"]),
        (PLATE.replace("A02", "A1"), MAP, ["'A1' in two spellings"]),
        (PLATE.replace("A02", "A01"), MAP, ["'A01' twice"]),
        (PLATE.splitlines()[0], MAP, ["rows of values"]),
        (PLATE, "well,series,replicate\nA1,s,1\nA2,s,1\n", ["A2", "'replicate'", "'1' again"]),
        (PLATE, "well,exclude\nA1,yes\n", ["at least one well"]),
        (b"\x00\x01A1,\x00", MAP, ["binary"]),
    ],
)
def test_faults_are_refused_in_one_line(files, plate, layout, words):
    refused(files(plate, layout), *words, time_unit="min")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"time_unit": "weeks"}, ["'weeks'"]),
        ({"conc_unit": "g"}, ["'g'"]),
        ({"fmt": "excel"}, ["wide, long", "'excel'"]),
        ({"time_column": "Time"}, ["'Time'"]),
        ({"fmt": "long"}, ["well, time, oxygen"]),
    ],
)
def test_choices_are_checked(files, options, words):
    refused(files(), *words, **options)


def test_a_spreadsheet_and_a_missing_file_are_refused(files, tmp_path):
    _, layout = files()
    refused((tmp_path / "p.xlsx", layout), "save it as CSV")
    refused((tmp_path / "no.csv", layout), "no such file")
