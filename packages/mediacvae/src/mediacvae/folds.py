"""Folds whose groups stay whole, and which groups are kin: near kin never stand on both sides.

Names do not tell all kin: Shigella is Escherichia coli by another name, and the same genome may be there twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Pairs = list[tuple[int, int]]
# Total variation between the k-mer shares of two genomes up to which they are near clones. Of 35 genomes of as many
# species the three of E. coli and Shigella lie within 0.015 (k = 4), 0.042 (6) and 0.101 (8), all others from 0.035,
# 0.060 and 0.117 on; both strands as one make it less.
CLONES = {"kmer4": 0.02, "kmer4c": 0.018, "kmer6": 0.05, "kmer6c": 0.045, "kmer8": 0.105, "kmer8c": 0.1}
ROUGH = 16  # numbers that k-mer shares are summed to for a first look, which can only bring genomes nearer


def grouped_folds(groups: np.ndarray, n: int = 5, seed: int = 0) -> np.ndarray:
    """The fold, from 0, of each row by its group, (r,): groups in random order, each into the smallest fold so far.

    groups: (r,) labels. Of fewer than n groups each is a fold of its own. Raises ValueError for n below 2.
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


def near_clones(values: np.ndarray, method: str) -> Pairs:
    """Pairs of rows of genome features (n, d) that are the same or, of k-mer shares, within `CLONES` of each other.

    method: the features', as `embeddings` names it.
    """
    values = np.asarray(values, dtype=np.float32)
    if len(values) < 2:
        return []
    most, d = CLONES.get(method, 0.0), values.shape[1]
    rough = values.reshape(len(values), ROUGH, -1).sum(axis=2) if d % ROUGH == 0 else values
    found: Pairs = []
    for a in range(1, len(values)):
        near = np.flatnonzero(np.abs(rough[:a] - rough[a]).sum(axis=1) / 2 <= most + 1e-6)
        apart = np.abs(values[near] - values[a]).sum(axis=1) / 2
        found += [(a, int(b)) for b in near[apart <= most]]
    return found


def joined(groups: Sequence[str], ids: Sequence[str], pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Labels (r,) of groups, of which those that a pair of rows connects have become one; no group: one's own id."""
    label = np.array([group or one for group, one in zip(groups, ids, strict=True)], dtype=object)
    for a, b in pairs:
        label[label == label[a]] = label[b]
    return label
