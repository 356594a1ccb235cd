import math

import pytest

from o2diffusion.plate_map import read_plate_map


def wells(tmp_path, text, unit="uM"):
    path = tmp_path / "map.csv"
    path.write_text(text)
    return read_plate_map(path, unit, [])


@pytest.mark.parametrize(
    ("text", "unit", "um"),
    [
        ("10", "uM", 10),
        ("0", "nM", 0),
        ("100", "nM", 0.1),
        ("7.5 µM", "nM", 7.5),
        ("1e-3 M", "uM", 1000),
        ("3 nM", "M", 0.003),
    ],
)
def test_concentrations_become_um(tmp_path, text, unit, um):
    (well,) = wells(tmp_path, f"well,concentration\nA1,{text}\n", unit)
    assert well.concentration_um == um


def test_a_row_s_unit_wins_and_an_empty_dose_is_not_stated(tmp_path):
    a, b = wells(tmp_path, "well,conc,unit\nA1,5,nM\nA2,,nM\n")
    assert a.concentration_um == 0.005
    assert math.isnan(b.concentration_um)


def test_replicates_are_numbered_in_a_series_without_the_excluded(tmp_path):
    text = "well,drug,concentration_um,exclude\n" + "".join(
        f"A{i},{drug},{dose},{flag}\n"
        for i, (drug, dose, flag) in enumerate(
            [("D", 1, ""), ("D", 1, "x"), ("d ", 1, "no"), ("D", 2, ""), ("", "", ""), ("", "", "")], start=1
        )
    )
    got = [(w.series_id, w.replicate) for w in wells(tmp_path, text) if not w.exclude]
    assert got == [("D 1 uM", "1"), ("D 1 uM", "2"), ("D 2 uM", "1"), ("control", "1"), ("control", "2")]


def test_semicolons_and_decimal_commas_are_read(tmp_path):
    (well,) = wells(tmp_path, "well;drug;concentration\nb07;D;2,5\n")
    assert (well.well, well.concentration_um, well.series_id) == ("B7", 2.5, "D 2.5 uM")
