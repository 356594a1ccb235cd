"""Known media in order, and the odds that they are on record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediacvae.conditions import Block, Conditioner
from mediacvae.kernels import Kernel
from mediacvae.metrics import calibration_error
from mediacvae.ranking import Ranker, presence

CONDITIONER = Conditioner((Block("lineage", "tokens", tuple("abcdef")),))


def planted(seed: int = 0, genera: int = 30, strains: int = 4, media: int = 90):
    """Families of organisms like families of media; each strain is on record for a few of its family's media."""
    rng = np.random.default_rng(seed)
    genus = np.repeat(np.arange(genera), strains)
    family = genus % 6
    conditions = np.eye(6)[family]
    kind = np.arange(media) % 6
    held = np.zeros((media, 24))
    held[np.arange(media), kind * 2] = held[np.arange(media), kind * 2 + 1] = 1.0
    held[:, 12:] = rng.random((media, 12)) < 0.4
    pairs = [
        (at, medium)
        for at in range(len(genus))
        for medium in rng.choice(np.flatnonzero(kind == family[at]), 4, replace=False)
    ]
    return conditions, np.array(pairs), held, genus.astype(str), kind, family


def fitted(conditions, pairs, library, groups, **more) -> Ranker:
    kernel = Kernel.fit(CONDITIONER, conditions)
    main = mean_recipe(len(np.unique(pairs[:, 0])), library)
    return Ranker.fit(kernel, conditions, pairs, library, groups, main, **more)


def mean_recipe(n: int, library: np.ndarray) -> np.ndarray:
    """What is expected where nothing is known: it should change nothing."""
    return np.tile((library > 0.01).mean(axis=0), (n, 1))


def scores(made: Ranker, conditions: np.ndarray, library: np.ndarray) -> np.ndarray:
    return made.scores(conditions, mean_recipe(len(conditions), library), library)


def test_a_planted_truth_is_at_the_top():
    conditions, pairs, library, groups, kind, _ = planted()
    made = fitted(conditions, pairs, library, groups)
    top = np.argsort(-scores(made, np.eye(6), library), axis=1)[:, :10]
    assert (kind[top] == np.arange(6)[:, None]).mean() > 0.95


def test_scores_are_the_formula():
    conditions, pairs, library, groups, _, _ = planted(genera=4, strains=2, media=24)
    made = fitted(conditions, pairs, library, groups)
    kernel, unit = made.kernel, presence(library)
    like = kernel.cosine(conditions[:2], conditions) ** 4
    expected = np.zeros((2, 24))
    for row in range(2):
        weights = np.array([like[row, organism] for organism, _ in pairs])
        shared = np.array([unit[medium] @ unit.T for _, medium in pairs]) ** 4
        expected[row] = weights @ shared / weights.sum()
    plain = replace(made, blend=0.0)
    np.testing.assert_allclose(scores(plain, conditions[:2], library), expected)
    main = np.random.default_rng(0).random((2, 24))
    cosine = main @ unit.T / np.linalg.norm(main, axis=1, keepdims=True)
    found = replace(made, blend=2.0).scores(conditions[:2], main, library)
    np.testing.assert_allclose(found, expected * cosine**2)


def test_what_is_expected_is_heeded_where_it_helps():
    conditions, pairs, library, groups, _, _ = planted()
    kernel = Kernel.fit(CONDITIONER, conditions)
    blind = np.full(conditions.shape, np.nan)
    first = np.unique(pairs[:, 0], return_index=True)[1]
    sure = library[pairs[first, 1]]
    told = Ranker.fit(kernel, blind, pairs, library, groups, sure)
    assert told.blend > 0
    noise = np.random.default_rng(0).random(sure.shape)
    top = [
        np.argsort(-made.scores(blind, sure, library), axis=1)[:, :5]
        for made in (told, replace(told, blend=0.0))
    ]
    truth = [set(pairs[pairs[:, 0] == at, 1]) for at in range(len(conditions))]
    hits = [np.mean([bool(truth[at] & set(row)) for at, row in enumerate(one)]) for one in top]
    assert hits[0] > hits[1]
    assert Ranker.fit(kernel, conditions, pairs, library, groups, noise).blend <= told.blend


