"""What ingredients are, by their names."""

import pytest

from mediacvae import ingredients as i

KNOWN = {
    i.CARBON: (
        "yeast extract",
        "Bacto Peptone (BD-Difco)",
        "Glucose",
        "Na-acetate",
        "L-Glutamine",
        "horse serum",
    ),
    i.SALTS: (
        "NaCl",
        "MgSO4 x 7 H2O",
        "NaHCO3",
        "K2HPO4",
        "HEPES",
        "Tris-HCl",
        "sea salt",
        "(NH4)2SO4",
        "CaCO3",
    ),
    i.TRACE: (
        "FeSO4 x 7 H2O",
        "Na2MoO4 x 2 H2O",
        "H3BO3",
        "EDTA",
        "Fe(III) citrate",
        "Na2SeO3 x 5 H2O",
        "KBr",
    ),
    i.VITAMINS: (
        "Biotin",
        "p-Aminobenzoic acid",
        "Calcium pantothenate",
        "Thiamine HCl",
        "(DL)-alpha-Lipoic acid",
    ),
    i.REDUCING: ("L-Cysteine HCl x H2O", "Na2S x 9 H2O", "sodium resazurin", "Na-thioglycolate"),
    i.OTHER: ("Agar", "Tween 80", "Uracil", "Ampicillin", "something new"),
}


@pytest.mark.parametrize(("group", "name"), [(g, name) for g, names in KNOWN.items() for name in names])
def test_group_of_common_ingredients(group: str, name: str) -> None:
    assert i.group(name) == group
    assert i.group(f"  {name.upper()} ") == group
    assert i.is_carbon(name) == (group == i.CARBON)


@pytest.mark.parametrize(
    "name",
    [
        "Yeast extract",
        "tryptone",
        "Casamino acids",
        "rumen fluid",
        "fetal bovine serum",
        "seawater",
        "soil extract",
    ],
)
def test_what_has_no_known_composition_is_complex(name: str) -> None:
    assert i.is_complex(name)


@pytest.mark.parametrize(
    "name", ["Glucose", "Agar", "artificial seawater", "Starch", "NaCl", "Biotin", "Cellulose"]
)
def test_what_has_a_composition_is_not(name: str) -> None:
    assert not i.is_complex(name)


@pytest.mark.parametrize(
    "name", ["NaHCO3", "Na2CO3", "seawater", "EDTA", "Nicotinic acid", "Ferric ammonium citrate"]
)
def test_carbonates_chelators_vitamins_and_sea_water_feed_nobody(name: str) -> None:
    assert not i.is_carbon(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Glucose", "D-Glucose"),
        ("D-(+)-Glucose", "glucose"),
        ("CaCl2", "CaCl2 x 2 H2O"),
        ("MnSO4 x n H2O", "MnSO4 x H2O"),
        ("Thiamine-HCl x 2 H2O", "Thiamine HCl"),
        ("Pyridoxine hydrochloride", "Pyridoxine"),
        ("L-Cysteine HCl x H2O", "cysteine-hcl"),
        ("sodium resazurin", "Resazurin"),
        ("calcium d-(+)-pantothenate", "Calcium pantothenate"),
        ("L-Sodium lactate", "Sodium lactate"),
    ],
)
def test_forms_of_one_substance(one: str, other: str) -> None:
    assert i.substance(one) == i.substance(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("D-Alanine", "L-Alanine"),
        ("Glucose", "Galactose"),
        ("MgSO4 x 7 H2O", "MgCl2 x 6 H2O"),
        ("K2HPO4", "KH2PO4"),
        ("NiCl2", "NaCl"),
        ("Sodium D,L-Lactate", "Sodium lactate"),
        ("(NH4)2SO4", "Na2SO4"),
        ("Fe(NH4)2(SO4)2 x 6 H2O", "FeSO4 x 7 H2O"),
    ],
)
def test_substances_that_are_not_one(one: str, other: str) -> None:
    assert i.substance(one) != i.substance(other)
