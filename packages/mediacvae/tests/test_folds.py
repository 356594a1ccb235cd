"""Folds keep relatives together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediacvae.folds import grouped_folds


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
