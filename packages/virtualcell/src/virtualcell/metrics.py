"""How close a prediction is to the truth: as means of populations, as populations of cells, and as an embedding.

Means are of log1p of counts per 10,000 over the cells of a population: means of logarithms, not logarithms of means. A
delta is a mean minus that of the control cells. Letters: g genes, n and k cells, m perturbations, d dimensions.
What is not defined has a defined answer: a delta without variance correlates with nothing (0), and shares no genes (0).
Raises DataError for shapes that do not fit, too few cells, and values that are not finite.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtualcell.faults import refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    Kernel = Callable[[np.ndarray], np.ndarray]

TOP, OVERLAP = 20, 50  # genes
VARIABLE = 100  # genes whose correlations are compared
NEIGHBOURS = 15
FLAT = 1e-12  # a standard deviation below this share of the largest value is rounding
_ROWS = 256  # cells whose distances to all others are held at once


@dataclass(frozen=True)
class Scores:
    """What `score` measures of one predicted mean.

    pearson_delta: of predicted and true delta over all genes. pearson_top20: over the 20 genes of largest true |delta|.
    mse: of the means. overlap50: share of the 50 genes of largest |delta| that truth and prediction have in common.
    """

    pearson_delta: float
    pearson_top20: float
    mse: float
    overlap50: float

    def as_dict(self) -> dict[str, float]:
        """Names and values, ready for a table."""
        return asdict(self)


def score(predicted: np.ndarray, truth: np.ndarray, control: np.ndarray) -> Scores:
    """Every measure of a predicted mean (g,), the true mean (g,) and that of the control cells (g,)."""
    predicted, truth, control = _means(predicted, truth, control)
    made, true = predicted - control, truth - control
    top = largest(true, TOP)
    return Scores(
        pearson_delta=pearson(made, true),
        pearson_top20=pearson(made[top], true[top]),
        mse=float(((predicted - truth) ** 2).mean()),
        overlap50=overlap(made, true),
    )


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two arrays (g,), or of any one shape; 0 where one of them does not vary."""
    a, b = _vary(a), _vary(b)
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float(np.clip((a * b).sum() / size, -1, 1)) if size > 0 else 0.0


def largest(delta: np.ndarray, count: int) -> np.ndarray:
    """Places, at most `count`, of the genes of largest |delta| (g,), largest first, the first of equals.

    Genes that do not change are not among them.
    """
    found = np.argsort(-np.abs(delta), kind="stable")[:count]
    return found[delta[found] != 0]


def overlap(predicted: np.ndarray, truth: np.ndarray, count: int = OVERLAP) -> float:
    """Share of the `count` genes of largest |delta| that two deltas (g,) have in common, of all if fewer."""
    common = np.intersect1d(largest(predicted, count), largest(truth, count))
    return len(common) / min(count, len(truth))


