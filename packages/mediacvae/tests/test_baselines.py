"""Simple recipes and rankings against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mediacvae import baselines
from mediacvae.baselines import MEAN, NEIGHBOUR, POPULAR, RIDGE, Standard, constant, nearest, ridge
from mediacvae.conditions import OTHERS, Block, Conditioner
from mediacvae.metrics import jaccard, mse_log1p

CONDITIONER = Conditioner(
    (
        Block("lineage", "tokens", ("Archaea", "Bacteria", "Halobacteria")),
        Block("names", "tokens", ("halo", OTHERS)),
        Block("stats", "numbers", ("GC [percent]", "log10 length [bases]")),
    )
)
D = CONDITIONER.width


def world(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Salt for those of the salt, sugar for the others, and noise: conditions, media, groups."""
    rng = np.random.default_rng(seed)
    halo = rng.random(n) < 0.4
    c = np.column_stack([halo, ~halo, halo, halo, rng.random(n) * 3, 45 + 20 * halo + rng.normal(size=n) * 4])
    c = np.column_stack([c, 6.5 + 0.2 * rng.normal(size=n)])
    salt, sugar = 200.0 * halo, 10.0 * ~halo
    x = np.column_stack([salt, sugar, np.full(n, 5.0), 3.0 * (rng.random(n) < 0.5), np.zeros(n)])
    return c, x * np.exp(0.1 * rng.normal(size=x.shape)), rng.integers(0, 30, n)


def test_least_squares_and_neighbours_beat_the_mean_where_there_is_a_rule() -> None:
    c, x, groups = world(120, 0)
    test_c, test_x, _ = world(40, 1)
    made = baselines.run(c, x, groups, test_c, CONDITIONER)
    assert set(made) == {MEAN, POPULAR, NEIGHBOUR, RIDGE}
    error = {name: mse_log1p(test_x, value) for name, value in made.items()}
    assert error[RIDGE] < error[NEIGHBOUR] < 0.5 * error[MEAN] < error[POPULAR]
    assert len(np.unique(made[MEAN], axis=0)) == len(np.unique(made[POPULAR], axis=0)) == 1
    np.testing.assert_allclose(made[MEAN][0], np.expm1(np.log1p(x).mean(axis=0)))
    for value in made.values():
        assert value.shape == (40, 5)
        assert np.isfinite(value).all()
        assert (value >= 0).all()


def test_what_is_not_known_is_the_mean_of_what_is() -> None:
    c, x, groups = world(80, 2)
    c[::3, :3] = np.nan
    c[:, 3:5] = np.nan  # no name at all
    made = baselines.run(c, x, groups, np.full((2, D), np.nan), CONDITIONER)
    z = Standard.fit(CONDITIONER, c)(np.full((2, D), np.nan))
    np.testing.assert_array_equal(z, 0.0)
    np.testing.assert_allclose(made[RIDGE], made[MEAN], rtol=0.1, atol=0.3)


