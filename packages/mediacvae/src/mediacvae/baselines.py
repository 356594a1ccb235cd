"""The simple methods that a model is shown against: recipes and rankings from nothing but counting and least squares.

Letters: n training pairs, t test pairs, m ingredients, d condition features, b media of the library. Media are in g/L,
conditions as `Conditioner` gives them, NaN where not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist

from mediacvae.conditions import OTHERS
from mediacvae.folds import grouped_folds
from mediacvae.metrics import PRESENT, cosine_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediacvae.conditions import Conditioner

MEAN, POPULAR, NEIGHBOUR, RIDGE = "mean", "popular", "nearest neighbour", "ridge"
PENALTIES = (3.0, 10.0, 30.0, 60.0, 100.0, 200.0, 400.0)
FOLDS = 5  # of training pairs, within which the penalty is chosen
CHUNK = 512  # test pairs whose distances are held at once


@dataclass(frozen=True)
class Standard:
    """Conditions as least squares and distances want them. shift, scale: (d,).

    All features are centred; numbers have a standard deviation of 1, tokens stay 0 and 1; what is not known is the
    mean of the training pairs. How many pieces of a name are nobody else's (`OTHERS`) is left out: it is no token.
    """

    shift: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, conditioner: Conditioner, c: np.ndarray) -> Standard:
        """Of training conditions c (n, d). Raises ValueError where their width is not the conditioner's."""
        c = _conditions(c, conditioner.width)
        shift, scale = np.zeros(conditioner.width), np.ones(conditioner.width)
        known = np.isfinite(c)
        count = np.maximum(known.sum(axis=0), 1)
        shift = np.where(known, c, 0.0).sum(axis=0) / count
        sd = np.sqrt(np.where(known, (c - shift) ** 2, 0.0).sum(axis=0) / count)
        for block in conditioner.blocks:
            own = conditioner.columns[block.name]
            if block.kind == "numbers":
                scale[own] = np.where(sd[own] > 0, sd[own], np.inf)  # what never varied says nothing
            elif block.features[-1] == OTHERS:
                scale[own.stop - 1] = np.inf
        return cls(shift, scale)

    def __call__(self, c: np.ndarray) -> np.ndarray:
        """Conditions (n, d), nothing missing; ValueError for another width or infinite numbers."""
        c = _conditions(c, len(self.shift))
        return np.where(np.isfinite(c), c - self.shift, 0.0) / self.scale


def run(
    train_c: np.ndarray, train_x: np.ndarray, groups: np.ndarray, test_c: np.ndarray, conditioner: Conditioner
) -> dict[str, np.ndarray]:
    """What each simple method gives the test organisms, by name: (t, m) [g/L].

    train_c: (n, d). train_x: (n, m) [g/L]. groups: (n,) labels of relatives, for the choice of the penalty.
    test_c: (t, d). Raises ValueError for arrays that do not fit each other, or amounts that are none.
    """
    x = np.asarray(train_x, dtype=np.float64)
    if x.ndim != 2 or not len(x) or not len(x) == len(train_c) == len(groups):
        got = f"{x.shape}, {len(train_c)} and {len(groups)}"
        msg = f"baselines: expected media, conditions and groups of the same pairs, got {got}"
        raise ValueError(msg)
    if not (np.isfinite(x) & (x >= 0)).all():
        msg = "baselines: expected finite amounts >= 0 [g/L] in the training media"
        raise ValueError(msg)
    standard = Standard.fit(conditioner, train_c)
    z, test = standard(train_c), standard(test_c)
    y = np.log1p(x)
    made = {
        MEAN: np.repeat(y.mean(axis=0)[None], len(test), axis=0),
        POPULAR: np.repeat(np.log1p(constant(x))[None], len(test), axis=0),
        NEIGHBOUR: y[nearest(z, test)],
        RIDGE: ridge(z, y, np.asarray(groups), test),
    }
    return {name: np.expm1(np.maximum(value, 0.0)) for name, value in made.items()}


