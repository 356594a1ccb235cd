"""The regression base: coordinates of cells from components of spatial genes, and what held-out sections say of it.

`fit(sections)` aligns the training sections, lets held-out sections choose the number of components and the penalty,
and keeps the held-out predictions, from which the pair model and the confidence learn. Counts are looked at twice: as
they are, and thinned, since the sections to come may be shallower. Coordinates are in units of a section's RMS radius.
Letters: n cells, d dimensions, v views, c components, m landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from stedm import components as parts
from stedm.align import align
from stedm.components import Components
from stedm.kernels import Kernel, Ridge, fit_kernel, ridge
from stedm.tissue import Section, place_of, rms_radius, thinned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stedm.config import BaseConfig
    from stedm.tissue import Tissue


@dataclass(frozen=True)
class Regression:
    """Coordinates from expression. coefficients: (m, d). count: components a view that are used."""

    components: Components
    kernel: Kernel
    coefficients: np.ndarray
    count: int

    def cells(self, section: Section) -> np.ndarray:
        """The components of a section, (v, n, c)."""
        return self.components.of(section)[:, :, : self.count]

    def __call__(self, cells: np.ndarray) -> np.ndarray:
        """Coordinates (n, d) of cells (v, n, c)."""
        return self.kernel.times(cells, self.coefficients)


@dataclass(frozen=True)
class HeldOut:
    """A training section as the others see it: cells (v, n, c), their predicted and their own place (n, d)."""

    section: Section
    cells: np.ndarray
    predicted: np.ndarray
    place: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """The regression on all sections, what was held out, and how it was chosen.

    held_out: each section, then, of counts, each once more with thinned ones. turns: (sections, d, d) of the alignment.
    error: held-out RMSE of each (components, penalty) tried. unit: mean RMS radius of the training sections in the
    user's unit.
    """

    regression: Regression
    held_out: tuple[HeldOut, ...]
    turns: np.ndarray
    error: dict[tuple[int, float], float]
    unit: float


@dataclass(frozen=True)
class _Look:
    """Cells (v, n, c) of a held-out part, and their features (n, m) for each number of components."""

    cells: np.ndarray
    features: dict[int, np.ndarray]


@dataclass(frozen=True)
class _Fold:
    """One part held out: its rows among all cells, the fits on the rest for each setting, and each look at the part."""

    held: np.ndarray
    rest: np.ndarray
    solvers: dict[tuple[int, float], Ridge]
    looks: tuple[_Look, ...]

    def predict(self, setting: tuple[int, float], targets: np.ndarray, look: int = 0) -> np.ndarray:
        """The held-out part's coordinates from the rest's."""
        return self.looks[look].features[setting[0]] @ self.solvers[setting].solve(targets)


def fit(tissue: Tissue, config: BaseConfig, seed: int) -> Fitted:
    """Fit on every section of a tissue; its cells should be shuffled. Raises DataError for one without coordinates."""
    rng = np.random.default_rng(seed)
    sections, kind = tissue.sections, tissue.kind
    radii = [rms_radius(place_of(section)) for section in sections]
    places = [place_of(section) / radius for section, radius in zip(sections, radii, strict=True)]
    morans = [parts.moran(section, kind) for section in sections]
    looks = [sections]
    if kind == "counts" and config.thinned < 1:
        own = np.random.default_rng(seed)
        looks.append(tuple(thinned(section, config.thinned, own) for section in sections))
    folds = _folds(looks, morans, tissue, config, rng)
    settings = list(folds[0].solvers)
    middle = min(settings, key=lambda s: (abs(s[0] - 15), abs(np.log(s[1] / 0.3))))
    if len(sections) > 1:
        places, turns = align(places, lambda s, others: folds[s].predict(middle, others), config.rounds)
    else:
        places, turns = [places[0] - places[0].mean(axis=0)], np.eye(places[0].shape[1])[None]
    target = np.concatenate(places)
    squared = {s: ((_predicted(folds, s, target) - target) ** 2).sum(axis=1) for s in settings}
    error = {setting: float(np.sqrt(each.mean())) for setting, each in squared.items()}
    best = min(settings, key=lambda s: error[s])
    fitted = parts.fit(
        sections, morans, kind, genes=config.genes, power=config.gene_power, most=best[0], rng=rng
    )
    regression = _solve(fitted, sections, target, best, config, rng)
    held_out = []
    for look, seen in enumerate(looks):
        predicted = _predicted(folds, best, target, look)
        held_out += _held_out(seen, look, folds, fitted, predicted, places, best[0])
    return Fitted(regression, tuple(held_out), turns, error, float(np.mean(radii)))


def _solve(
    components: Components,
    sections: Sequence[Section],
    target: np.ndarray,
    setting: tuple[int, float],
    config: BaseConfig,
    rng: np.random.Generator,
) -> Regression:
    """Kernel ridge on all cells of the sections."""
    count = min(setting[0], components.most)
    x = np.concatenate([components.of(section)[:, :, :count] for section in sections], axis=1)
    kernel = fit_kernel(x, landmarks=config.landmarks, bandwidth=config.bandwidth, rng=rng)
    return Regression(components, kernel, ridge(kernel(x), setting[1]).solve(target), count)


def _predicted(
    folds: Sequence[_Fold], setting: tuple[int, float], target: np.ndarray, look: int = 0
) -> np.ndarray:
    """Held-out coordinates of all cells, (n, d)."""
    made = np.zeros_like(target)
    for fold in folds:
        made[fold.held] = fold.predict(setting, target[fold.rest], look)
    return made


def _folds(
    looks: Sequence[Sequence[Section]],
    morans: Sequence[np.ndarray],
    tissue: Tissue,
    config: BaseConfig,
    rng: np.random.Generator,
) -> list[_Fold]:
    """One fold a section; of one section alone, parts of its cells."""
    sections = looks[0]
    starts = np.cumsum([0, *(len(section) for section in sections)])
    rows = [np.arange(a, b) for a, b in pairwise(starts)]
    groups = [list(seen) for seen in looks]
    if len(sections) == 1:
        rows = [np.sort(part) for part in np.array_split(rng.permutation(len(sections[0])), config.folds)]
        rows = [part for part in rows if len(part)]
        groups = [[seen[0].take(part) for part in rows] for seen in looks]
        morans = [morans[0]] * len(rows)
    return [_fold(s, groups, rows, morans, tissue, config, rng) for s in range(len(rows))]


def _fold(
    s: int,
    groups: Sequence[Sequence[Section]],
    rows: Sequence[np.ndarray],
    morans: Sequence[np.ndarray],
    tissue: Tissue,
    config: BaseConfig,
    rng: np.random.Generator,
) -> _Fold:
    """Everything of a fold but the targets: genes and components know nothing of the held-out part."""
    others = [t for t in range(len(rows)) if t != s]
    rest = [groups[0][t] for t in others]
    fitted = parts.fit(
        rest,
        [morans[t] for t in others],
        tissue.kind,
        genes=config.genes,
        power=config.gene_power,
        most=max(config.components),
        rng=rng,
    )
    x = np.concatenate([fitted.of(section) for section in rest], axis=1)
    looks, solvers = tuple(_Look(fitted.of(seen[s]), {}) for seen in groups), {}
    for count in config.components:
        used = min(count, fitted.most)
        kernel = fit_kernel(x[:, :, :used], landmarks=config.landmarks, bandwidth=config.bandwidth, rng=rng)
        known = kernel(x[:, :, :used])
        for look in looks:
            look.features[count] = kernel(look.cells[:, :, :used])
        for penalty in config.penalties:
            solvers[count, penalty] = ridge(known, penalty)
    return _Fold(rows[s], np.concatenate([rows[t] for t in others]), solvers, looks)


def _held_out(
    sections: Sequence[Section],
    look: int,
    folds: Sequence[_Fold],
    fitted: Components,
    predicted: np.ndarray,
    places: Sequence[np.ndarray],
    count: int,
) -> list[HeldOut]:
    """The sections with their held-out predictions, components of a fold that did not know them."""
    made, start = [], 0
    for s, section in enumerate(sections):
        stop = start + len(section)
        cells = folds[s].looks[look].cells if len(sections) > 1 else fitted.of(section)
        made.append(HeldOut(section, cells[:, :, :count], predicted[start:stop], places[s]))
        start = stop
    return made
