"""What a cell is to the regression: a few components of spatial genes, in each view of the expression.

Few components are what carries over to another section: on held-out tumour sections 8 to 15 a view beat distances on
all genes by far. Letters: n cells of a section, g chosen genes, c components, v views.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stedm.genes import morans_i, neighbour_weights
from stedm.normalise import VIEWS, views
from stedm.tissue import Kind, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stedm.tissue import Section

BLOCK = 1000  # genes at a time
OVERSAMPLED = 4000  # cells of the components' fit at most
ENTRIES = 12_000_000  # of cells x genes that are held dense at once


@dataclass(frozen=True)
class Components:
    """How to get from counts to components.

    columns: (g,) of the training genes. weights: (g,) of each gene. loadings: (v, g, c), views in the order of `VIEWS`.
    """

    kind: Kind
    columns: np.ndarray
    weights: np.ndarray
    loadings: np.ndarray

    @property
    def most(self) -> int:
        """Components a view."""
        return int(self.loadings.shape[2])

    def of(self, section: Section) -> np.ndarray:
        """The components of a section's cells, (v, n, c) float32; its coordinates are not looked at."""
        width = max(1, ENTRIES // max(len(section), 1))  # all genes at once, unless the section is large
        made = self._of(section, slice(0, width))
        for start in range(width, len(self.columns), width):
            made += self._of(section, slice(start, start + width))
        return made

    def _of(self, section: Section, some: slice) -> np.ndarray:
        """What some of the genes add to the components."""
        seen = views(section, self.kind, self.columns[some])
        weights = self.weights[some].astype(np.float32)
        return np.stack(
            [
                (seen[name] * weights) @ load[some]
                for name, load in zip(VIEWS[self.kind], self.loadings, strict=True)
            ]
        )


def moran(section: Section, kind: Kind) -> np.ndarray:
    """Moran's I of every gene of a section, (genes,): of log counts, or of values. DataError without coordinates."""
    weights = neighbour_weights(place_of(section))
    name = "log" if kind == "counts" else "plain"
    found = np.zeros(section.counts.shape[1])
    for start in range(0, len(found), BLOCK):
        columns = np.arange(start, min(start + BLOCK, len(found)))
        found[columns] = morans_i(views(section, kind, columns, (name,))[name].astype(float), weights)
    return found


def spatial_genes(morans: Sequence[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns (g,) of the genes with the highest mean Moran's I, ascending, and that mean (g,), at least 1e-3.

    morans: (genes,) of each section. count: genes at most.
    Genes at or below 0 are left out as long as two others are there.
    """
    mean = np.mean(morans, axis=0)
    best = np.argsort(-mean, kind="stable")[:count]
    best = best[mean[best] > 0] if (mean[best] > 0).sum() >= 2 else best
    chosen = np.sort(best)
    return chosen, np.maximum(mean[chosen], 1e-3)


def fit(
    sections: Sequence[Section],
    morans: Sequence[np.ndarray],
    kind: Kind,
    *,
    genes: int,
    power: float,
    most: int,
    rng: np.random.Generator,
) -> Components:
    """Components of the sections' cells together: at most `most` a view, fewer where the rank is lower.

    morans: (genes,) of each section; the best `genes` are used, each with its mean to `power` as weight. Signs are
    fixed: the largest loading of each component is positive.
    """
    columns, strength = spatial_genes(morans, genes)
    weights = strength**power
    weights /= np.sqrt((weights**2).mean())
    parts = [views(section, kind, columns) for section in sections]
    total = sum(len(section) for section in sections)
    rows = np.sort(rng.permutation(total)[:OVERSAMPLED])
    loadings = []
    for name in VIEWS[kind]:
        x = np.concatenate([part[name] for part in parts])[rows].astype(np.float64) * weights
        loadings.append(_principal(x, most))
    fewest = min(load.shape[1] for load in loadings)
    return Components(
        kind, columns, weights, np.stack([load[:, :fewest] for load in loadings]).astype(np.float32)
    )


def _principal(x: np.ndarray, most: int) -> np.ndarray:
    """Principal directions of (n, g), (g, c), largest first; of a matrix without variance one, which says nothing."""
    from sklearn.utils.extmath import randomized_svd  # a second to load, and only training needs it

    x = x - x.mean(axis=0)
    value, vector = randomized_svd(x, min(most, *x.shape), n_iter=4, random_state=0)[1:]
    keep = value > 1e-5 * max(float(value[0]), 1e-300)
    keep[0] = True
    vector = vector[keep].T
    top = np.abs(vector).argmax(axis=0)
    return vector * np.where(vector[top, np.arange(vector.shape[1])] < 0, -1.0, 1.0)
