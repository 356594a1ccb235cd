"""Are two cells neighbours? A probability learned from pairs of held-out training cells, for candidate pairs only.

Whatever a pair is described by is free of the frame: distances and ranks, never positions. Letters: n cells, e pairs
(i < j), f features, v views, c components, d dimensions, k neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from cytosol.trees import Forest, forest_of
from stedm import graph
from stedm.graph import alike, apart, joined, near, with_themselves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stedm.config import PairConfig

NEIGHBOURS = 10  # what a neighbour is: among the ten nearest of one of the two
FRONT = 4  # first components of each view that make a space of their own
SHARED = 20  # nearest of which the shared ones are counted
KIN = 30  # nearest in expression that a large section is searched for
FEW = 5  # nearest in expression over which coordinates are smoothed


@dataclass(frozen=True)
class View:
    """What the pair model may know of a section: cells (v, n, c), coordinates (n, d) by the base, depth (n,)."""

    cells: np.ndarray
    coordinates: np.ndarray
    depth: np.ndarray
    _found: list[np.ndarray] = field(default_factory=list, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.depth)

    @cached_property
    def joined(self) -> np.ndarray:
        """Its views side by side, (n, v c), as `graph.joined`."""
        return joined(self.cells)

    def kin(self, k: int) -> np.ndarray:
        """The k nearest others of each cell in expression, (n, k); a large section is searched once for all."""
        if len(self) <= graph.EXACT:
            return alike(self.joined, k)
        if not self._found or self._found[0].shape[1] < k:
            self._found[:] = [alike(self.joined, max(k, KIN))]
        return self._found[0][:, :k]


@dataclass(frozen=True)
class Candidates:
    """Pairs i < j (e,) and what describes them (e, f) float32."""

    i: np.ndarray
    j: np.ndarray
    features: np.ndarray


def candidates(view: View, config: PairConfig) -> Candidates:
    """Pairs near by predicted place or alike in expression, with their features; none for fewer than three cells."""
    n = len(view)
    if n < 3:
        return Candidates(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 1), np.float32))
    kin = view.kin(min(max(config.alike, SHARED), n - 1))
    smooth = with_themselves(view.coordinates, kin, FEW)
    close = near(smooth, min(max(config.near, SHARED), n - 1))
    i, j = _pairs(n, [kin[:, : config.alike], close[:, : config.near]])
    return Candidates(i, j, _features(view, kin, smooth, close, i, j))


def _pairs(n: int, lists: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The pairs i < j that stand in any of the lists (n, k), in order."""
    codes = []
    for found in lists:
        i, j = np.repeat(np.arange(n), found.shape[1]), found.ravel()
        codes.append(np.minimum(i, j) * n + np.maximum(i, j))
    code = np.unique(np.concatenate(codes))
    return code // n, code % n


def _features(
    view: View,
    kin: np.ndarray,
    smooth: np.ndarray,
    close: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
) -> np.ndarray:
    """Distances and ranks of the pairs, (e, f) float32."""
    n = len(view)
    columns: list[np.ndarray] = []  # float32 as soon as made: of a large section they fill most of the memory
    for space in (view.coordinates, smooth, *view.cells, view.joined, joined(view.cells[:, :, :FRONT])):
        d = apart(space, i, j)
        both = [d / max(float(np.median(d)), 1e-12), *_ranks(d, i, j, n)]
        columns += [column.astype(np.float32) for column in both]
    columns += [_shared(kin[:, :SHARED], i, j), _shared(close[:, :SHARED], i, j)]
    columns += [np.abs(view.depth[i] - view.depth[j]), view.depth[i] + view.depth[j]]
    middle = (smooth[i] + smooth[j]) / 2 - smooth.mean(axis=0)
    columns += [np.linalg.norm(middle, axis=1), *_strays(view.coordinates, smooth, i, j)]
    step = np.linalg.norm(smooth - smooth[close[:, min(NEIGHBOURS, close.shape[1]) - 1]], axis=1)
    d = np.linalg.norm(smooth[i] - smooth[j], axis=1)
    columns += [d / np.maximum(step[i], 1e-9), d / np.maximum(step[j], 1e-9)]
    columns[-2:] = [np.minimum(*columns[-2:]), np.maximum(*columns[-2:])]
    made = np.empty((len(i), len(columns)), dtype=np.float32)
    for at in reversed(range(len(columns))):  # each is let go once it is in its place
        made[:, at] = columns.pop()
    return made


