"""How far off is a cell? A kernel regression of the log error, learned from held-out structures of training sections.

The spread of an ensemble hardly follows the error; what does is where a cell was put, how much its kin in expression
and its probable neighbours disagree, and how far each stage moved it. Letters: n cells, f features, d dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stedm.graph import BLOCK, averaged, near, with_themselves
from stedm.kernels import Kernel, fit_kernel, ridge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stedm.pairs import View
    from stedm.related import Related

KIN = 15
NEAREST = 10
LEAST = 1e-3  # error below which no cell is told from another, in RMS radii
CLIP = 4.0  # standard deviations of a feature
LANDMARKS, PENALTY = 500, 10.0


def features(view: View, made: Related) -> np.ndarray:
    """What the error may follow, (n, 19 + d): of the regression, of the pairs, and the place itself."""
    n = len(view)
    at = made.coordinates - made.coordinates.mean(axis=0)
    if n < 3:
        return np.zeros((n, 19 + at.shape[1]))
    return np.concatenate([_of_regression(view), _of_pairs(view, made), at], axis=1)


def _of_regression(view: View) -> np.ndarray:
    """Where the regression put a cell, and how much its kin disagree: (n, 7)."""
    n = len(view)
    at = view.coordinates
    kin = view.kin(min(KIN, n - 1))
    smooth = with_themselves(at, kin, KIN)
    spread = np.sqrt(((at[kin] - at[:, None]) ** 2).sum(axis=2).mean(axis=1))
    among = np.sqrt(((at[kin] - at[kin].mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1))
    apart = _apart(view.joined, kin)
    radius = np.linalg.norm(at - at.mean(axis=0), axis=1)
    moved = np.linalg.norm(at - smooth, axis=1)
    inner = np.linalg.norm(smooth - smooth.mean(axis=0), axis=1)
    apart = apart / max(float(np.median(apart)), 1e-12)
    return np.stack([radius, inner, moved, spread, among, apart, view.depth], axis=1)


def _apart(x: np.ndarray, kin: np.ndarray) -> np.ndarray:
    """Root mean square distance of each row of (n, f) from its kin (n, k), in blocks: never (n, k, f) at once."""
    blocks = [slice(a, a + BLOCK) for a in range(0, len(x), BLOCK)]
    far = [((x[kin[b]] - x[b, None]).astype(float) ** 2).sum(axis=2).mean(axis=1) for b in blocks]
    return np.sqrt(np.concatenate(far))


def _of_pairs(view: View, made: Related) -> np.ndarray:
    """How sure the partners are, how far apart they were put, how crowded the place is: (n, 12)."""
    n = len(view)
    at, before, chance = made.coordinates, view.coordinates, made.chance
    close = near(at, min(NEAREST, n - 1))
    columns = [np.linalg.norm(at - at.mean(axis=0), axis=1)]
    columns += [np.linalg.norm(space[close] - space[:, None], axis=2).mean(axis=1) for space in (at, before)]
    columns += [np.linalg.norm((at - at.mean(axis=0)) - (before - before.mean(axis=0)), axis=1)]
    if not chance.shape[1]:
        return np.stack(columns + 8 * [np.zeros(n)], axis=1)
    columns += [chance.sum(axis=1), chance[:, 0], chance[:, :5].mean(axis=1), chance.std(axis=1)]
    weight = chance / np.maximum(chance.sum(axis=1, keepdims=True), 1e-12)
    for space in (before, at):
        mean = averaged(space, made.partners, chance)
        spread = ((space[made.partners] - mean[:, None]) ** 2).sum(axis=2)
        columns += [np.sqrt((weight * spread).sum(axis=1)), np.linalg.norm(mean - space, axis=1)]
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class ErrorModel:
    """mean, size: (f,) of the features. coefficients: (m,). level: mean log error, with what makes it an RMS error."""

    mean: np.ndarray
    size: np.ndarray
    kernel: Kernel
    coefficients: np.ndarray
    level: float

    def __call__(self, view: View, made: Related) -> np.ndarray:
        """Expected RMS distance of each cell from its true place, (n,), in RMS radii."""
        return np.exp(self.level + self._log(features(view, made)))

    def _log(self, x: np.ndarray) -> np.ndarray:
        return self.kernel.times(_scaled(x, self.mean, self.size), self.coefficients)


def fit(
    views: Sequence[View], made: Sequence[Related], errors: Sequence[np.ndarray], seed: int
) -> ErrorModel:
    """Learn from held-out sections; errors: (n,) distances from the truth of each section's cells, in RMS radii.

    Sections differ in how well they are placed altogether, which no feature of a cell explains: their mean log errors
    are taken out, and the level is what makes the whole an RMS error.
    """
    x = np.concatenate([features(view, one) for view, one in zip(views, made, strict=True)])
    logs = [np.log(np.maximum(e, LEAST)) for e in errors]
    y = np.concatenate([log - log.mean() for log in logs])
    mean, size = x.mean(axis=0), x.std(axis=0) + 1e-9
    z = _scaled(x, mean, size)
    kernel = fit_kernel(z, landmarks=LANDMARKS, bandwidth=1.0, rng=np.random.default_rng(seed))
    model = ErrorModel(mean, size, kernel, ridge(kernel(z), PENALTY).solve(y[:, None])[:, 0], 0.0)
    left = np.concatenate(logs) - model._log(x)
    level = float(np.log(np.mean(np.exp(2 * left))) / 2)
    return ErrorModel(mean, size, kernel, model.coefficients, level)


def _scaled(x: np.ndarray, mean: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Features in standard deviations, clipped, as one view: (1, n, f)."""
    return np.clip((x - mean) / size, -CLIP, CLIP)[None]
