"""How good recipes, rankings and odds are: pure functions of arrays.

Letters: n pairs or records, m ingredients, b media of a library; x and recon: (n, m) [g/L]. Whatever is not finite or
has the wrong shape is refused with a ValueError: no measure is NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

PRESENT = 0.01  # [g/L] above which an ingredient counts as being in a medium
CHUNK = 1024  # pairs whose rankings are sorted at once
LEAST_ODDS = 1e-12  # how sure a probability is taken to be at most, by the log loss


class Bin(NamedTuple):
    """A row of a reliability table: odds from low to high, how many had such odds, what was said and what came."""

    low: float
    high: float
    n: int
    said: float  # mean probability
    came: float  # share of true outcomes


def reconstruction_metrics(x: np.ndarray, recon: np.ndarray) -> dict[str, float]:
    """The specification's three numbers of media x and what a model makes of them, both (n, m) [g/L].

    mse and pearson_r: of log1p g/L. ingredient_match_pct: the Jaccard index of presence, in percent.
    """
    return {
        "mse": mse_log1p(x, recon),
        "pearson_r": pearson(x, recon),
        "ingredient_match_pct": 100.0 * jaccard(x, recon),
    }


def mse_log1p(x: np.ndarray, recon: np.ndarray) -> float:
    """Mean squared difference of log1p g/L of media, both (n, m), over pairs and ingredients."""
    a, b = _media(x, recon)
    return float(((np.log1p(a) - np.log1p(b)) ** 2).mean())


def pearson(x: np.ndarray, recon: np.ndarray) -> float:
    """Mean over pairs of media (n, m) of the correlation of their log1p g/L over ingredients, 0 if one is constant."""
    a, b = (np.log1p(one) for one in _media(x, recon))
    constant = (np.ptp(a, axis=1) == 0) | (np.ptp(b, axis=1) == 0)
    a, b = (_unit(one - one.mean(axis=1, keepdims=True)) for one in (a, b))
    return float(np.where(constant, 0.0, (a * b).sum(axis=1)).mean())


def jaccard(x: np.ndarray, recon: np.ndarray, least: float = PRESENT) -> float:
    """Mean over pairs of media (n, m) of shared / all ingredients above `least` [g/L]; two media of nothing count 1."""
    a, b = (one > least for one in _media(x, recon))
    either = (a | b).sum(axis=1)
    return float(np.where(either > 0, (a & b).sum(axis=1) / np.maximum(either, 1), 1.0).mean())


def cosine_scores(vectors: np.ndarray, library: np.ndarray) -> np.ndarray:
    """Cosine of log1p g/L of vectors (n, m) to each medium of a library (b, m): (n, b); 0 to a medium of nothing.

    Raises ValueError for amounts that are none, and where they are not over the same ingredients.
    """
    a, b = _amounts(vectors, "vectors"), _amounts(library, "library")
    if a.shape[1] != b.shape[1]:
        msg = f"cosine: expected vectors and library over the same ingredients, got {a.shape[1]} and {b.shape[1]}"
        raise ValueError(msg)
    return _unit(np.log1p(a)) @ _unit(np.log1p(b)).T


def hits(
    scores: np.ndarray, truths: Sequence[AbstractSet[int]], ks: Sequence[int] = (1, 5, 10)
) -> dict[int, float]:
    """For each k, the share of rows of scores (n, b) with a true medium among their k best.

    truths: for each row, the columns that are true, at least one. Among equal scores the first column comes first.
    Raises ValueError for scores that are not finite, truths that are no columns or not one set a row, and k below 1.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or len(scores) != len(truths) or not len(truths):
        msg = f"hits: expected a row of scores for each set of truths, got {scores.shape} and {len(truths)}"
        raise ValueError(msg)
    if min(ks, default=0) < 1:
        msg = f"hits: expected ks of 1 and more, got {tuple(ks)}"
        raise ValueError(msg)
    best = np.empty(len(scores), dtype=np.int64)  # the place of the best true medium, 0 the first
    for start in range(0, len(scores), CHUNK):
        some = scores[start : start + CHUNK]
        if not np.isfinite(some).all():
            msg = f"hits: rows {start} to {start + len(some) - 1} hold scores that are not finite"
            raise ValueError(msg)
        place = np.argsort(np.argsort(-some, axis=1, kind="stable"), axis=1)
        for i, places in enumerate(place, start=start):
            best[i] = places[_columns(truths[i], scores.shape[1], i)].min()
    return {k: float((best < k).mean()) for k in ks}


