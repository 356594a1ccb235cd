"""Items and batches: the truth stays out of the features, padding is marked, pools are the same for a seed."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from o2diffusion.grid import to_grid
from o2diffusion.model import Batch
from o2diffusion.pool import MAX_EVENTS, _window, collate, item, make_pool

SCALE = (40.0, 20.0)


@pytest.fixture
def grid(condition, curves):
    time, oxygen = curves(0)
    return to_grid(condition(time, oxygen, changes=(20.0,)), 32)


def block(grid):
    hidden = np.zeros(grid.value.shape, dtype=bool)
    hidden[10:16] = True
    return hidden


def pool_of(conditions, **options):
    n = len(conditions)
    known = {"masks": 3, "everything": 0.1, "seed": 0, "cells": 32, "workers": 2}
    return make_pool(
        conditions, fallbacks=[SCALE] * n, who=[(k, float(k)) for k in range(n)], **(known | options)
    )


def test_the_truth_is_kept_where_a_hidden_cell_holds_it(grid):
    hidden = block(grid)
    one = item(grid, hidden, fallback=SCALE)
    z = (grid.value - one.features.level) / one.features.scale
    truth = hidden & grid.observed
    np.testing.assert_allclose(one.target[truth], z[truth], rtol=1e-5)
    np.testing.assert_array_equal(one.target[~truth], 0.0)
    shown = grid.hide(hidden)
    assert one.features.level == pytest.approx(np.nanmean(shown.value))
    assert one.features.scale == pytest.approx(np.nanstd(shown.value))


def test_the_truth_does_not_reach_the_features(condition, curves):
    time, oxygen = curves(0)
    here = to_grid(condition(time, oxygen), 32)
    hidden = block(here)
    there = to_grid(condition(time, np.where((time > 16) & (time < 25), 900.0, 0.0)[:, None] + oxygen), 32)
    inside = (here.time >= 16) & (here.time <= 25)
    hidden |= inside
    a, b = (item(g, hidden, fallback=SCALE).features for g in (here, there))
    for f in fields(a):
        np.testing.assert_array_equal(getattr(a, f.name), getattr(b, f.name), err_msg=f.name)


def test_a_batch_is_padded_to_four_replicates_and_says_so(condition, curves):
    items = []
    for r in (1, 3, 4):
        time, oxygen = curves(r, r=r)
        grid = to_grid(condition(time, oxygen, changes=(20.0, 99.0)), 32)
        items.append(item(grid, block(grid), fallback=SCALE, drug=r - 2, concentration=float(r)))
    batch = collate(items)
    assert batch.replicate_mask.sum(1).tolist() == [1, 3, 4]
    assert batch.active.shape == batch.sd.shape == batch.target.shape == (3, 32, 4)
    assert not (batch.active & ~batch.replicate_mask[:, None]).any()
    assert (batch.sd > 0).all()
    assert batch.drug.tolist() == [-1, 1, 2]
    assert batch.concentration.tolist() == [1.0, 3.0, 4.0]
    assert batch.event_mask.sum(1).tolist() == [1, 1, 1]  # the change after the end is not one of the window
    for f in fields(Batch):
        value = getattr(batch, f.name)
        assert len(value) == 3
        assert not value.is_floating_point() or f.name == "concentration" or value.isfinite().all(), f.name


def test_the_response_sees_media_changes_only_and_of_many_the_last(condition, curves):
    time, oxygen = curves(0)
    changes = np.linspace(1, 49, 160)
    kinds = ["media_change" if k % 2 else "flush" for k in range(160)]
    one = condition(time, oxygen, changes=changes, kinds=kinds)
    grid = to_grid(one, 32)
    batch = collate([item(grid, block(grid), fallback=SCALE)])
    np.testing.assert_allclose(batch.event_time[0], changes[1::2][-MAX_EVENTS:], rtol=1e-6)
    assert batch.event_mask.all()


def test_some_conditions_are_shown_in_part_down_to_a_sample_a_cell(condition):
    """As `impute` looks at short gaps: what was trained on whole curves only is too sure of single samples."""
    dense = condition(np.linspace(0, 100.0, 2001), np.sin(np.arange(2001.0))[:, None])
    rng = np.random.default_rng(0)
    found = [_window(dense, 64, rng) for _ in range(400)]
    lengths = np.array([w["end"] - w["start"] for w in found if w])
    assert 0.3 < len(lengths) / len(found) < 0.5
    assert lengths.min() == pytest.approx(64 * 0.05, rel=0.2)
    assert lengths.max() > 80
    assert all(0 <= w["start"] <= w["end"] <= 100.0 + 1e-9 for w in found if w)
    sparse = condition(np.linspace(0, 100.0, 50), np.zeros((50, 1)))
    for window in (_window(sparse, 64, rng) for _ in range(20)):
        assert not window or window["end"] - window["start"] == pytest.approx(100.0)


def test_a_pool_holds_every_condition_under_every_mask(condition, curves):
    conditions = [condition(*curves(k, r=1 + k)) for k in range(4)]
    pool = pool_of(conditions)
    assert len(pool.drug) == 12
    assert pool.drug.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert pool.active.any(dim=(1, 2)).all()
    again = pool_of(conditions, workers=1)
    other = pool_of(conditions, seed=1)
    for f in fields(Batch):
        torch.testing.assert_close(
            getattr(pool, f.name), getattr(again, f.name), rtol=0, atol=0, equal_nan=True
        )
    assert (pool.active != other.active).any()


def test_conditions_with_too_few_samples_are_left_out_and_none_at_all_is_refused(condition, curves):
    time, oxygen = curves(0)
    few = condition(time[:3], oxygen[:3, :1])
    empty = condition(time, np.full_like(oxygen, np.nan))
    row = condition(time[:1], oxygen[:1])
    pool = pool_of([few, condition(time, oxygen), empty, row])
    assert pool.drug.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="got none among 3 series"):
        pool_of([few, empty, row])


def test_everything_hidden_shows_the_fallback(condition, curves):
    pool = pool_of([condition(*curves(0))], everything=1.0, masks=1)
    observed = pool.channels[..., 1]
    assert not observed.any()
    assert pool.active.any()
