"""Kernel regression against its closed form, and what must not change it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from mediacvae import base
from mediacvae.base import MAIN, PENALTIES, Expected, KernelBase
from mediacvae.conditions import Block, Conditioner


@pytest.fixture(scope="module")
def told(dataset):
    """Conditions, organism and media of each training pair, groups."""
    rows = dataset.rows("train")
    pairs = dataset.pairs.iloc[rows]
    media = np.asarray(dataset.media[pairs["medium"].to_numpy()], np.float64)
    return dataset.conditions, pairs["organism"].to_numpy(), media, dataset.organisms["genus"].to_numpy()


def fit(dataset, told, **changed):
    given = dict(zip(("conditions", "organism", "media", "groups"), told, strict=True)) | changed
    return KernelBase.fit(dataset.conditioner, **given)


def closed_form(kernel, conditions, organism, targets, penalty, asked):
    """Kernel ridge regression on the means of organisms, which weigh as much as they have media."""
    used, at, count = np.unique(organism, return_inverse=True, return_counts=True)
    means = np.stack([targets[at == k].mean(axis=0) for k in range(len(used))])
    x = np.asarray(conditions[used], np.float64)
    mean = count @ means / count.sum()
    dual = np.linalg.solve(kernel(x, x) + penalty * np.diag(1 / count), means - mean)
    return mean + kernel(np.asarray(asked, np.float64), x) @ dual


def test_it_is_kernel_ridge_regression(dataset, told):
    made = fit(dataset, told)
    conditions, organism, media, _ = told
    assert {made.settings.amount, made.settings.chance} <= set(PENALTIES)
    found = made(conditions)
    for part, truth, penalty, least, most in (
        ("amount", np.log1p(media), made.settings.amount, 0.0, np.inf),
        ("main", media > MAIN, made.settings.chance, 0.0, 1.0),
        ("there", media > 0, made.settings.chance, 0.0, 1.0),
    ):
        oracle = closed_form(made.kernel, conditions, organism, truth.astype(float), penalty, conditions)
        np.testing.assert_allclose(getattr(found, part), np.clip(oracle, least, most), atol=1e-7)


def test_of_whom_nothing_is_known_the_mean_recipe_is_expected(dataset, told):
    found = fit(dataset, told)(np.full((1, dataset.conditioner.width), np.nan))
    np.testing.assert_allclose(found.amount[0], np.log1p(told[2]).mean(axis=0))
    np.testing.assert_allclose(found.there[0], (told[2] > 0).mean(axis=0))


def test_a_pair_that_stands_twice_counts_as_two(dataset, told):
    conditions, organism, media, _ = told
    twice = fit(dataset, told, organism=np.tile(organism, 2), media=np.tile(media, (2, 1)))
    penalty = twice.settings.amount
    oracle = closed_form(twice.kernel, conditions, organism, np.log1p(media), penalty / 2, conditions)
    np.testing.assert_allclose(twice(conditions).amount, np.maximum(oracle, 0), atol=1e-7)


def test_the_order_of_pairs_and_of_organisms_does_not_matter(dataset, told):
    conditions, organism, media, groups = told
    one = fit(dataset, told)(conditions)
    rng = np.random.default_rng(1)
    order = rng.permutation(len(organism))
    other = fit(dataset, told, organism=organism[order], media=media[order])(conditions)
    np.testing.assert_allclose(other.amount, one.amount, atol=1e-8)
    place = rng.permutation(len(conditions))
    moved = np.argsort(place)
    other = fit(dataset, told, conditions=conditions[place], groups=groups[place], organism=moved[organism])
    np.testing.assert_allclose(other(conditions).main, one.main, atol=1e-8)


def test_landmarks_come_close_to_the_whole(dataset, told, monkeypatch):
    whole = fit(dataset, told)
    monkeypatch.setattr(base, "MOST", 25)
    some = fit(dataset, told)
    assert len(some.landmarks) == 25 < len(whole.landmarks)
    gap = some(told[0]).amount - whole(told[0]).amount
    spread = whole(told[0]).amount - whole(told[0]).amount.mean(axis=0)
    assert np.square(gap).mean() < 0.05 * np.square(spread).mean()


def test_the_penalty_is_the_one_that_serves_groups_left_out(dataset, told, monkeypatch):
    conditions, organism, media, groups = told
    targets, error = np.log1p(media), []
    made = fit(dataset, told)
    for penalty in PENALTIES:
        miss = 0.0
        for genus in np.unique(groups[organism]):  # by genus: about what five folds say
            out = groups[organism] == genus
            guess = closed_form(
                made.kernel, conditions, organism[~out], targets[~out], penalty, conditions[organism[out]]
            )
            miss += np.square(guess - targets[out]).sum()
        error.append(miss)
    assert error[PENALTIES.index(made.settings.amount)] < 1.05 * min(error)


def test_one_group_one_organism_one_pair(dataset, told):
    conditions, organism, media, groups = told
    made = fit(dataset, told, groups=np.full_like(groups, "same"))
    assert np.isfinite(made(conditions).amount).all()
    made = fit(dataset, told, organism=organism[:1], media=media[:1])
    np.testing.assert_allclose(made(conditions[organism[:1]]).amount[0], np.log1p(media[0]))


def test_it_beats_the_mean_recipe_on_genera_left_out(dataset, told):
    out = dataset.pairs.iloc[dataset.rows("test")]
    truth = np.log1p(dataset.media[out["medium"].to_numpy()])
    found = fit(dataset, told)(dataset.conditions[out["organism"].to_numpy()]).amount
    constant = np.log1p(told[2]).mean(axis=0)
    assert np.square(found - truth).mean() < 0.6 * np.square(constant - truth).mean()


def test_expectations_mix():
    a, b = (Expected.of(np.full((1, 2), grams)) for grams in (0.0, 1.0))
    half = a.mix(b, 0.25)
    np.testing.assert_allclose(half.amount, 0.25 * np.log(2))
    np.testing.assert_allclose(half.there, 0.25)
    np.testing.assert_array_equal(a.mix(b, 0.0).main, a.main)


def test_in_blocks_it_is_the_same(dataset, told, monkeypatch):
    conditions, organism, media, _ = told
    small = media.astype(np.float32)  # as they lie on disk
    whole = fit(dataset, told, media=small.astype(np.float64))
    monkeypatch.setattr(base, "BLOCK", 7)
    assert len(organism) > 7 < len(conditions)
    parts = fit(dataset, told, media=small)
    assert parts.settings == whole.settings
    for one, other in zip(whole(conditions), parts(conditions), strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-12)


def test_what_is_held_does_not_grow_with_the_pairs(dataset, told):
    """Numbers (e, m) in float64 of 30,000 pairs alone would be 60 MB and more, three times over."""
    _, organism, _, _ = told
    rows = np.tile(organism, 1 + 30_000 // len(organism))[:30_000]
    media = np.ones((30_000, 256), dtype=np.float32)
    tracemalloc.start()
    fit(dataset, told, organism=rows, media=media)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6


def test_a_marker_among_thousands_of_features_is_found():
    rng = np.random.default_rng(0)
    n, d = 80, 600
    x = rng.normal(size=(n, d))
    made = 1.0 + (x[:, :2] > 0)  # two ingredients, a feature each
    conditioner = Conditioner((Block("kmer6", "numbers", tuple(f"k{at}" for at in range(d))),))
    groups = np.array([f"g{at // 2}" for at in range(n)])
    own = KernelBase.fit(conditioner, x, np.arange(60), np.expm1(made[:60]), groups)
    flat = KernelBase.fit(
        conditioner,
        x,
        np.arange(60),
        np.expm1(made[:60]),
        groups,
        settings=own.settings._replace(telling=0.0),
    )
    assert own.settings.telling > 0
    error, before, constant = (
        np.square(found - made[60:]).mean()
        for found in (own(x[60:]).amount, flat(x[60:]).amount, made[:60].mean(axis=0))
    )
    assert error < 0.7 * before
    assert error < 0.7 * constant
