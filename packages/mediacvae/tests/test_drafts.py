"""Draws of the network as recipes."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from mediacvae.drafts import drawn
from mediacvae.expectation import expected


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
