"""Kernel regression: what organisms like this one are given, of every ingredient the chance and the amount.

Ridge regression in the space of a kernel over organisms (kernel ridge, Saunders 1998; the approximation of Nystroem,
Williams and Seeger 2001, above `MOST` organisms). The penalty is chosen by cross-validation that never puts relatives
on both sides. Letters: n organisms, m ingredients, d condition features, p landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mediacvae.folds import grouped_folds
from mediacvae.kernels import Kernel

if TYPE_CHECKING:
    from mediacvae.conditions import Conditioner

MOST = 2000  # organisms that are landmarks
BLOCK = 4096  # pairs or organisms looked at together: what is held at a time does not grow with their number
MAIN = 0.01  # [g/L] above which an ingredient is a main one
PENALTIES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
TELLING = (0.0, 1.0, 2.0, 4.0)  # powers of what a genome feature tells
FOLDS = 5  # of organisms, within which settings are chosen


class Expected(NamedTuple):
    """Of each ingredient, (n, m): mean of log1p g/L, chance of more than `MAIN`, chance of being there at all."""

    amount: np.ndarray
    main: np.ndarray
    there: np.ndarray

    @classmethod
    def of(cls, media: np.ndarray) -> Expected:
        """Of media (n, m) [g/L] that are known."""
        return cls(np.log1p(media), (media > MAIN).astype(float), (media > 0).astype(float))

    def mix(self, other: Expected, share: float) -> Expected:
        """The mean of two (n, m), `share` (0 to 1) of the other."""
        pairs = zip(self, other, strict=True)
        return Expected(*((1 - share) * own + share * its for own, its in pairs))


class Settings(NamedTuple):
    """What cross-validation chooses: penalties of amounts and of chances, and how genome features count.

    genome: their weight together. telling: power of what each tells of media, as its weight among them.
    """

    amount: float
    chance: float
    genome: float
    telling: float


@dataclass(frozen=True)
class KernelBase:
    """A fitted regression. landmarks: (p, d) conditions. basis: (p, f). mean: (3 m,). weights: (f, 3 m).

    f: features whose products are the kernel. 3 m: the parts of `Expected` side by side.
    """

    kernel: Kernel
    landmarks: np.ndarray
    basis: np.ndarray
    mean: np.ndarray
    weights: np.ndarray
    settings: Settings

    @classmethod
    def fit(
        cls,
        conditioner: Conditioner,
        conditions: np.ndarray,
        organism: np.ndarray,
        media: np.ndarray,
        groups: np.ndarray,
        *,
        settings: Settings | None = None,
        seed: int = 0,
    ) -> KernelBase:
        """Fit to pairs: conditions (n, d) of organisms, organism (e,) and media (e, m) [g/L] of each pair.

        groups: (n,) labels of relatives. settings: without them, those with the least error on relatives left out.
        """
        used, at = np.unique(organism, return_inverse=True)
        means, count = _means(media, at)
        rng = np.random.default_rng(seed)
        chosen = used if len(used) <= MOST else np.sort(rng.choice(used, MOST, replace=False))
        landmarks, own = np.asarray(conditions[chosen], dtype=np.float64), np.asarray(conditions[used])
        kernel, m = Kernel.fit(conditioner, own), media.shape[1]
        if settings is None:
            fold = grouped_folds(groups[used], FOLDS, seed=int(rng.integers(2**31)))
            settings = _chosen(_Data(own, means, count, fold), kernel, landmarks)
        kernel = replace(kernel, genome=settings.genome).telling(own, means, settings.telling)
        basis = _basis(kernel, landmarks)
        ridge = _Ridge(_features(kernel, own, landmarks, basis), means, count)
        (mean, weights), (_, chances) = ridge.solve(np.arange(len(used)), (settings.amount, settings.chance))
        weights[:, m:] = chances[:, m:]
        return cls(kernel, landmarks, basis, mean, weights, settings)

    def __call__(self, conditions: np.ndarray) -> Expected:
        """What organisms with conditions (n, d) can expect."""
        made = np.empty((len(conditions), len(self.mean)))
        for rows in _blocks(len(conditions)):
            features = _features(self.kernel, conditions[rows], self.landmarks, self.basis)
            made[rows] = self.mean + features @ self.weights
        amount, main, there = np.split(made, 3, axis=1)
        return Expected(np.maximum(amount, 0.0), np.clip(main, 0.0, 1.0), np.clip(there, 0.0, 1.0))


class _Data(NamedTuple):
    """Organisms: conditions (n, d), what their media say (n, 3 m), of how many, and folds (n,) of relatives."""

    own: np.ndarray
    means: np.ndarray
    count: np.ndarray
    fold: np.ndarray


def _chosen(data: _Data, kernel: Kernel, landmarks: np.ndarray) -> Settings:
    """Settings with the least squared error of amounts on relatives left out, at most `MOST` of them for `telling`."""
    splits = [(np.flatnonzero(data.fold != k), np.flatnonzero(data.fold == k)) for k in np.unique(data.fold)]
    if len(splits) < 2:  # one group: nothing to choose by
        middle = PENALTIES[len(PENALTIES) // 2]
        return Settings(middle, middle, kernel.weights[0], 0.0)
    tried: list[tuple[float, Settings]] = []
    for genome in kernel.weights:
        one = replace(kernel, genome=genome)
        ridge = _Ridge(_features(one, data.own, landmarks, _basis(one, landmarks)), data.means, data.count)
        tried.append(_best(sum(ridge.errors(*split) for split in splits), genome, 0.0))
    best = min(tried)[1]
    if len(kernel.weights) == 1:
        return best
    kernel, tried = replace(kernel, genome=best.genome), []
    own = np.asarray(data.own[:MOST], dtype=np.float64)
    for power in TELLING:
        total = np.zeros((len(PENALTIES), 2))
        for train, out in splits:  # what features tell is learned from the others, too
            train, out = train[train < len(own)], out[out < len(own)]
            one = kernel.telling(own[train], data.means[train], power)
            marks = own[train]
            ridge = _Ridge(_features(one, own, marks, _basis(one, marks)), data.means, data.count)
            total += ridge.errors(train, out)
        tried.append(_best(total, best.genome, power))
    return min(tried)[1]


def _best(errors: np.ndarray, genome: float, power: float) -> tuple[float, Settings]:
    """The least error of amounts, and the penalties of amounts and chances with the least errors (penalties, 2)."""
    first, second = errors.argmin(axis=0)
    return float(errors[first, 0]), Settings(PENALTIES[first], PENALTIES[second], genome, power)


def _blocks(n: int) -> list[slice]:
    """The numbers from 0 to n, some at a time."""
    return [slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]


def _means(media: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each organism what its media say on average, `Expected` side by side (p, 3 m), and their number (p,).

    media: (e, m) [g/L]. at: (e,) number of each one's organism.
    """
    count = np.bincount(at).astype(float)
    sums = np.zeros((len(count), 3 * media.shape[1]))
    for rows in _blocks(len(at)):
        block = Expected.of(np.asarray(media[rows], dtype=np.float64))
        np.add.at(sums, at[rows], np.concatenate(block, axis=1))
    sums /= count[:, None]
    return sums, count


