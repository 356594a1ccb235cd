"""What a user forbids or demands of a recipe."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mediacvae.constraints import Constraints, buffers
from mediacvae.ingredients import is_complex

NAMES = ["Glucose", "NaCl", "yeast extract", "NaHCO3", "MES", "K2HPO4"]
USUAL = np.array([5.0, 10.0, 1.0, 2.0, 2.0, 1.0])


@given(arrays(float, (3, 6), elements=st.floats(0.0, 500.0)))
def test_whatever_comes_in_obeys(x: np.ndarray) -> None:
    wish = Constraints(
        exclude=("nacl",),
        require={"Glucose": 3.0, "mes": None},
        cap={"K2HPO4": 0.5, "MES": 1.0},
        defined=True,
        ph=5.0,
    )
    before = x.copy()
    made = wish.apply(x, NAMES, usual=USUAL)
    np.testing.assert_array_equal(x, before)
    assert (made[:, [1, 2, 3]] == 0).all()
    assert (made[:, 0] == 3.0).all()
    assert ((made[:, 4] > 0) & (made[:, 4] <= 1.0)).all()
    assert (made[:, 5] <= 0.5).all()
    np.testing.assert_array_equal(wish.apply(made, NAMES, usual=USUAL), made)


def test_no_wish_changes_nothing() -> None:
    x = np.arange(12.0).reshape(2, 6)
    np.testing.assert_array_equal(Constraints().apply(x, NAMES), x)


def test_names_are_spelt_as_the_ingredients_are() -> None:
    own = Constraints(exclude=("YEAST  extract",), require={"glucose": None}, cap={"nacl": 1.0}).checked(
        NAMES
    )
    assert own.exclude == ("yeast extract",)
    assert own.require == {"Glucose": None}
    assert own.cap == {"NaCl": 1.0}


def test_a_defined_medium_holds_nothing_complex() -> None:
    assert [n for n, no in zip(NAMES, Constraints(defined=True).forbidden(NAMES), strict=True) if no] == [
        n for n in NAMES if is_complex(n)
    ]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"exclude": ("glocose",)}, "exclude: unknown ingredient 'glocose'; did you mean 'Glucose'"),
        ({"require": {"Nacl2": None}}, "require: unknown ingredient 'Nacl2'; did you mean 'NaCl'"),
        ({"cap": {"NaCl": 1.0, "nacl": 3.0}}, "cap: 'NaCl' is given two amounts, the second as 'nacl'"),
        ({"cap": {"x": 1.0}}, "cap: unknown ingredient 'x'"),
        ({"exclude": ("glucose",), "require": {"Glucose": 1.0}}, "require 'Glucose': it is excluded"),
        ({"require": {"Glucose": 5.0}, "cap": {"glucose": 1.0}}, "5 g/L is more than its cap of 1 g/L"),
        ({"require": {"Glucose": None}, "cap": {"glucose": 0.0}}, "some is more than its cap of 0 g/L"),
        ({"require": {"yeast extract": None}, "defined": True}, "of unknown composition"),
        ({"require": {"NaHCO3": 1.0}, "ph": 4.0}, "leaves as CO2 at pH 4"),
    ],
)
def test_what_no_recipe_can_meet_is_said(wish: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Constraints(**wish).checked(NAMES)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wish",
    [{"require": {"NaCl": 0.0}}, {"require": {"NaCl": -1.0}}, {"cap": {"NaCl": float("nan")}}, {"ph": 15.0}],
)
def test_amounts_and_ph_have_ranges(wish: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Constraints(**wish)  # type: ignore[arg-type]


def test_nothing_of_it_is_a_cap_and_no_demand() -> None:
    assert (Constraints(cap={"NaCl": 0.0}).apply(np.ones((1, 6)), NAMES)[0] > 0).tolist() == [
        name != "NaCl" for name in NAMES
    ]
    with pytest.raises(ValueError, match=r"cap 'NaCl': expected .* of at least 0, got -1\.0"):
        Constraints(cap={"NaCl": -1.0})
    with pytest.raises(ValueError, match=r"require 'NaCl': expected .* above 0, got 0\.0"):
        Constraints(require={"NaCl": 0.0})


def test_a_usual_amount_must_be_known() -> None:
    with pytest.raises(ValueError, match="'NaCl': no usual amount is known"):
        Constraints(require={"NaCl": None}).apply(np.zeros((1, 6)), NAMES)
    made = Constraints(require={"NaCl": None}).apply(np.eye(6)[:2], NAMES, usual=USUAL)
    assert made[:, 1].tolist() == [10.0, 1.0]  # what was there stays


@pytest.mark.parametrize(
    ("ph", "kept_by"), [(5.5, {"MES", "NaHCO3"}), (7.2, {"NaHCO3", "K2HPO4"}), (10.0, {"NaHCO3"})]
)
def test_what_keeps_a_ph(ph: float, kept_by: set[str]) -> None:
    assert {name for name, keeps in zip(NAMES, buffers(NAMES, ph), strict=True) if keeps} - {
        "MES"
    } == kept_by - {"MES"}
    assert buffers(["MES"], ph)[0] == (ph == 5.5)