@given(st.permutations(range(24)))
def test_the_order_of_pairs_and_media_does_not_matter(order):
    conditions, pairs, library, groups, _, _ = planted(genera=6, strains=1, media=24)
    one = fitted(conditions, pairs, library, groups)
    other = fitted(conditions, pairs[order], library, groups)
    np.testing.assert_allclose(scores(other, conditions, library), scores(one, conditions, library))
    np.testing.assert_allclose(
        scores(one, conditions, library[order]), scores(one, conditions, library)[:, order]
    )
    np.testing.assert_allclose(other.odds, one.odds, rtol=1e-6)


def test_a_better_score_is_never_less_likely(dataset):
    pairs = dataset.pairs[["organism", "medium"]].to_numpy()
    kernel = Kernel.fit(dataset.conditioner, dataset.conditions)
    media, groups = np.asarray(dataset.media), dataset.organisms["genus"].to_numpy()
    main = mean_recipe(len(np.unique(pairs[:, 0])), media)
    made = Ranker.fit(kernel, dataset.conditions, pairs, media, groups, main)
    found = scores(made, dataset.conditions, media)
    chance = made.probability(found)
    assert ((chance > 0) & (chance < 1)).all()
    for row, odds in zip(found, chance, strict=True):
        assert (np.diff(odds[np.argsort(-row, kind="stable")]) <= 1e-12).all()


def test_odds_are_calibrated_on_relatives_left_out():
    conditions, pairs, library, groups, _, _ = planted(genera=60)
    train = np.isin(groups[pairs[:, 0]].astype(int) % 10, range(7))
    made = fitted(conditions, pairs[train], library, groups)
    out = np.unique(pairs[~train, 0])
    chance = made.probability(scores(made, conditions[out], library))
    truth = np.zeros(chance.shape)
    for organism, medium in pairs[~train]:
        truth[np.searchsorted(out, organism), medium] = 1
    assert calibration_error(chance.ravel(), truth.ravel()) < 0.03
    assert chance.max() > 0.2 > 4 * np.median(chance)


def test_of_whom_nothing_is_known_the_usual_media_come_first():
    conditions, pairs, library, groups, _, _ = planted()
    made = fitted(conditions, pairs, library, groups)
    none = scores(replace(made, blend=0.0), np.full((1, 6), np.nan), library)
    unit = presence(library)
    even = (unit[pairs[:, 1]] @ unit.T) ** 4
    np.testing.assert_allclose(none[0], even.mean(axis=0))
    assert np.isfinite(made.probability(none)).all()


@pytest.mark.parametrize("genera", [1, 2, 3])
def test_few_groups_will_do(genera):
    conditions, pairs, library, groups, _, _ = planted(genera=genera, strains=3)
    made = fitted(conditions, pairs, library, groups)
    chance = made.probability(scores(made, conditions, library))
    assert np.isfinite(chance).all()
    assert ((chance >= 0) & (chance <= 1)).all()


def test_of_many_organisms_some_are_kept_and_no_organisms_get_no_scores():
    conditions, pairs, library, groups, _, _ = planted()
    made = fitted(conditions, pairs, library, groups, most=20)
    assert len(made.landmarks) == 20
    assert made.counts.sum() == 20 * 4
    assert scores(made, conditions[:0], library).shape == (0, len(library))


def test_presence_is_of_main_ingredients():
    x = np.array([[0.0, 0.005, 1.0, 2.0], [0, 0, 0, 0], [0.02, 0, 0, 0]])
    np.testing.assert_allclose(presence(x), [[0, 0, 0.5**0.5, 0.5**0.5], [0, 0, 0, 0], [1, 0, 0, 0]])
