"""Are generated replicates like measured ones? Three numbers of each, and the distance of their distributions."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import torch

from o2diffusion.media import curve_metrics
from o2diffusion.windows import MediaResponseDataset

if TYPE_CHECKING:
    from collections.abc import Iterable

    from o2diffusion.conditions import Condition

STATISTICS = ("correlation", "spike_height", "half_decay_h")
ENOUGH = 8  # samples of a pair, and of a window after the change


def curve_statistics(conditions: Iterable[Condition]) -> dict[str, np.ndarray]:
    """Numbers (m,) by name: correlation of each pair of replicates; of each replicate at each media change spike_height
    (peak of 15 h minus mean of the 10 h before, in the unit of oxygen) and half_decay_h [h]. What is not defined is
    left out.
    """
    conditions = list(conditions)
    out: dict[str, list[float]] = {name: [] for name in STATISTICS}
    for condition in conditions:
        for a, b in combinations(condition.oxygen.T, 2):
            both = np.isfinite(a) & np.isfinite(b)
            if both.sum() >= ENOUGH and a[both].std() > 0 and b[both].std() > 0:
                out["correlation"].append(float(np.corrcoef(a[both], b[both])[0, 1]))
    for window in MediaResponseDataset(conditions).windows:
        for k in np.flatnonzero(window.replicate_mask):
            rows = window.observed[:, k] & (window.time_relative >= 0)
            if rows.sum() < ENOUGH:
                continue
            curve = window.oxygen[rows, k] + window.level[k] - window.reference[k]
            height, decay = curve_metrics(
                torch.as_tensor(window.time_relative[rows]), torch.as_tensor(curve)[None]
            )
            out["spike_height"].append(float(height))
            out["half_decay_h"].append(float(decay))
    return {name: np.array(values)[np.isfinite(values)] for name, values in out.items()}


def ks_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference of the distribution functions of (n,) and (m,) numbers (Kolmogorov-Smirnov); NaN for none."""
    if not len(a) or not len(b):
        return float("nan")
    at = np.concatenate([a, b])
    below = [np.searchsorted(np.sort(x), at, side="right") / len(x) for x in (a, b)]
    return float(np.abs(below[0] - below[1]).max())