def discrimination(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """1 - rank of the true perturbation / (m - 1) for each predicted delta (m, g) against all true deltas (m, g).

    By cosine, equals count half: 1 where a prediction is nearest to its own truth, 0.5 by chance and for no change.
    """
    predicted, truth = _rows("predicted", predicted), _rows("true", truth)
    if predicted.shape != truth.shape or len(truth) < 2:
        refuse(
            f"discrimination: expected deltas (m, g) of two and more, got {predicted.shape}, {truth.shape}"
        )
    alike = _unit(predicted) @ _unit(truth).T
    own = np.diag(alike)[:, None]
    near = np.isclose(alike, own, rtol=0, atol=1e-9)
    nearer = ((alike > own) & ~near).sum(axis=1)
    return 1 - (nearer + (near.sum(axis=1) - 1) / 2) / (len(truth) - 1)


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Energy distance of cells (n, g) and (k, g): 2 E|x - y| - E|x - x'| - E|y - y'|, Euclidean, over pairs of cells.

    Szekely & Rizzo (2013), without bias: around 0, and below it as often as above, for two draws of one population,
    however few cells they are. The spread of a single cell counts as none.
    """
    x, y = _two(x, y)
    return 2 * _mean_of(x, y, _same) - _within(x, _same, 0.0) - _within(y, _same, 0.0)


def mmd(x: np.ndarray, y: np.ndarray, bandwidth: float | None = None) -> float:
    """Squared maximum mean discrepancy of cells (n, g) and (k, g) with a Gaussian kernel, without bias as above.

    Gretton et al. (2012), eq. 3. bandwidth: of exp(-|x - y|^2 / (2 bandwidth^2)); without, the mean distance among y,
    the real cells; where these are all the same, from x.
    """
    x, y = _two(x, y)
    width = bandwidth or _within(y, _same, 0.0) or _mean_of(x, y, _same) or 1.0
    if not 0 < width < np.inf:
        refuse(f"mmd: bandwidth: expected a number above 0, got {width:g}")

    def kernel(distances: np.ndarray) -> np.ndarray:
        return np.exp(-(distances**2) / (2 * width**2))

    return _within(x, kernel, 1.0) + _within(y, kernel, 1.0) - 2 * _mean_of(x, y, kernel)


def correlation_agreement(predicted: np.ndarray, truth: np.ndarray, *, genes: int = VARIABLE) -> float:
    """Pearson's correlation of the gene-gene correlations of predicted (n, g) and real cells (k, g).

    Over pairs of the `genes` genes that vary most among the real cells; a gene that does not vary correlates with none.
    """
    predicted, truth = _two(predicted, truth)
    if min(len(predicted), len(truth)) < 3:
        refuse(f"correlations: expected three cells and more, got {len(predicted)} and {len(truth)}")
    kept = np.sort(np.argsort(-truth.var(axis=0), kind="stable")[:genes])
    upper = np.triu_indices(len(kept), 1)
    return pearson(*(_correlations(cells[:, kept])[upper] for cells in (predicted, truth)))


def spread(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Total variance of predicted cells (n, g) over that of real ones (k, g): below 1, the prediction is too narrow."""
    predicted, truth = _two(predicted, truth)
    real = float(truth.var(axis=0).sum())
    if real <= 0:
        refuse("spread: expected real cells that differ from each other, all are the same")
    return float(predicted.var(axis=0).sum()) / real


def knn_accuracy(
    known: np.ndarray, labels: np.ndarray, asked: np.ndarray, truth: np.ndarray, *, k: int = NEIGHBOURS
) -> float:
    """Share of cells (k, d) whose label is that of most of their k nearest known cells (n, d).

    Of labels with as many votes, that of the nearest cell wins.
    """
    known, asked = _two(known, asked)
    if len(labels) != len(known) or len(truth) != len(asked):
        refuse(f"kNN: expected a label for each cell, got {len(labels)} and {len(truth)}")
    near = _nearest(asked, known, min(k, len(known)))
    votes = [Counter(np.asarray(labels)[row].tolist()).most_common(1)[0][0] for row in near]
    return float(np.mean([vote == true for vote, true in zip(votes, truth, strict=True)]))


def batch_mixing(
    cells: np.ndarray, batches: np.ndarray, groups: np.ndarray | None = None, *, k: int = NEIGHBOURS
) -> float:
    """Share of neighbours (n, d) from another batch over what chance gives: 1 is well mixed, 0 wholly apart.

    groups: cell types, within each of which it is measured, so that types of one batch alone say nothing.
    """
    found, expected = 0.0, 0.0
    cells = _rows("embedding", cells)
    groups = np.zeros(len(cells), dtype=int) if groups is None else np.asarray(groups)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        own = np.asarray(batches)[rows]
        if len(rows) < 2 or len(np.unique(own)) < 2:
            continue
        near = _nearest(cells[rows], cells[rows], min(k, len(rows) - 1), own=True)
        found += float((own[near] != own[:, None]).mean(axis=1).sum())
        expected += float(sum((own != one).sum() / (len(rows) - 1) for one in own))
    if expected == 0:
        refuse("batch mixing: expected cells of two batches and more in one group, there are none")
    return found / expected


def _means(*means: np.ndarray) -> list[np.ndarray]:
    made = [np.asarray(mean, dtype=np.float64) for mean in means]
    if any(mean.shape != made[0].shape or mean.ndim != 1 or not mean.size for mean in made):
        refuse(f"means: expected three of (g,) genes, got {[mean.shape for mean in made]}")
    if not all(np.isfinite(mean).all() for mean in made):
        refuse("means: expected finite numbers, got NaN or infinity")
    return made


def _rows(name: str, values: np.ndarray) -> np.ndarray:
    made = np.asarray(values, dtype=np.float64)
    if made.ndim != 2 or 0 in made.shape or not np.isfinite(made).all():
        refuse(f"{name}: expected finite numbers of one row and more, got an array {made.shape}")
    return made


def _two(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = _rows("cells", x), _rows("cells", y)
    if x.shape[1] != y.shape[1]:
        refuse(f"cells: expected the same genes, got {x.shape[1]} and {y.shape[1]}")
    return x, y


def _vary(values: np.ndarray) -> np.ndarray:
    """Values minus their mean; all 0 where they differ by rounding alone."""
    values = np.asarray(values, dtype=np.float64)
    if not values.size:
        return values
    centred = values - values.mean()
    return centred if centred.std() > FLAT * np.abs(values).max() else np.zeros_like(centred)


def _unit(rows: np.ndarray) -> np.ndarray:
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(size > 0, size, 1.0)


def _correlations(cells: np.ndarray) -> np.ndarray:
    centred = np.apply_along_axis(_vary, 0, cells)
    unit = _unit(centred.T)
    return unit @ unit.T


def _same(distances: np.ndarray) -> np.ndarray:
    return distances


def _within(x: np.ndarray, kernel: Kernel, own: float) -> float:
    """Mean over pairs of different cells; own: what a cell has with itself, and what is told of one cell alone."""
    n = len(x)
    return own if n < 2 else (_mean_of(x, x, kernel) * n - own) / (n - 1)


def _mean_of(x: np.ndarray, y: np.ndarray, kernel: Kernel) -> float:
    from sklearn.metrics.pairwise import euclidean_distances

    # Distances by one product of matrices: 20 times faster than one by one where cells have thousands of genes. Cells
    # are taken from their middle first, as what cancels in the product is then small.
    middle = y.mean(axis=0)
    others = y - middle
    total = 0.0
    for i in range(0, len(x), _ROWS):
        distances = euclidean_distances(x[i : i + _ROWS] - middle, others)
        if x is y:
            distances[np.arange(len(distances)), np.arange(i, i + len(distances))] = 0.0
        total += float(kernel(distances).sum())
    return total / (len(x) * len(y))


def _nearest(asked: np.ndarray, known: np.ndarray, k: int, *, own: bool = False) -> np.ndarray:
    """The k nearest known cells of each, nearest first, (n, k); own: the cells are the same, none is its own."""
    from scipy.spatial.distance import cdist

    found = []
    for start in range(0, len(asked), _ROWS):
        distances = cdist(asked[start : start + _ROWS], known)
        if own:
            rows = np.arange(len(distances))
            distances[rows, start + rows] = np.inf
        found.append(np.argsort(distances, axis=1, kind="stable")[:, :k])
    return np.concatenate(found)
