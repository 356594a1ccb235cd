"""Counts of cells whose mean log expression is given: overdispersion, and the rate of counts that a mean stands for.

A count of gene j in cell i with library size l_i is negative binomial with mean l_i r_j and variance m + a_j m^2.
Letters: n cells, g genes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse, stats

from virtualcell.writing import PER

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAST, MOST = 0.02, 10.0  # of the overdispersion a
CELLS_OF_TREND = (
    20.0  # squared expected counts at which a gene's own overdispersion counts as much as all genes'
)
SIZES, QUANTILES = 8, 64  # library sizes and quantiles of counts that an expectation is taken over
RATES = 48  # of the table that is inverted
LEVELS = (0.02, 0.1, 0.3, 1.0, 3.0, 10.0)  # overdispersions of that table


def overdispersion(populations: Iterable[sparse.csr_matrix]) -> np.ndarray:
    """Overdispersion a (g,) of genes by moments within populations, shrunk towards that of all genes, in 0.02..10.

    populations: whole counts (n, g) of cells that were treated alike.
    """
    above, below = 0.0, 0.0
    for counts in populations:
        x = np.asarray(counts.toarray(), dtype=np.float64)
        size = x.sum(axis=1, keepdims=True)
        above, below = above + np.zeros(x.shape[1]), below + np.zeros(x.shape[1])
        if len(x) < 3:
            continue
        mean = size * (x.sum(axis=0) / size.sum())
        above = above + ((x - mean) ** 2 - mean).sum(axis=0) * len(x) / (len(x) - 1)
        below = below + (mean**2).sum(axis=0)
    below = np.atleast_1d(np.asarray(below))
    above = np.atleast_1d(np.asarray(above))
    trend = max(float(above.sum() / below.sum()), LEAST) if below.sum() > 0 else 1.0
    return np.clip((above + CELLS_OF_TREND * trend) / (below + CELLS_OF_TREND), LEAST, MOST)


def rates_of(mean: np.ndarray, dispersion: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Counts a unit of library size (g,) at which log1p of counts per 10,000 has this mean (g,) over cells.

    sizes (n,): library sizes. By inverting a table of that mean over rates and overdispersions; 0 for a mean of 0.
    """
    some = np.quantile(sizes, (np.arange(SIZES) + 0.5) / SIZES)
    logs = np.linspace(np.log(1e-8), np.log(0.5), RATES)
    table = np.array([[_expected(np.exp(log), a, some) for log in logs] for a in LEVELS])
    found = np.array([np.interp(mean, row, logs) for row in table])  # (levels, g)
    place = np.interp(np.log(dispersion), np.log(LEVELS), np.arange(len(LEVELS)))
    low = np.minimum(place.astype(int), len(LEVELS) - 2)
    own = np.arange(len(mean))
    log = found[low, own] + (place - low) * (found[low + 1, own] - found[low, own])
    small = mean <= table.min(axis=1).max()  # below the table the mean is in proportion to the rate
    scale = table[0, 0] / np.exp(logs[0])
    return np.where(small, np.maximum(mean, 0.0) / scale, np.exp(log))


def _expected(rate: float, dispersion: float, sizes: np.ndarray) -> float:
    """Mean of log1p of counts per 10,000 over library sizes and quantiles of the counts."""
    mean = (rate * sizes)[:, None]
    none = stats.nbinom.pmf(0, 1 / dispersion, 1 / (1 + dispersion * mean))
    # quantiles of the counts that are not 0: of rare counts most quantiles would be 0
    q = none + (1 - none) * (np.arange(QUANTILES) + 0.5) / QUANTILES
    counts = np.maximum(stats.nbinom.ppf(q, 1 / dispersion, 1 / (1 + dispersion * mean)), 1.0)
    return float(((1 - none[:, 0]) * np.log1p(counts * PER / sizes[:, None]).mean(axis=1)).mean())