def _strays(raw: np.ndarray, smooth: np.ndarray, i: np.ndarray, j: np.ndarray) -> list[np.ndarray]:
    """How far smoothing moved the two cells, smaller and larger."""
    moved = np.linalg.norm(raw - smooth, axis=1)
    return [np.minimum(moved[i], moved[j]), np.maximum(moved[i], moved[j])]


def _ranks(d: np.ndarray, i: np.ndarray, j: np.ndarray, n: int) -> list[np.ndarray]:
    """Rank of each pair among the candidates of its one and its other cell, smaller and larger."""
    e = len(d)
    own, value = np.concatenate([i, j]), np.concatenate([d, d])
    order = np.lexsort((value, own))
    starts = np.searchsorted(own[order], np.arange(n))
    rank = np.empty(2 * e)
    rank[order] = np.arange(2 * e) - starts[own[order]]
    return [np.minimum(rank[:e], rank[e:]), np.maximum(rank[:e], rank[e:])]


def _shared(lists: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """How many of their listed neighbours two cells share, (e,)."""
    n, k = lists.shape
    graph = sparse.csr_matrix(
        (np.ones(n * k, np.float32), (np.repeat(np.arange(n), k), lists.ravel())), shape=(n, n)
    )
    parts = [
        np.asarray(graph[i[a : a + 500_000]].multiply(graph[j[a : a + 500_000]]).sum(axis=1)).ravel()
        for a in range(0, len(i), 500_000)
    ]
    return np.concatenate(parts)


def neighbours(place: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Whether each pair is among the ten nearest of one of the two, by true places (n, d): bool (e,)."""
    n = len(place)
    listed = near(place, min(NEIGHBOURS, n - 1))
    code = (np.arange(n)[:, None] * n + listed).ravel()
    return np.isin(i * n + j, code) | np.isin(j * n + i, code)


@dataclass(frozen=True)
class Lesson:
    """What a section teaches of pairs: features (e, f) of some candidates, and whether each are neighbours (e,)."""

    features: np.ndarray
    labels: np.ndarray


def lesson(
    found: Candidates, place: np.ndarray, config: PairConfig, rng: np.random.Generator
) -> Lesson | None:
    """The candidates of a training section with its true places (n, d); None where it has none.

    Negatives are thinned to `config.negatives` for each positive.
    """
    if not len(found.i):
        return None
    label = neighbours(place, found.i, found.j)
    share = config.negatives * label.sum() / max((~label).sum(), 1)
    kept = label | (rng.random(len(label)) < share)
    return Lesson(found.features[kept], label[kept])


def fit(lessons: Sequence[Lesson | None], config: PairConfig, seed: int) -> Forest | None:
    """Boosted trees on what sections teach, their sum the log odds; None where there is nothing to tell apart."""
    # a second to load, and only training needs it
    from sklearn.ensemble import HistGradientBoostingClassifier

    given = [one for one in lessons if one is not None]
    labels = np.concatenate([one.labels for one in given]) if given else np.zeros(0, bool)
    if len(np.unique(labels)) < 2:
        return None
    model = HistGradientBoostingClassifier(
        max_iter=config.trees,
        learning_rate=0.05,
        max_leaf_nodes=15,
        min_samples_leaf=40,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    return forest_of(model.fit(np.concatenate([one.features for one in given]), labels))


def partners(found: Candidates, odds: np.ndarray, n: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The most probable partners of each cell, (n, count), and the probabilities, (n, count), largest first.

    odds: (e,) log odds of the candidates.
    A cell with fewer candidates is its own partner with probability 0.
    """
    own, other = np.concatenate([found.i, found.j]), np.concatenate([found.j, found.i])
    p = np.tile(1.0 / (1.0 + np.exp(-odds)), 2)
    order = np.lexsort((-p, own))
    own, other, p = own[order], other[order], p[order]
    rank = np.arange(len(own)) - np.searchsorted(own, np.arange(n))[own]
    kept = rank < count
    listed = np.tile(np.arange(n)[:, None], (1, count))
    chance = np.zeros((n, count))
    listed[own[kept], rank[kept]] = other[kept]
    chance[own[kept], rank[kept]] = p[kept]
    return listed, chance
