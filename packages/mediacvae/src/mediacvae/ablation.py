"""Whether reasons are reasons: what is lost of an expectation without them. Letters: q ingredients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from mediacvae.attribution import Watched

if TYPE_CHECKING:
    from mediacvae.attribution import Attribution
    from mediacvae.predictor import MediaModel


def lost_without(
    model: MediaModel, made: Attribution, strongest: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """What amounts [log1p g/L] lose without each of the strongest features (q, top), and without all of them (q,).

    strongest: for each ingredient, numbers (top,) of features. Without: the feature is that of the baseline.
    """
    watched = Watched(model, made.columns)
    q, top = len(strongest), len(strongest[0])
    each, together = np.zeros((q, top)), np.zeros(q)
    for j, features in enumerate(strongest):
        rows = np.repeat(made.condition, top + 1, axis=0)
        rows[np.arange(top), features] = made.baseline[0, features]
        rows[top, features] = made.baseline[0, features]
        lost = made.at.amount[0, j] - watched(rows).amount[:, j]
        each[j], together[j] = lost[:top], lost[top]
    return each, together


def spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    """Rank correlation (Spearman 1904) of a and b, (n,) each; None for fewer than two, or where all are the same."""
    if len(a) < 2:
        return None
    ranks = [rankdata(x) - (len(x) + 1) / 2 for x in (a, b)]
    size = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float(ranks[0] @ ranks[1] / size) if size > 0 else None
