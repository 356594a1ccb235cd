"""Cells around a predicted mean: real untouched cells, moved gene by gene to where the perturbation takes them.

A count is at some quantile of what its gene does in untouched cells of its library size; the moved count is at the same
quantile of the negative binomial that has the predicted mean. So each cell keeps its size, and genes that were high
together stay so; zeros stay zeros where nothing happens to a gene. Quantiles of equal counts are drawn at random (a
randomised quantile residual: Dunn & Smyth 1996). Letters: n cells, g genes.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse, stats

from virtualcell.counting import rates_of

BLOCK = 256  # cells at a time


def moved(
    counts: sparse.csr_matrix,
    before: np.ndarray,
    after: np.ndarray,
    dispersion: np.ndarray,
    *,
    generator: np.random.Generator,
) -> sparse.csr_matrix:
    """Whole counts (n, g) of untouched cells as the perturbation leaves them.

    counts (n, g): whole, of untouched cells; before, after (g,): their mean log expression and the predicted one;
    dispersion (g,): overdispersion. Genes whose mean stays as it is keep their counts.
    """
    sizes = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    changed = np.flatnonzero(np.abs(after - before) > 1e-9)
    if len(changed) == 0:
        return counts.astype(np.float32)
    a = dispersion[changed]
    old, new = (rates_of(mean[changed], a, sizes) for mean in (before, after))
    blocks = []
    for start in range(0, len(sizes), BLOCK):
        x = np.asarray(counts[start : start + BLOCK].toarray(), dtype=np.float64)
        size = sizes[start : start + BLOCK, None]
        x[:, changed] = _moved(x[:, changed], size * old, size * new, a, generator)
        blocks.append(sparse.csr_matrix(x, dtype=np.float32))
    return sparse.csr_matrix(sparse.vstack(blocks, format="csr"))


def _moved(
    x: np.ndarray, old: np.ndarray, new: np.ndarray, dispersion: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Counts (n, c) at the same quantile of another mean (n, c)."""
    r = np.broadcast_to(1 / dispersion, x.shape)
    p_old, p_new = (1 / (1 + dispersion * np.maximum(mean, 1e-12)) for mean in (old, new))
    some = x > 0  # most counts are 0, whose odds need no table of the distribution
    low, high = np.zeros(x.shape), p_old**r
    low[some] = stats.nbinom.cdf(x[some] - 1, r[some], p_old[some])
    high[some] = stats.nbinom.cdf(x[some], r[some], p_old[some])
    quantile = np.minimum(low + generator.random(x.shape) * (high - low), 1 - 1e-9)
    made = np.zeros(x.shape)
    some = quantile > p_new**r
    made[some] = stats.nbinom.ppf(quantile[some], r[some], p_new[some])
    return made


def lifted(
    values: np.ndarray, rows: np.ndarray, after: np.ndarray, *, generator: np.random.Generator
) -> np.ndarray:
    """Log values (r, g) of untouched cells as the perturbation leaves them, where counts are not known.

    values (n, g): of all untouched cells; rows (r,): which of them are moved; after (g,): the predicted mean. A gene
    that rises is turned on in so many more cells as express a gene of that mean among the untouched ones; what is
    expressed is then shifted to the mean, never below 0.
    """
    before, there = values.mean(axis=0), (values > 0).mean(axis=0)
    order = np.argsort(before, kind="stable")
    usual = np.interp(after, before[order], np.maximum.accumulate(there[order]))
    more = np.where(after > before, np.maximum(usual - there, 0.0), 0.0)
    made = values[rows]
    on = (made <= 0) & (generator.random(made.shape) < more / np.maximum(1 - there, 1e-9))
    level = after / np.maximum(there + more, 1e-9)  # of a cell that expresses the gene
    spread = np.where(made > 0, made - before / np.maximum(there, 1e-9), 0.0).std(axis=0)
    drawn = level + spread * generator.standard_normal(made.shape)
    made = np.where(on, np.maximum(drawn, 0.1 * level), made)
    expressed = made > 0
    lift = (after - made.mean(axis=0)) / np.maximum(expressed.mean(axis=0), 1 / len(made))
    return np.maximum(made + expressed * lift, 0.0)
