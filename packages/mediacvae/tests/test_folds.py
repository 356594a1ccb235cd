"""Folds keep relatives together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mediacvae.folds import CLONES, grouped_folds, joined, near_clones


@given(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=60), st.integers(2, 6), st.integers(0, 5))
def test_a_group_is_in_one_fold_and_folds_are_even(groups: list[str], n: int, seed: int) -> None:
    names = np.array(groups)
    fold = grouped_folds(names, n, seed)
    for group in set(groups):
        assert len(set(fold[names == group])) == 1
    size = np.bincount(fold)
    assert len(size) == min(n, len(set(groups)))
    assert size.min() > 0
    assert size.max() - size.min() <= max(groups.count(g) for g in groups)
    np.testing.assert_array_equal(fold, grouped_folds(names, n, seed))


def test_another_seed_is_another_split_and_one_fold_is_none() -> None:
    names = np.arange(40)
    assert (grouped_folds(names, 5, 0) != grouped_folds(names, 5, 1)).any()
    with pytest.raises(ValueError, match="2 or more, got 1"):
        grouped_folds(names, 1)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_joined_groups_are_the_components_of_a_graph(pairs: list[tuple[int, int]]) -> None:
    groups = ["a", "a", "b", "", "", "c", "d", "e", "f", "g"]
    ids = [f"id{n}" for n in range(10)]
    own = [group or one for group, one in zip(groups, ids, strict=True)]
    reach = np.array([[a == b for b in own] for a in own])
    for a, b in pairs:
        reach[a, b] = reach[b, a] = True
    for k in range(10):  # Warshall
        reach |= reach[:, [k]] & reach[[k]]
    label = joined(groups, ids, pairs)
    np.testing.assert_array_equal(label[:, None] == label[None], reach)


shares = arrays.arrays(np.float32, (6, 32), elements=st.floats(0, 1, width=32))


@given(shares, st.sampled_from([*CLONES, "esm"]))
def test_near_clones_are_those_that_a_plain_count_finds(values: np.ndarray, method: str) -> None:
    values[3], values[4] = values[1], values[2] * np.float32(1.001)
    apart = np.abs(values[:, None] - values[None]).sum(axis=2) / 2
    clear = np.abs(apart - CLONES.get(method, 0.0)) > 1e-4  # not at the very edge
    found = np.zeros((6, 6), dtype=bool)
    for a, b in near_clones(values, method):
        found[a, b] = found[b, a] = True
    assert found[1, 3]
    near = (apart <= CLONES.get(method, 0.0)) & ~np.eye(6, dtype=bool)
    np.testing.assert_array_equal(found[clear], near[clear])