def rank_scores(
    train_c: np.ndarray,
    train_medium: np.ndarray,
    test_c: np.ndarray,
    library: np.ndarray,
    conditioner: Conditioner,
) -> dict[str, np.ndarray]:
    """How each simple method scores the media of a library for the test organisms, by name: (t, b).

    train_c: (n, d). train_medium: (n,) row of the library (b, m) [g/L] of each training pair. test_c: (t, d). popular:
    how many training organisms grow on it. nearest neighbour: cosine of log1p g/L to the neighbour's medium. Raises
    ValueError for media that are no rows of the library, or not one a pair.
    """
    medium = np.asarray(train_medium)
    if len(medium) != len(train_c) or not len(medium) or medium.min() < 0 or medium.max() >= len(library):
        msg = f"baselines: expected a medium from 0 to {len(library) - 1} for each of {len(train_c)} training pairs"
        raise ValueError(msg)
    standard = Standard.fit(conditioner, train_c)
    near = medium[nearest(standard(train_c), standard(test_c))]
    count = np.bincount(medium, minlength=len(library)).astype(np.float64)
    used, at = np.unique(near, return_inverse=True)
    return {
        POPULAR: np.repeat(count[None], len(near), axis=0),
        NEIGHBOUR: cosine_scores(library[used], library)[at],
    }


def constant(x: np.ndarray) -> np.ndarray:
    """The best constant recipe (m,) [g/L] of media x (n, m): the k ingredients most often there.

    k has the best mean Jaccard index of presence; amounts are the mean log1p of where an ingredient is there.
    Among equally frequent ingredients the first comes first.
    """
    there = x > PRESENT
    order = np.argsort(-there.sum(axis=0), kind="stable")
    shared = np.cumsum(there[:, order], axis=1)
    either = np.arange(1, x.shape[1] + 1) + there.sum(axis=1, keepdims=True) - shared
    k = int((shared / either).mean(axis=0).argmax()) + 1
    y = np.where(there, np.log1p(x), 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    made = np.zeros(x.shape[1])
    made[order[:k]] = np.expm1(y[order[:k]])
    return made


def nearest(z: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The training row (t,) nearest to each test row, in Euclidean distance; of several the first.

    z: (n, d), test: (t, d), standardised.
    """
    first = np.sort(np.unique(z, axis=0, return_index=True)[1])  # each organism once, at its first pair
    parts = [
        first[cdist(test[start : start + CHUNK], z[first]).argmin(axis=1)]
        for start in range(0, len(test), CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def ridge(z: np.ndarray, y: np.ndarray, groups: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Ridge regression (t, m) of targets y (n, m) on features z (n, d) (Hoerl and Kennard 1970), the mean not shrunk.

    The penalty is that of PENALTIES with the least squared error on groups (n,) left out in FOLDS folds; where there
    is one group only, the middle one.
    """
    error = np.zeros(len(PENALTIES))
    fold = grouped_folds(groups, FOLDS)
    for k in range(fold.max() + 1 if fold.max() else 0):
        out = fold == k
        guesses = _ridge(z[~out], y[~out], z[out], PENALTIES)
        error += [float(((guess - y[out]) ** 2).sum()) for guess in guesses]
    best = int(error.argmin()) if error.any() else len(PENALTIES) // 2
    return _ridge(z, y, test, PENALTIES[best : best + 1])[0]


def _ridge(z: np.ndarray, y: np.ndarray, test: np.ndarray, penalties: Sequence[float]) -> list[np.ndarray]:
    """The prediction for each penalty, by one eigendecomposition: of features or of rows, whichever are fewer."""
    mean_z, mean_y = z.mean(axis=0), y.mean(axis=0)
    z, test, y = z - mean_z, test - mean_z, y - mean_y
    if z.shape[1] <= len(z):
        values, vectors = np.linalg.eigh(z.T @ z)
        left, right = test @ vectors, vectors.T @ (z.T @ y)
    else:
        values, vectors = np.linalg.eigh(z @ z.T)
        left, right = (test @ z.T) @ vectors, vectors.T @ y
    values = np.maximum(values, 0.0)[:, None]
    return [mean_y + left @ (right / (values + penalty)) for penalty in penalties]


def _conditions(c: np.ndarray, width: int) -> np.ndarray:
    c = np.asarray(c, dtype=np.float64)
    if c.ndim != 2 or c.shape[1] != width:
        msg = f"baselines: expected conditions of {width} features a row, got shape {c.shape}"
        raise ValueError(msg)
    if np.isinf(c).any():
        i, j = np.argwhere(np.isinf(c))[0]
        msg = f"baselines: condition {j} of row {i}: expected a finite number, or NaN where not known, got {c[i, j]}"
        raise ValueError(msg)
    return c
