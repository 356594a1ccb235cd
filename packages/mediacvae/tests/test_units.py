"""Amounts: known molar masses, linearity, and what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediacvae.units import FORMULAS, UNITS, UnitError, formula_mass, is_molar, molar_mass, to_g_per_l, unit

# PubChem and suppliers' labels [g/mol]
LABELS = {
    "NaCl": 58.44, "CaCl2 x 2 H2O": 147.01, "MgSO4·7H2O": 246.47, "MgSO4 * 7 H2O": 246.47, "Na2WO4・2H2O": 329.85,
    "FeSO4 . 7H2O": 278.01, "(NH4)6Mo7O24 x 4 H2O": 1235.9, "(NH4)2SO4": 132.14, "K2HPO4": 174.18, "KH2PO4": 136.09,
    "Glucose": 180.16, "sucrose": 342.30, "Biotin": 244.31, "Vitamin B12": 1355.4, "HEPES": 238.30, "Tris": 121.14,
    "L-Cysteine HCl x H2O": 175.63, "AlK(SO4)2 x 12 H2O": 474.39, "Na-acetate": 82.03, "H3BO3": 61.83, "NaCl ": 58.44,
}  # fmt: skip


@pytest.mark.parametrize("name", LABELS)
def test_molar_masses_are_those_on_the_label(name):
    assert molar_mass(name) == pytest.approx(LABELS[name], rel=1e-3)


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_every_common_compound_has_a_formula(name):
    assert 10 < formula_mass(FORMULAS[name]) < 2000


@pytest.mark.parametrize(
    "name",
    ["BHI", "Agar", "yeast extract", "B12", "", "PVP", "SL-10", "O2", "Xx2O", "K(2", "H2)O", "x", "NaCl x"],
)
def test_a_word_is_no_formula(name):
    assert molar_mass(name) is None


@given(st.text(max_size=30))
def test_any_text_has_a_mass_above_zero_or_none(text):
    found = molar_mass(text)
    assert found is None or (math.isfinite(found) and found > 0)


@pytest.mark.parametrize(
    ("amount", "of", "mass", "expected"),
    [
        (10, "g/L", None, 10), (10, "G_PER_L", None, 10), (250, "mg/l", None, 0.25), (250, "MG_PER_L", None, 0.25),
        (3, "µg/L", None, 3e-6), (3, "μg/L", None, 3e-6), (3, "MICROG_PER_L", None, 3e-6), (0.9, "%", None, 9),
        (0.9, "% w/v", None, 9), (2, "PERCENT_W_V", None, 20), (1, "M", 58.44, 58.44), (5, "mM", 180.16, 0.9008),
        (5, "MILLIMOLAR", 180.16, 0.9008), (7, "uM", 100, 7e-4), (7, "umol/L", 100, 7e-4), (7, "nM", 100, 7e-7),
        (1, "mg/mL", None, 1), (0, "mM", 1, 0),
    ],
)  # fmt: skip
def test_amounts_come_out_in_grams_per_litre(amount, of, mass, expected):
    assert to_g_per_l(amount, of, mass) == pytest.approx(expected)


@given(st.floats(0, 1e6), st.sampled_from(UNITS), st.floats(1, 1e5))
def test_twice_the_amount_is_twice_the_mass(amount, of, mass):
    assert to_g_per_l(2 * amount, of, mass) == pytest.approx(2 * to_g_per_l(amount, of, mass), abs=1e-300)


def test_a_unit_has_one_name():
    assert {unit(word) for word in ("mM", "mmol/L", "MILLIMOLAR", " mM ")} == {"mM"}
    assert is_molar("mM")
    assert not is_molar("mg/L")


@pytest.mark.parametrize("amount", [-1, math.nan, math.inf, -math.inf])
def test_an_amount_is_finite_and_not_negative(amount):
    with pytest.raises(UnitError, match="expected a number from 0 up"):
        to_g_per_l(amount, "g/L")


@pytest.mark.parametrize(
    "word", ["", "mL/L", "% v/v", "drops", "mm", "MM", "g/L; drop table", "m", "x", "FOLD_DILUTION"]
)
def test_other_units_are_refused(word):
    with pytest.raises(UnitError, match="expected one of g/L"):
        to_g_per_l(1, word, 100)


@pytest.mark.parametrize(
    ("mass", "said"), [(None, "none is known"), (0, "above 0"), (-5, "above 0"), (math.nan, "above 0")]
)
def test_molecules_need_a_molar_mass(mass, said):
    with pytest.raises(UnitError, match=said):
        to_g_per_l(1, "mM", mass)
