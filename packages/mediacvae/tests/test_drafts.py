"""Draws of the network as recipes, and what they are put right in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from mediacvae.base import MAIN
from mediacvae.constraints import Constraints
from mediacvae.drafts import caps, drawn, fed, forms, one_form
from mediacvae.expectation import expected

NAMES = ("Glucose", "NaCl", "D-Glucose", "CaCl2", "CaCl2 x 2 H2O", "CaCl2 x 6 H2O", "Yeast extract")


def test_a_recipe_takes_as_many_as_its_draw_expects_the_likeliest_first(model, dataset):
    c = dataset.conditions[:1]
    own = expected(model.vae, c, draws=64).there
    made, value = drawn(model.vae, c, 50, own, own, seed=3)
    logits, amount = model.vae.draws(50, c, seed=3)
    np.testing.assert_allclose(value, logits, atol=1e-5)  # moved to where they are
    np.testing.assert_array_equal((made > 0).sum(axis=1), np.rint(expit(logits).sum(axis=1)))
    for row, said in zip(made > 0, value, strict=True):
        assert said[row].min() >= said[~row].max()
    np.testing.assert_allclose(made[made > 0], model.vae.in_grams(amount)[made > 0])


def test_draws_move_to_the_chances_they_are_told(model, dataset):
    c = dataset.conditions[:1]
    own = expected(model.vae, c, draws=64).there
    wanted = own.copy()
    rare, common = int(np.argmin(own)), int(np.argmax(own))
    wanted[0, rare], wanted[0, common] = 0.999, 0.001
    made, _ = drawn(model.vae, c, 50, own, wanted, seed=0)
    before, _ = drawn(model.vae, c, 50, own, own, seed=0)
    assert (made[:, rare] > 0).mean() > 0.9 > 0.1 > (before[:, rare] > 0).mean()
    assert (made[:, common] > 0).mean() < 0.1 < 0.9 < (before[:, common] > 0).mean()


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


def test_the_hungry_are_fed_what_is_allowed():
    food = np.array([True, False, True, False, False, False, True])
    usual = np.array([10.0, 5.0, 0.001, 1.0, 1.0, 1.0, 2.0])
    x = np.array([[0.0, 5.0, 0, 0, 0, 0, 0.5], [0.0, 5.0, 0, 0, 0, 0, 0.001]])
    chance = np.array([[0.2, 1.0, 0.4, 0, 0, 0, 0.3]])
    made = fed(x, chance, food, usual, caps(NAMES, Constraints()))
    np.testing.assert_array_equal(made[0], x[0])
    assert made[1, 2] == pytest.approx(MAIN * 1.01)  # the likeliest, and more than a trace of it
    made = fed(x, chance, food, usual, caps(NAMES, Constraints(cap={"D-Glucose": 0.005})))
    assert made[1, 2] == 0.005
    np.testing.assert_array_equal(fed(x, chance, np.zeros(7, dtype=bool), usual, np.full(7, np.inf)), x)
