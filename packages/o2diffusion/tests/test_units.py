import pytest

from o2diffusion.tables import DataError
from o2diffusion.units import OXYGEN, oxygen_unit, to_hours, to_um


@pytest.mark.parametrize("unit", OXYGEN)
def test_a_canonical_name_names_itself(unit):
    assert oxygen_unit(unit) == unit


@pytest.mark.parametrize(
    ("text", "unit"),
    [(" % Air ", "%air"), ("µmol/L", "umol/L"), ("μM", "umol/L"), ("torr", "mmHg"), ("% O₂", "%O2")],
)
def test_spellings_of_oxygen_units(text, unit):
    assert oxygen_unit(text) == unit


def test_an_unknown_oxygen_unit_has_no_name():
    assert oxygen_unit("counts") is None


@pytest.mark.parametrize(("unit", "factor"), [("uM", 1), ("µM", 1), ("nM", 1e-3), ("mM", 1e3), ("M", 1e6)])
def test_concentrations_in_um(unit, factor):
    assert to_um(unit) == factor


def test_an_unknown_concentration_unit_is_refused_with_the_known_ones():
    with pytest.raises(DataError, match="among M, mM, uM, nM, pM, got 'mg/mL'"):
        to_um("mg/mL")


@pytest.mark.parametrize(("unit", "factor"), [("s", 1 / 3600), ("Minutes", 1 / 60), ("hrs", 1), ("days", 24)])
def test_times_in_hours(unit, factor):
    assert to_hours(unit) == pytest.approx(factor)


def test_an_unknown_time_unit_is_refused():
    with pytest.raises(DataError, match="got 'weeks'"):
        to_hours("weeks")
