"""How close a reconstruction is to the truth: neighbours, distances, shape, scale, and the honesty of its sd.

All measures are free of translation, rotation, reflection and scale. Letters: n cells, d dimensions, k neighbours.
Never n x n: neighbours by a tree, distances on all pairs of up to `ALL_PAIRS` cells and on sampled pairs above.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import scipy  # its statistics take a second to load, and only scoring needs them
from scipy.spatial import cKDTree

from stedm.tissue import rms_radius

K = 10
ALL_PAIRS = 1500  # cells
SAMPLED = 1_000_000  # pairs


@dataclass(frozen=True)
class Fit:
    """The similarity that lays a prediction on the truth: `scale * (x - shift_from) @ turn + shift_to`.

    turn: (d, d) orthogonal; mirrored: its determinant is -1. scale: fitted, one number. shift_from, shift_to: (d,).
    """

    turn: np.ndarray
    scale: float
    shift_from: np.ndarray
    shift_to: np.ndarray
    mirrored: bool

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Points (n, d) of the prediction in the frame of the truth."""
        return self.scale * (points - self.shift_from) @ self.turn + self.shift_to


def fit_similarity(points: np.ndarray, onto: np.ndarray, *, scaled: bool = True) -> Fit:
    """The least-squares similarity of points (n, d) onto others (n, d), reflections allowed.

    Procrustes by the singular value decomposition (Schoenemann 1966; the scale of Gower 1975). scaled: else scale 1.
    Points all at one place keep scale 1 and are moved only.
    """
    a, b = points.mean(axis=0), onto.mean(axis=0)
    u, s, vt = np.linalg.svd((points - a).T @ (onto - b))
    turn = u @ vt
    size = float(((points - a) ** 2).sum())
    scale = float(s.sum()) / size if scaled and size > 0 else 1.0
    return Fit(turn, scale, a, b, bool(np.linalg.det(turn) < 0))


@dataclass(frozen=True)
class Scores:
    """What `score` measures; NaN where a section is too small for it.

    jaccard10: mean over cells of |A & B| / |A | B|, A and B the 10 nearest in truth and prediction.
    hit10: mean share of a cell's true ten nearest found among the predicted ten. spearman: of pairwise distances.
    rmse: after the best similarity, over the truth's RMS radius. scale_ratio: RMS radius predicted / true.
    floor: jaccard10 of random positions. sd_spearman: rank correlation of sd with the error after the similarity.
    sd_ratio: RMS error / RMS sd (1: honest). sd_coverage90: share of cells inside the 90 % ball of their sd.
    mirrored: 1 where the best similarity mirrors the prediction. cells: how many there are.
    """

    cells: int
    jaccard10: float
    hit10: float
    spearman: float
    rmse: float
    scale_ratio: float
    floor: float
    mirrored: int
    sd_spearman: float
    sd_ratio: float
    sd_coverage90: float

    def as_dict(self) -> dict[str, float]:
        """Names and values, ready for a table."""
        return asdict(self)


def score(predicted: np.ndarray, truth: np.ndarray, sd: np.ndarray | None = None, *, seed: int = 0) -> Scores:
    """Every measure of a section: predicted (n, d), truth (n, d), sd (n,) in the prediction's unit.

    The cells are shuffled first: equal distances are then decided by chance and not by the row order.
    Raises ValueError for shapes that do not fit together or values that are not finite.
    """
    if predicted.shape != truth.shape or not (np.isfinite(predicted).all() and np.isfinite(truth).all()):
        msg = f"expected finite points of equal shape, got {predicted.shape} and {truth.shape}"
        raise ValueError(msg)
    n = len(truth)
    if sd is not None and (np.shape(sd) != (n,) or not np.isfinite(sd).all()):
        msg = f"expected a finite sd for each of {n} points, got shape {np.shape(sd)}"
        raise ValueError(msg)
    order = np.random.default_rng(seed).permutation(n)
    predicted, truth = np.asarray(predicted, float)[order], np.asarray(truth, float)[order]
    jaccard, hit = neighbours_kept(predicted, truth)
    spearman = distance_spearman(predicted, truth, seed=seed)
    here, there = rms_radius(predicted), rms_radius(truth)
    fit = fit_similarity(predicted, truth)
    error = np.linalg.norm(fit(predicted) - truth, axis=1)
    rmse = float(np.sqrt((error**2).mean()) / there) if there > 0 else float("nan")
    calibration = (float("nan"),) * 3
    if sd is not None and n > 2:
        calibration = calibrate(error, fit.scale * np.asarray(sd, float)[order], truth.shape[1])
    ratio = here / there if there > 0 else float("nan")
    return Scores(n, jaccard, hit, spearman, rmse, ratio, random_floor(n), int(fit.mirrored), *calibration)