def test_tokens_keep_their_scale_and_numbers_lose_it() -> None:
    c, x, groups = world(60, 3)
    standard = Standard.fit(CONDITIONER, c)
    z = standard(c)
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(np.ptp(z[:, :4], axis=0), 1.0)
    np.testing.assert_array_equal(z[:, 4], 0.0)  # the pieces of a name that nobody shares
    np.testing.assert_allclose(z[:, 5:].std(axis=0), 1.0)
    in_other_units = c * np.array([1, 1, 1, 1, 1, 0.01, 1000.0]) + np.array([0, 0, 0, 0, 0, 3.0, -7.0])
    for one, other in zip(
        baselines.run(c, x, groups, c[:9], CONDITIONER).values(),
        baselines.run(in_other_units, x, groups, in_other_units[:9], CONDITIONER).values(),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


def test_a_number_that_never_varied_says_nothing() -> None:
    c, _, _ = world(20, 4)
    c[:, 5] = 50.0
    far = c[:1].copy()
    far[0, 5] = 90.0
    assert Standard.fit(CONDITIONER, c)(far)[0, 5] == 0.0


@pytest.mark.parametrize("d", [3, 40])
def test_ridge_is_the_normal_equations_with_fewer_or_more_features_than_rows(d: int) -> None:
    rng = np.random.default_rng(d)
    z, y, test = rng.normal(size=(20, d)) + 1, rng.normal(size=(20, 4)) + 2, rng.normal(size=(6, d))
    made = ridge(z, y, np.zeros(20), test)  # one group: the middle penalty
    mean = z.mean(axis=0)
    w = np.linalg.solve((z - mean).T @ (z - mean) + 60.0 * np.eye(d), (z - mean).T @ (y - y.mean(axis=0)))
    np.testing.assert_allclose(made, y.mean(axis=0) + (test - mean) @ w, atol=1e-9)


def test_the_penalty_is_large_for_noise_and_small_for_a_rule() -> None:
    rng = np.random.default_rng(0)
    z, groups = rng.normal(size=(300, 5)), np.arange(300)
    rule = z @ rng.normal(size=(5, 3))
    noise = rng.normal(size=(300, 3))
    for y, penalty in ((rule, 3.0), (noise, 400.0)):
        expected = baselines._ridge(z, y, z, (penalty,))[0]
        np.testing.assert_allclose(ridge(z, y, groups, z), expected)


@given(arrays(float, (6, 7), elements=st.sampled_from([0.0, 0.005, 0.5, 4.0])))
def test_no_longer_or_shorter_constant_recipe_is_better(x: np.ndarray) -> None:
    made = constant(x)
    there = (x > 0.01).sum(axis=0)
    order = np.argsort(-there, kind="stable")
    best = 0.0
    for k in range(1, 8):
        recipe = np.zeros(7)
        recipe[order[:k]] = 1.0
        best = max(best, jaccard(x, np.repeat(recipe[None], 6, axis=0)))
    if there.any():
        assert jaccard(x, np.repeat(made[None], 6, axis=0)) >= best - 1e-9
    for j in np.flatnonzero(made):
        assert np.log1p(made[j]) == pytest.approx(np.log1p(x[x[:, j] > 0.01, j]).mean())


def test_the_nearest_is_the_first_of_several() -> None:
    z = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    test = np.array([[0.0, 0.1], [1.0, 0.0], [0.0, 0.0], [0.5, 0.0], [-0.5, 9.0]])
    np.testing.assert_array_equal(nearest(z, test), [1, 0, 1, 0, 1])
    assert nearest(z, test[:0]).shape == (0,)


def test_rankings_count_and_follow_the_neighbour() -> None:
    library = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 9.0], [0.0, 0.0, 0.0]])
    c, _, _ = world(5, 5)
    c[:2] = c[0]
    medium = np.array([1, 0, 2, 1, 1])
    made = baselines.rank_scores(c, medium, c[1:3], library, CONDITIONER)
    np.testing.assert_array_equal(made[POPULAR], [[1, 3, 1, 0]] * 2)
    np.testing.assert_allclose(made[NEIGHBOUR], [[np.sqrt(0.5), 1, 0, 0], [0, 0, 1, 0]])


def test_arrays_that_do_not_fit_are_refused() -> None:
    c, x, groups = world(10, 6)
    for bad, said in (
        ((c[:9], x, groups, c), "of the same pairs"),
        ((c, x, groups[:9], c), "of the same pairs"),
        ((c[:0], x[:0], groups[:0], c), "of the same pairs"),
        ((c, -x, groups, c), "finite amounts >= 0"),
        ((c, np.full_like(x, np.inf), groups, c), "finite amounts >= 0"),
        ((c, x, groups, c[:, 1:]), f"conditions of {D} features a row"),
        ((c, x, groups, np.full_like(c, np.inf)), "condition 0 of row 0: expected a finite number"),
    ):
        with pytest.raises(ValueError, match=said):
            baselines.run(*bad, CONDITIONER)
    with pytest.raises(ValueError, match="a medium from 0 to 9 for each of 10"):
        baselines.rank_scores(c, np.full(10, 10), c, x, CONDITIONER)
