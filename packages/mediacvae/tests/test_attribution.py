"""Integrated gradients of what a model expects: the model itself, its slopes, and that everything adds up."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mediacvae.attribution import STEPS, Watched, attribute, baseline_of

ALL = ("lineage", "names", "stats", "kmer4")
KINDS = ["base", "cvae", "hierarchical", "spec"]


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, ruled: Any) -> Any:
    return ruled.model(request.param, *ALL)


@pytest.fixture
def conditions(ruled: Any) -> np.ndarray:
    data = ruled.dataset(*ALL)
    return data.conditions[data.organisms["split"] == "test"][:4]


def test_what_is_watched_is_what_the_model_expects(model: Any, conditions: np.ndarray) -> None:
    columns = np.array([3, 0, 7])
    watched = Watched(model, columns)
    together = watched(conditions)
    for i, row in enumerate(conditions):
        expected, alone = model.expected(row[None]), watched(row[None])
        for own, whole, all_rows in zip(alone, (expected.amount, expected.there), together, strict=True):
            np.testing.assert_allclose(own, whole[:, columns], rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(own[0], all_rows[i], rtol=1e-9, atol=1e-12)


def test_slopes_are_those_of_the_expectation(model: Any, conditions: np.ndarray) -> None:
    columns = np.arange(5)
    watched, row = Watched(model, columns), conditions[:1].astype(np.float64)
    row = 0.7 * row + 0.3 * baseline_of(model, row)
    slopes = watched.slopes(row)
    rng = np.random.default_rng(0)
    numbers = model.conditioner.columns
    chosen = [rng.choice(np.arange(own.start, own.stop), 2, replace=False) for own in numbers.values()]
    kinds = 1 if model.config.model_type == "spec" else 2  # its chances are steps
    for j in np.concatenate(chosen):
        h = 1e-6 * max(abs(row[0, j]), 1e-3)
        up, down = row.copy(), row.copy()
        up[0, j] += h
        down[0, j] -= h
        for above, below, own in list(zip(watched(up), watched(down), slopes, strict=True))[:kinds]:
            numeric = (above - below)[0] / (2 * h)
            assert np.abs(own[j] - numeric).max() <= 1e-3 * np.abs(numeric).max() + 1e-6 * np.abs(own).max()


def test_attributions_add_up_to_the_difference(model: Any, conditions: np.ndarray) -> None:
    columns = np.arange(len(model.ingredients))
    steps = 1024 if model.config.model_type == "spec" else STEPS  # its amounts bend where they reach 0
    for row in conditions:
        made = attribute(model, row[None], baseline_of(model, row[None]), columns, steps=steps)
        moved = made.at.amount - made.usual.amount
        assert np.abs(moved).max() > 0.05
        assert (np.abs(made.rest.amount) <= 0.02 * np.maximum(np.abs(moved), 0.05)).all()
        if model.config.model_type != "spec":
            moved = made.at.chance - made.usual.chance
            assert (np.abs(made.rest.chance) <= 0.02 * np.maximum(np.abs(moved), 0.05)).all()


def test_more_steps_leave_less(ruled: Any, conditions: np.ndarray) -> None:
    model, columns = ruled.model("cvae", *ALL), np.arange(20)
    base = baseline_of(model, conditions[:1])
    rest = [
        np.abs(attribute(model, conditions[:1], base, columns, steps=steps).rest.amount).sum()
        for steps in (2, 16, 256)
    ]
    assert rest[0] > 3 * rest[1] > 9 * rest[2]


def test_what_is_not_known_is_not_a_reason(model: Any, conditions: np.ndarray) -> None:
    row = conditions[:1].astype(np.float64)
    own = model.conditioner.columns["names"]
    row[:, own] = np.nan
    base = baseline_of(model, row)
    assert np.isnan(base[:, own]).all()
    assert np.isfinite(np.delete(base, np.arange(own.start, own.stop), axis=1)).all()
    made = attribute(model, row, base, np.arange(6))
    for part in made.features:
        assert np.isfinite(part).all()
        assert not part[own].any()
        assert part.any()


def test_the_mean_organism_has_no_reasons(model: Any, conditions: np.ndarray) -> None:
    base = baseline_of(model, conditions[:1])
    made = attribute(model, base, base, np.arange(6))
    assert not made.features.amount.any()
    np.testing.assert_allclose(made.at.amount, made.usual.amount)


def test_the_mix_is_the_mix_of_its_parts(ruled: Any, conditions: np.ndarray) -> None:
    model, columns = ruled.model("cvae", *ALL), np.arange(8)
    base = baseline_of(model, conditions[:1])
    parts = [
        attribute(own, conditions[:1], base, columns).features.amount
        for own in (
            replace(model, vae=None),
            replace(model, share=1.0),
            replace(model, share=0.25),
        )
    ]
    np.testing.assert_allclose(0.75 * parts[0] + 0.25 * parts[1], parts[2], atol=1e-12)


def test_a_mean_is_over_those_of_whom_it_is_known(ruled: Any, conditions: np.ndarray) -> None:
    model = ruled.model("base", *ALL)
    some = model.conditions.copy()
    own = model.conditioner.columns["kmer4"]
    some[1:, own] = np.nan
    base = baseline_of(replace(model, conditions=some), conditions[:1])
    np.testing.assert_allclose(base[0, own], some[0, own], rtol=1e-6)
    lineage = model.conditioner.columns["lineage"]
    np.testing.assert_allclose(base[0, lineage], some[:, lineage].mean(axis=0), rtol=1e-5)