def neighbours_kept(predicted: np.ndarray, truth: np.ndarray, k: int = K) -> tuple[float, float]:
    """Mean Jaccard index and mean hit rate of the k nearest, predicted and truth (n, d); NaN for k cells or fewer."""
    n = len(truth)
    if n <= k:
        return float("nan"), float("nan")
    a, b = nearest(truth, k), nearest(predicted, k)
    joined = np.sort(np.concatenate([a, b], axis=1), axis=1)
    common = (joined[:, 1:] == joined[:, :-1]).sum(axis=1)
    return float((common / (2 * k - common)).mean()), float((common / k).mean())


def nearest(points: np.ndarray, k: int) -> np.ndarray:
    """The k nearest others of each point (n, d), (n, k) rows, nearest first; k below n.

    Equal distances in the order the tree finds them. A point is never its own neighbour, coincident ones included.
    """
    found = cKDTree(points).query(points, k=k + 1)[1].reshape(len(points), k + 1)
    own = found == np.arange(len(points))[:, None]
    own[~own.any(axis=1), -1] = True  # a cell hidden behind k + 1 others at its place
    return found[~own].reshape(len(points), k)


def distance_spearman(predicted: np.ndarray, truth: np.ndarray, *, seed: int = 0) -> float:
    """Rank correlation of pairwise distances, predicted and truth (n, d); NaN below 3 cells or at one place.

    All pairs of small sections, a million sampled ones of large ones.
    """
    n = len(truth)
    if n < 3:
        return float("nan")
    if n <= ALL_PAIRS:
        i, j = np.triu_indices(n, 1)
    else:
        rng = np.random.default_rng(seed)
        i, j = rng.integers(0, n, SAMPLED), rng.integers(0, n - 1, SAMPLED)
        j += j >= i
    a, b = (np.linalg.norm(x[i] - x[j], axis=1) for x in (predicted, truth))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(scipy.stats.spearmanr(a, b).statistic)


def random_floor(n: int, k: int = K) -> float:
    """Expected Jaccard index of the k nearest if positions were random: k of n - 1 drawn twice, exactly.

    The overlap is hypergeometric. NaN for k cells or fewer.
    """
    if n <= k:
        return float("nan")
    common = np.arange(k + 1)
    return float((scipy.stats.hypergeom.pmf(common, n - 1, k, k) * common / (2 * k - common)).sum())


def calibrate(error: np.ndarray, sd: np.ndarray, dim: int) -> tuple[float, float, float]:
    """Rank correlation of sd with error, RMS error / RMS sd, share inside the 90 % ball; all (n,) in one unit.

    sd: root of the expected squared distance from the truth; the ball is that of an isotropic Gaussian of this sd.
    """
    rank = (
        float(scipy.stats.spearmanr(sd, error).statistic)
        if np.ptp(sd) > 0 and np.ptp(error) > 0
        else float("nan")
    )
    size = float(np.sqrt((sd**2).mean()))
    ratio = float(np.sqrt((error**2).mean())) / size if size > 0 else float("nan")
    inside = error**2 <= sd**2 * scipy.stats.chi2.ppf(0.9, dim) / dim
    return rank, ratio, float(inside.mean())
