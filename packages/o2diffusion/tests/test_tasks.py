"""Masks: only observed cells, the promised shares, something left to see, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o2diffusion.tasks import TASKS, hide, training_mask

seeds = st.integers(0, 100_000)


def observed(seed, t=128, r=4):
    """Cells that hold samples: a random share, a long hole, a replicate that stops."""
    rng = np.random.default_rng(seed)
    seen = rng.random((t, r)) < rng.uniform(0.2, 1.0)
    first = rng.integers(0, t)
    seen[first : first + t // 4] = False
    seen[rng.integers(t // 4, t) :, rng.integers(r)] = False
    return seen


@pytest.mark.parametrize("task", TASKS)
@given(seed=seeds, r=st.integers(1, 4))
def test_only_observed_cells_are_hidden_and_some_stay(task, seed, r):
    seen = observed(seed, r=r)
    hidden = hide(task, seen, np.random.default_rng(seed))
    if hidden is None:
        assert (task == "c" and seen.any(axis=0).sum() < 2) or not seen.any()
        return
    assert hidden.dtype == bool
    assert not (hidden & ~seen).any()
    assert hidden.any()
    assert (seen & ~hidden).any()


@given(seed=seeds, r=st.integers(1, 4), t=st.sampled_from([16, 60, 128]))
def test_training_masks_hide_observed_cells_and_leave_some(seed, r, t):
    seen = observed(seed, t=t, r=r)
    hidden = training_mask(seen, np.random.default_rng(seed))
    assert not (hidden & ~seen).any()
    if seen.any():
        assert (seen & ~hidden).any()


@given(seed=seeds, n=st.integers(0, 4))
def test_few_samples_are_never_all_hidden(seed, n):
    seen = np.zeros((16, 2), dtype=bool)
    seen.flat[np.random.default_rng(seed).choice(32, n, replace=False)] = True
    hidden = training_mask(seen, np.random.default_rng(seed))
    assert not (hidden & ~seen).any()
    assert hidden.any() == (n > 1)
    assert (seen & ~hidden).any() == (n > 0)


@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_hides_the_same_cells(task):
    seen = observed(3)
    first, second = (hide(task, seen, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    others = [hide(task, seen, np.random.default_rng(k)) for k in range(8)]
    assert any((other != first).any() for other in others)
    masks = [training_mask(seen, np.random.default_rng(5), everything=0.1) for _ in range(2)]
    np.testing.assert_array_equal(*masks)


def test_the_tasks_hide_what_they_promise():
    seen = np.ones((128, 4), dtype=bool)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert 0.12 < hide("a", seen, rng).mean() < 0.28
        block = hide("b", seen, rng)
        assert (block == block[:, :1]).all()
        assert block[:, 0].sum() == round(0.15 * 128)
        assert (np.diff(block[:, 0].astype(int)) == 1).sum() == 1  # one run, off the first cell
        one = hide("b1", seen, rng)
        assert one.sum() == round(0.15 * 128)
        assert one.any(axis=0).sum() == 1
        whole = hide("c", seen, rng)
        assert whole.sum() == 128
        assert whole.all(axis=0).sum() == 1
    mean = np.mean([hide("a", seen, np.random.default_rng(s)).mean() for s in range(200)])
    assert mean == pytest.approx(0.2, abs=0.005)


def test_a_replicate_without_samples_is_never_the_one_hidden():
    seen = np.ones((64, 3), dtype=bool)
    seen[:, 1] = False
    for seed in range(30):
        for task in ("b1", "c"):
            hidden = hide(task, seen, np.random.default_rng(seed))
            assert hidden.any()
            assert not hidden[:, 1].any()


def test_no_task_where_it_has_no_meaning():
    rng = np.random.default_rng(0)
    assert hide("c", np.ones((64, 1), dtype=bool), rng) is None
    one = np.zeros((64, 2), dtype=bool)
    one[5, 0] = True
    nothing = np.zeros((64, 2), dtype=bool)
    for task in TASKS:
        assert hide(task, one, rng) is None  # to hide it would leave nothing
        assert hide(task, nothing, rng) is None
    with pytest.raises(ValueError, match="among a, b, b1, c, got 'd'"):
        hide("d", np.ones((64, 2), dtype=bool), rng)


def test_the_share_of_masks_that_hide_everything():
    seen = observed(1)
    whole = [
        (training_mask(seen, np.random.default_rng(s), everything=0.3) == seen).all() for s in range(400)
    ]
    assert np.mean(whole) == pytest.approx(0.3, abs=0.07)
    assert (training_mask(seen, np.random.default_rng(0), everything=1.0) == seen).all()


def test_training_meets_every_kind_of_hole():
    seen = np.ones((128, 4), dtype=bool)
    masks = [training_mask(seen, np.random.default_rng(s)) for s in range(300)]
    whole = sum(m.all(axis=0).any() for m in masks)
    rows = sum((m == m[:, :1]).all() and not m.all() for m in masks)
    tails = sum(bool(m[-1].all() and (m == m[:, :1]).all()) for m in masks)
    scattered = sum((np.abs(np.diff(m.astype(int), axis=0)).sum() > 20) for m in masks)
    assert whole > 30
    assert rows > 60
    assert tails > 8
    assert scattered > 50
