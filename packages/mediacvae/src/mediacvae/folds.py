"""Folds whose groups stay whole: near kin never stand on both sides."""

from __future__ import annotations

import numpy as np


def grouped_folds(groups: np.ndarray, n: int = 5, seed: int = 0) -> np.ndarray:
    """The fold, from 0, of each row (r,) by its group: groups in random order, each into the smallest fold so far.

    Of fewer than n groups each is a fold of its own. Raises ValueError for n below 2.
    """
    if n < 2:
        msg = f"folds: expected 2 or more, got {n}"
        raise ValueError(msg)
    names, at, count = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    size = np.zeros(min(n, len(names)), dtype=np.int64)
    fold = np.zeros(len(names), dtype=np.int64)
    for group in np.random.default_rng(seed).permutation(len(names)):
        fold[group] = int(size.argmin())
        size[fold[group]] += count[group]
    return fold[at]