def _basis(kernel: Kernel, landmarks: np.ndarray) -> np.ndarray:
    """What makes likeness to landmarks (p, d) features (p, f) whose products are the kernel."""
    values, vectors = np.linalg.eigh(kernel(landmarks, landmarks))
    keep = values > 1e-8 * values[-1]
    # in the order of a file, so that a model read from one says the same to the last bit
    return np.ascontiguousarray(vectors[:, keep] / np.sqrt(values[keep]))


def _features(kernel: Kernel, own: np.ndarray, landmarks: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """The features (n, f) of organisms with conditions (n, d)."""
    made = np.empty((len(own), basis.shape[1]))
    for rows in _blocks(len(own)):
        made[rows] = kernel(np.asarray(own[rows], dtype=np.float64), landmarks) @ basis
    return made


class _Ridge(NamedTuple):
    """Weighted ridge regression of targets (n, t) on features (n, f); count: (n,) weights."""

    features: np.ndarray
    targets: np.ndarray
    count: np.ndarray

    def errors(self, train: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Squared errors of amounts and of chances on the rows `out`, for each penalty (penalties, 2)."""
        m = self.targets.shape[1] // 3
        features, targets, count = self.features[out], self.targets[out], self.count[out]
        made = []
        for mean, weights in self.solve(train, PENALTIES):
            miss = count @ (mean + features @ weights - targets) ** 2
            made.append((float(miss[:m].sum()), float(miss[m:].sum())))
        return np.array(made)

    def solve(self, rows: np.ndarray, penalties: tuple[float, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Mean (t,) and weights (f, t) of some rows, for each penalty."""
        w = self.count[rows]
        mean = w @ self.targets[rows] / w.sum()
        gram, right = 0.0, 0.0
        for part in _blocks(len(rows)):
            x, y = self.features[rows[part]], self.targets[rows[part]]
            gram += x.T @ (w[part, None] * x)
            right += x.T @ (w[part, None] * (y - mean))
        values, vectors = np.linalg.eigh(gram)
        right = vectors.T @ right
        return [(mean, vectors @ (right / (np.maximum(values, 0.0) + p)[:, None])) for p in penalties]
