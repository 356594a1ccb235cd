"""What is usual in real media, and recipes put right by it."""

from __future__ import annotations

import numpy as np

from mediacvae.base import MAIN
from mediacvae.constraints import Constraints
from mediacvae.practice import Practice, fed, forms, one_form

NAMES = ("Glucose", "NaCl", "D-Glucose", "CaCl2", "CaCl2 x 2 H2O", "CaCl2 x 6 H2O", "Yeast extract")


def test_one_form_of_a_substance_is_enough():
    same = forms(NAMES)
    assert [own.tolist() for own in same] == [[0, 2], [3, 4, 5]]
    x = np.array([[5.0, 1.0, 4.0, 0.1, 0.2, 0.0, 1.0], [5.0, 1.0, 0.0, 0.0, 0.2, 0.0, 0.0]])
    value = np.array([[0.3, 1.0, 0.6, 0.5, 0.4, 0.9, 1.0]])
    made = one_form(x, np.repeat(value, 2, axis=0), same, np.zeros(7, dtype=bool))
    np.testing.assert_array_equal(made, [[0, 1, 4, 0.1, 0, 0, 1], [5, 1, 0, 0, 0.2, 0, 0]])
    demanded = np.isin(NAMES, ["Glucose", "D-Glucose", "CaCl2 x 2 H2O"])
    made = one_form(x, np.repeat(value, 2, axis=0), same, demanded)
    np.testing.assert_array_equal(made[0], [5, 1, 4, 0, 0.2, 0, 1])
    assert x[0, 0] == 5.0


def test_the_hungry_are_fed_the_likeliest_that_is_allowed():
    food = np.array([True, False, True, False, False, False, True])
    amount = np.array([10.0, 5.0, 0.5, 1.0, 1.0, 1.0, 2.0])
    x = np.array([[0.0, 5.0, 0, 0, 0, 0, 0.5], [0.0, 5.0, 0, 0, 0, 0, MAIN / 2]])
    chance = np.array([[0.2, 1.0, 0.4, 0, 0, 0, 0.3]])
    made = fed(x, chance, food, amount)
    np.testing.assert_array_equal(made[0], x[0])
    np.testing.assert_array_equal(made[1], [0, 5, 0.5, 0, 0, 0, MAIN / 2])
    np.testing.assert_array_equal(fed(x, chance, np.zeros(7, dtype=bool), amount), x)
    assert x[1, 2] == 0


def test_what_is_usual_and_what_is_most():
    media = np.zeros((101, 7))
    media[:, 1] = np.arange(101.0)
    media[:5, 6] = 3.0
    own = Practice.of(media, NAMES)
    assert (own.usual[1], own.most[1], own.usual[6], own.most[6]) == (50.5, 96.0, 3.0, 3.0)
    assert (own.usual[0], own.most[0]) == (0.0, np.inf)


def test_what_obeys_is_not_hungry_and_says_nothing_twice():
    media = np.tile([10.0, 5.0, 8.0, 0.1, 0.2, 0.3, 2.0], (5, 1))
    own = Practice.of(media, NAMES)
    x, value = (
        np.array([[10.0, 5.0, 8.0, 0.1, 0.2, 0.3, 0.0]]),
        np.array([[0.9, 1.0, 0.5, 0.1, 0.8, 0.2, 0.4]]),
    )
    made = own.obeying(x, value, value, Constraints())
    np.testing.assert_array_equal(made, [[10, 5, 0, 0, 0.2, 0, 0]])
    made = own.obeying(x, value, value, Constraints(exclude=("Glucose",)))  # then the other form is taken
    np.testing.assert_array_equal(made, [[0, 5, 8, 0, 0.2, 0, 0]])
    made = own.obeying(
        x, value, value, Constraints(exclude=("Glucose", "D-Glucose"), cap={"Yeast extract": 0.5})
    )
    np.testing.assert_array_equal(made, [[0, 5, 0, 0, 0.2, 0, 0.5]])
    made = own.obeying(x, value, value, Constraints(require={"CaCl2": 1.0, "D-Glucose": None}))
    np.testing.assert_array_equal(made, [[0, 5, 8, 1, 0, 0, 0]])
