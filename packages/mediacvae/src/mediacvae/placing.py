"""Whose lineage an organism may have of which the genome is all that is known.

Letters: p organisms that are known, d condition features, w words of the lineage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mediacvae.conditions import LINEAGE
from mediacvae.kernels import of_genome

if TYPE_CHECKING:
    from mediacvae.kernels import Kernel

NEAR = 4  # power of the likeness: the nearest count most
LEAST = 1e-9  # weight of all together, below which nobody is near


def place(kernel: Kernel, condition: np.ndarray, known: np.ndarray) -> np.ndarray | None:
    """The lineage (w,) of a condition (1, d) that has none: the mean of those in `known` (p, d) with genomes like it.

    A word is the share of them that have it. None where the lineage is known, is not asked for, or nobody is near.
    """
    columns = kernel.conditioner.columns
    if LINEAGE not in columns or np.isfinite(condition[:, columns[LINEAGE]]).any():
        return None
    weight = np.zeros(len(known))
    for block in filter(of_genome, kernel.conditioner.blocks):
        size = np.array([kernel.part(block, row[None], row[None])[0, 0] for row in known])
        own = kernel.part(block, condition, condition)[0, 0]
        cosine = kernel.part(block, condition, known)[0] / np.sqrt(np.maximum(size * own, LEAST))
        weight += np.clip(cosine, 0.0, 1.0) ** NEAR
    words = np.asarray(known[:, columns[LINEAGE]], dtype=np.float64)
    weight = np.where(np.isfinite(words).all(axis=1), weight, 0.0)
    if weight.sum() < LEAST:
        return None
    return weight @ np.nan_to_num(words) / weight.sum()
