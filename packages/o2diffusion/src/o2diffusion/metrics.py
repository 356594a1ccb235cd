"""Scores of one masked condition: errors, fair CRPS, coverage of cells and of the area under what was hidden.

Letters: m hidden cells, n draws. All in z-scores of the visible cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtr

from o2diffusion.losses import fair_crps

# Between the order statistics of n draws lies the truth, if it is one more draw, as often as said: (n + 1) p.
ORDER = "weibull"
Z50, Z90 = 0.6744897501960817, 1.6448536269514722


@dataclass(frozen=True)
class Prediction:
    """What a method says of the m hidden cells: `centre` (m,), and if it is probabilistic `draws` (n, m) or `sd` (m,).

    `area_sd` (r,): of the mean over the hidden cells of each replicate that has some, for Gaussian methods.
    """

    centre: np.ndarray
    draws: np.ndarray | None = None
    sd: np.ndarray | None = None
    area_sd: np.ndarray | None = None


def gaussian_crps(mean: np.ndarray, sd: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """CRPS of a Gaussian, element by element, in the truth's unit: (m,), (m,), (m,) -> (m,).

    Gneiting & Raftery 2007, eq. 21.
    """
    w = (truth - mean) / sd
    density = np.exp(-0.5 * w**2) / np.sqrt(2 * np.pi)
    return sd * (w * (2 * ndtr(w) - 1) + 2 * density - 1 / np.sqrt(np.pi))


def _covered(p: Prediction, truth: np.ndarray, share: float) -> np.ndarray | None:
    """Whether each truth lies in the central interval of `share`."""
    if p.draws is not None:
        low, high = np.quantile(p.draws, [0.5 - share / 2, 0.5 + share / 2], axis=0, method=ORDER)
        return (truth >= low) & (truth <= high)
    if p.sd is not None:
        return np.abs(truth - p.centre) <= (Z90 if share == 0.9 else Z50) * p.sd
    return None


def _area_covered(p: Prediction, truth: np.ndarray, replicate: np.ndarray) -> float | None:
    """Share of replicates whose mean over the hidden cells lies in the 90 % interval of the joint belief."""
    inside = []
    for k, r in enumerate(np.unique(replicate)):
        own = replicate == r
        actual = truth[own].mean()
        if p.draws is not None:
            low, high = np.quantile(p.draws[:, own].mean(axis=1), [0.05, 0.95], method=ORDER)
            inside.append(low <= actual <= high)
        elif p.area_sd is not None:
            inside.append(abs(actual - p.centre[own].mean()) <= Z90 * p.area_sd[k])
    return float(np.mean(inside)) if inside else None


def score(p: Prediction, truth: np.ndarray, replicate: np.ndarray, near: np.ndarray) -> dict[str, float]:
    """All metrics of one condition by name: truth, replicate and near (m,) bool, which marks cells soon after an event.

    A point forecast's CRPS is its absolute error. Metrics that a method cannot have are absent.
    """
    error = np.abs(p.centre - truth)
    if p.draws is not None:
        crps = fair_crps(torch.as_tensor(p.draws), torch.as_tensor(truth)).numpy()
    else:
        crps = error if p.sd is None else gaussian_crps(p.centre, p.sd, truth)
    row = {"mae": error.mean(), "rmse": np.sqrt((error**2).mean()), "crps": crps.mean()}
    for share in (0.5, 0.9):
        covered = _covered(p, truth, share)
        if covered is not None:
            row[f"coverage{round(100 * share)}"] = covered.mean()
    area = _area_covered(p, truth, replicate)
    if area is not None:
        row["area_coverage90"] = area
    for name, cells in (("near", near), ("far", ~near)):
        if near.any() and cells.any():
            row |= {f"mae_{name}": error[cells].mean(), f"crps_{name}": crps[cells].mean()}
    return {k: float(v) for k, v in row.items()}
