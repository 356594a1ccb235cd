"""Odds of growth: Laplace's approximation against brute force, and what known results and likeness must do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from mediacvae.conditions import Block, Conditioner
from mediacvae.growth import GrowthModel, Odds, Strengths, Who, _Cases, plain
from mediacvae.kernels import Kernel

CONDITIONER = Conditioner((Block("lineage", "tokens", tuple("abcd")),))
RECIPES = {
    "rich": frozenset({"peptone", "yeastextract", "nacl"}),
    "richer": frozenset({"peptone", "yeastextract", "glucose"}),
    "salty": frozenset({"nacl", "mgcl2"}),
    "secret": frozenset(),
}
MEDIA = tuple(RECIPES)


def who(n: int, seed: int = 0, prefix: str = "g") -> Who:
    rng = np.random.default_rng(seed)
    conditions = np.eye(4)[rng.integers(0, 4, n)]
    if n > 3:
        conditions[-1] = np.nan
    genus = [str(name) for name in rng.choice(["Halo", "Bacillus", ""], n)]
    return Who(
        [f"{prefix}{at}" for at in range(n)],
        genus,
        [f"{name} sp" if name else "" for name in genus],
        conditions,
    )


def grown(n: int = 8, results: int = 20, seed: int = 0) -> GrowthModel:
    rng = np.random.default_rng(seed)
    own = who(n, seed)
    kernel = Kernel.fit(CONDITIONER, np.eye(4))
    cells = rng.permutation(n * 3)[:results]
    organism, medium = cells // 3, cells % 3
    return GrowthModel(kernel, own, MEDIA[:3], RECIPES, organism, medium, rng.random(results) < 0.5)


NEW = who(1, 5, "new")


def asked(model, *known, people=NEW):
    media = list(MEDIA)
    rows = np.zeros(len(media), int)
    return model.odds(people, rows, media, RECIPES, [(0, name, grew) for name, grew in known])


# ---- against oracles


def prior(model, people):
    """Covariance of what was tried and of the new organism on all media, by the definition."""
    ids = [*model.who.ids, *people.ids]
    both = Who(
        ids,
        [*model.who.genus, *people.genus],
        [*model.who.species, *people.species],
        np.concatenate([model.who.conditions, people.conditions]),
    )
    organism = np.concatenate([model.organism, np.full(len(MEDIA), len(ids) - 1)])
    media = (*(model.media[at] for at in model.medium), *MEDIA)
    cases = _Cases(both, organism, media, RECIPES)
    return model._covariance(cases, cases)


def test_the_most_probable_odds_are_found():
    model = grown()
    n = len(model.grew)
    k = prior(model, NEW)
    inverse = np.linalg.inv(k[:n, :n] + 1e-9 * np.eye(n))

    def loss(f):
        return float(0.5 * f @ inverse @ f + np.logaddexp(0, f).sum() - f[model.grew].sum())

    def slope(f):
        return inverse @ f + expit(f) - model.grew

    best = minimize(loss, np.zeros(n), jac=slope, method="BFGS", options={"gtol": 1e-8}).x
    found = asked(model)
    np.testing.assert_allclose(found.mean, k[n:, :n] @ inverse @ best, atol=1e-4)
    p = expit(best)
    gain = k[n:, :n] @ np.linalg.inv(k[:n, :n] + np.diag(1 / (p * (1 - p)))) @ k[:n, n:]
    np.testing.assert_allclose(found.variance, np.diag(k[n:, n:] - gain), atol=1e-4)


def test_the_variance_before_anything_is_known_is_that_of_the_covariance():
    model, people = grown(), who(6, 9, "q")
    organism = np.repeat(np.arange(6), len(MEDIA))
    cases = _Cases(people, organism, MEDIA * 6, RECIPES)
    np.testing.assert_allclose(model._own(cases), np.diag(model._covariance(cases, cases)))
    assert np.linalg.eigvalsh(model._covariance(cases, cases)).min() > -1e-9


def test_with_features_of_genomes_it_is_still_a_covariance():
    """Features that stand out in opposite ways make organisms unlike: less alike than strangers."""
    rng = np.random.default_rng(0)
    conditioner = Conditioner((Block("kmer4", "numbers", tuple("abcdef")),))
    conditions = rng.standard_normal((60, 6))
    kernel = Kernel.fit(conditioner, conditions)
    people = Who([f"g{at}" for at in range(60)], [""] * 60, [""] * 60, conditions)
    only_kin = Strengths(*np.eye(9)[4])  # kin
    organism = np.arange(60).repeat(3)
    model = GrowthModel(
        kernel, people, MEDIA[:3], RECIPES, organism, np.tile(np.arange(3), 60), organism % 2 > 0, only_kin
    )
    cases = _Cases(people, organism, MEDIA[:3] * 60, RECIPES)
    assert np.linalg.eigvalsh(model._covariance(cases, cases)).min() > -1e-9
    np.testing.assert_allclose(model._own(cases), np.diag(model._covariance(cases, cases)))
    strong = replace(model, strengths=Strengths(kin=1000, taste=1000))
    assert np.isfinite(strong.odds(people, organism[:5], list(MEDIA[:3]) + ["rich"] * 2, RECIPES).mean).all()


@pytest.mark.parametrize("grew", [(True,), (False,), (True, True), (True, False)])
def test_it_is_close_to_the_whole_integral(grew):
    """One or two results, weak effects: mean and spread of the log odds by summing over a fine grid."""
    weak = Strengths(*(0.1 * value for value in vars(Strengths()).values()))
    own = Who(["g0"], ["Halo"], ["Halo sp"], np.eye(4)[:1])
    n = len(grew)
    kernel = Kernel.fit(CONDITIONER, np.eye(4))
    model = GrowthModel(kernel, own, MEDIA[:n], RECIPES, np.zeros(n, int), np.arange(n), np.array(grew), weak)
    k = prior(model, own)
    grid = np.linspace(-8, 8, 241)
    f = np.stack(np.meshgrid(*[grid] * n, indexing="ij"), axis=-1).reshape(-1, n)
    log = -0.5 * np.einsum("gi,ij,gj->g", f, np.linalg.inv(k[:n, :n]), f)
    log += (np.where(grew, f, 0) - np.logaddexp(0, f)).sum(axis=1)
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    back = k[n:, :n] @ np.linalg.inv(k[:n, :n])
    mean = weight @ f @ back.T
    spread = (weight @ (f @ back.T) ** 2) - mean**2 + np.diag(k[n:, n:] - back @ k[:n, n:])
    found = model.odds(own, np.zeros(len(MEDIA), int), MEDIA, RECIPES)
    np.testing.assert_allclose(found.mean, mean, atol=0.08)
    np.testing.assert_allclose(found.variance, spread, rtol=0.1)


# ---- known results


def test_a_known_result_moves_its_own_odds_and_those_of_like_media():
    model = grown()
    before = asked(model)
    for grew, sign in ((True, 1), (False, -1)):
        after = asked(model, ("rich", grew))
        assert (sign * (after.mean - before.mean) > 0).all()
        moved = np.abs(after.mean - before.mean)
        assert moved[0] == moved.max()
        assert moved[1] > moved[2]  # richer is more like rich than salty is
        assert after.variance[0] < before.variance[0]


def test_a_known_result_also_teaches_of_an_organism_without_a_name():
    nobody = Who([""], [""], [""], np.full((1, 4), np.nan))
    model = grown()
    before, after = asked(model, people=nobody), asked(model, ("rich", True), people=nobody)
    assert after.mean[2] > before.mean[2]


def test_results_of_strangers_do_not_touch_the_organisms_own_effect():
    nobody = Who(["x"], [""], [""], np.full((1, 4), np.nan))
    strengths = Strengths(common=0, medium=0, recipe=0)
    odds = asked(replace(grown(), strengths=strengths), people=nobody)
    np.testing.assert_allclose(odds.mean, 0, atol=1e-9)


def test_known_results_are_results_like_others():
    """To know them beside the model, or to have learned them in it, is the same."""
    model = grown()
    together = Who(
        [*model.who.ids, *NEW.ids],
        [*model.who.genus, *NEW.genus],
        [*model.who.species, *NEW.species],
        np.concatenate([model.who.conditions, NEW.conditions]),
    )
    more = replace(
        model,
        who=together,
        organism=np.append(model.organism, len(model.who.ids)),
        medium=np.append(model.medium, 2),
        grew=np.append(model.grew, True),
    )
    one, other = asked(model, ("salty", True)), asked(more)
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-6)
    np.testing.assert_allclose(one.variance, other.variance, atol=1e-6)


@given(st.permutations(range(20)))
def test_the_order_of_results_does_not_matter(order):
    model = grown()
    other = replace(model, organism=model.organism[order], medium=model.medium[order], grew=model.grew[order])
    np.testing.assert_allclose(asked(other).mean, asked(model).mean, atol=1e-6)


def test_media_and_organisms_that_nobody_has_seen():
    model = grown()
    odds = model.odds(NEW, np.zeros(2, int), ["never", "rich"], {"never": frozenset({"unobtainium"})})
    assert np.isfinite(odds.mean).all()
    assert ((odds.probability > 0) & (odds.probability < 1)).all()
    assert odds.variance[0] > odds.variance[1]
    assert model.odds(NEW, np.zeros(0, int), [], {}).probability.shape == (0,)


def test_certainty_does_not_break_it():
    model = grown(n=10, results=30)
    model = replace(model, grew=np.ones(30, bool), strengths=Strengths(common=100, organism=100))
    odds = asked(model, *[(name, True) for name in MEDIA])
    assert np.isfinite(odds.mean).all()
    assert (odds.probability > 0.8).all()


# ---- information


def test_information_is_nothing_where_nothing_is_open_and_most_in_the_middle():
    model = grown()
    mean, variance = np.array([0.0, 2.0, 0.0, 0.0, 4.0]), np.array([0.0, 0.0, 1.0, 4.0, 1.0])
    found = model.information(Odds(mean, variance))
    np.testing.assert_allclose(found[:2], 0, atol=1e-12)
    assert found[3] > found[2] > found[4] > 0
    assert (found < np.log(2)).all()


def test_information_is_the_mutual_information_of_the_result_and_the_odds():
    model, rng = grown(), np.random.default_rng(0)
    mean, variance = np.array([0.7]), np.array([2.0])
    p = expit(mean + np.sqrt(variance) * rng.standard_normal(400_000))

    def entropy(q):
        return -(q * np.log(q) + (1 - q) * np.log1p(-q))

    expected = entropy(p.mean()) - entropy(p).mean()
    assert model.information(Odds(mean, variance))[0] == pytest.approx(expected, abs=2e-3)


def test_what_is_tried_is_no_longer_worth_trying():
    model = grown()
    before = model.information(asked(model))
    after = model.information(asked(model, ("rich", True)))
    assert after[0] < before[0]


def test_odds_are_drawn_to_the_middle_by_doubt():
    sure, open_ = Odds(np.array([2.0]), np.array([0.0])), Odds(np.array([2.0]), np.array([4.0]))
    assert sure.probability[0] == pytest.approx(expit(2.0))
    assert 0.5 < open_.probability[0] < sure.probability[0]


def test_spellings_of_an_ingredient():
    same = {"MgSO4 x 7 H2O", "MgSO4·7H2O", "mgso4 * 7 h2o", "MgSO4", "MgSO4 (anhydrous)"}
    assert {plain(name) for name in same} == {"mgso4"}
    assert plain("Yeast extract") == plain("yeast-extract") == "yeastextract"
    assert plain("Glucose monohydrate") != ""