def roc_auc(score: np.ndarray, outcome: np.ndarray) -> float:
    """Area under the ROC curve by rank sums (Mann and Whitney 1947), ties as midranks.

    score, outcome: (n,). Raises ValueError where only one outcome occurs, or for scores that are not finite.
    """
    score, outcome = _scored(score, outcome, "score")
    yes = int(outcome.sum())
    no = len(outcome) - yes
    if not yes or not no:
        msg = f"ROC AUC: expected both outcomes, got {yes} true and {no} false"
        raise ValueError(msg)
    _, at, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[at]
    return float((rank[outcome].sum() - yes * (yes + 1) / 2) / (yes * no))


def reliability(probability: np.ndarray, outcome: np.ndarray, bins: int = 10) -> list[Bin]:
    """What was said against what came, in bins of equal width that hold anything; 1 belongs to the last.

    probability, outcome: (n,). Raises ValueError for what is no probability or no outcome, and for bins below 1.
    """
    p, outcome = _odds(probability, outcome)
    if bins < 1:
        msg = f"bins: expected 1 or more, got {bins}"
        raise ValueError(msg)
    at = np.minimum((p * bins).astype(np.int64), bins - 1)
    made = []
    for j in np.unique(at):
        own = at == j
        said, came = float(p[own].mean()), float(outcome[own].mean())
        made.append(Bin(float(j / bins), float((j + 1) / bins), int(own.sum()), said, came))
    return made


def calibration_error(probability: np.ndarray, outcome: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: |said - came| of the bins of `reliability`, weighted by how many they hold.

    probability, outcome: (n,). Naeini, Cooper and Hauskrecht 2015, with bins of equal width.
    """
    table = reliability(probability, outcome, bins)
    return sum(row.n * abs(row.said - row.came) for row in table) / sum(row.n for row in table)


def log_loss(probability: np.ndarray, outcome: np.ndarray) -> float:
    """Mean negative log likelihood of outcomes (n,) [nats]; odds are held `LEAST_ODDS` away from 0 and 1."""
    p, outcome = _odds(probability, outcome)
    p = np.clip(p, LEAST_ODDS, 1.0 - LEAST_ODDS)
    return float(-np.log(np.where(outcome, p, 1.0 - p)).mean())


def _unit(x: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of nothing stays one."""
    size = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(size > 0, size, 1.0)


def _media(x: np.ndarray, recon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both checked; ValueError where they do not fit each other or there are none."""
    a, b = _amounts(x, "x"), _amounts(recon, "recon")
    if a.shape != b.shape or not a.size:
        msg = f"media: expected x and recon of one shape that is not empty, got {a.shape} and {b.shape}"
        raise ValueError(msg)
    return a, b


def _amounts(x: np.ndarray, what: str) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2:
        msg = f"{what}: expected a row a medium and a column an ingredient, got shape {x.shape}"
        raise ValueError(msg)
    bad = np.argwhere(~(np.isfinite(x) & (x >= 0)))
    if len(bad):
        i, j = bad[0]
        msg = f"{what}: row {i}, column {j}: expected a finite amount >= 0 [g/L], got {x[i, j]}"
        raise ValueError(msg)
    return x


def _columns(truth: AbstractSet[int], b: int, row: int) -> list[int]:
    """The true columns of a row of scores."""
    columns = sorted(truth)
    if not columns or columns[0] < 0 or columns[-1] >= b:
        msg = f"hits: row {row}: expected one or more true media from 0 to {b - 1}, got {columns}"
        raise ValueError(msg)
    return columns


def _scored(score: np.ndarray, outcome: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Finite numbers (n,) and outcomes (n,) bool."""
    score, outcome = np.asarray(score, dtype=np.float64), np.asarray(outcome)
    if score.ndim != 1 or score.shape != outcome.shape or not len(score):
        msg = f"{what} and outcome: expected two vectors of one length, got {score.shape} and {outcome.shape}"
        raise ValueError(msg)
    if not np.isin(outcome, (0, 1)).all():
        msg = "outcome: expected true or false (1 or 0) only"
        raise ValueError(msg)
    if not np.isfinite(score).all():
        at = int(np.flatnonzero(~np.isfinite(score))[0])
        msg = f"{what}: row {at}: expected a finite number, got {score[at]}"
        raise ValueError(msg)
    return score, outcome.astype(bool)


def _odds(probability: np.ndarray, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p, outcome = _scored(probability, outcome, "probability")
    if p.min() < 0 or p.max() > 1:
        msg = f"probability: expected numbers from 0 to 1, got {p.min():g} to {p.max():g}"
        raise ValueError(msg)
    return p, outcome
