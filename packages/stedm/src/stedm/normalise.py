"""Four views of the same expression, each z-scored within its section: what differs between sections is taken out.

Letters: n cells of a section, g chosen genes. Sources: Pearson residuals, Lause, Berens and Kobak 2021, equation 3
with theta = 100; the square root of proportions stabilises the variance of counts (Anscombe 1948).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from stedm.tissue import Kind, Section

VIEWS: dict[Kind, tuple[str, ...]] = {
    "counts": ("root", "pearson", "log", "rank"),
    "values": ("root", "plain", "rank"),
}
CLIP = 10.0
THETA = 100.0
PER = 1e4  # log1p of counts per ten thousand


def views(
    section: Section, kind: Kind, columns: np.ndarray, names: tuple[str, ...] | None = None
) -> dict[str, np.ndarray]:
    """Each view of the chosen genes, (n, g) float32, z-scored within the section and clipped to +-10.

    columns: of `section.counts`. names: only these views. A gene without variance is 0 everywhere. Cells without any
    count are average cells.
    """
    chosen = np.asarray(section.counts[:, columns].todense(), dtype=np.float64)
    total = np.asarray(section.counts.sum(axis=1), dtype=np.float64).ravel()
    wanted = VIEWS[kind] if names is None else names
    return {name: z_scored(_raw(name, chosen, total, kind)) for name in wanted}


def _raw(name: str, chosen: np.ndarray, total: np.ndarray, kind: Kind) -> np.ndarray:
    """One view of (n, g), not yet z-scored; total: (n,) over all genes."""
    if name == "pearson":
        return _pearson(chosen, total)
    share = chosen if kind == "values" else chosen / np.maximum(total, 1.0)[:, None]
    if name == "root":
        return np.sqrt(share)
    if name == "log":
        return np.log1p(PER * share)
    return _ranks(share) if name == "rank" else share


def z_scored(x: np.ndarray) -> np.ndarray:
    """Columns of (n, g) centred and of unit variance, clipped to +-10, float32; without variance, 0."""
    sd = x.std(axis=0)
    flat = sd <= 1e-12 * np.maximum(np.abs(x).max(axis=0, initial=0.0), 1e-300)
    z = (x - x.mean(axis=0)) / np.where(flat, 1.0, sd)
    return np.clip(np.where(flat, 0.0, z), -CLIP, CLIP).astype(np.float32)


def depth(section: Section) -> np.ndarray:
    """log1p of the total of each cell, z-scored within the section, (n,)."""
    total = np.asarray(section.counts.sum(axis=1), dtype=np.float64)
    return z_scored(np.log1p(total))[:, 0].astype(np.float64)


def _pearson(counts: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Residuals of a negative binomial without cell effects but depth, clipped to +-sqrt(n)."""
    whole = max(float(total.sum()), 1.0)
    mu = total[:, None] * counts.sum(axis=0)[None, :] / whole
    residual = (counts - mu) / np.sqrt(np.maximum(mu + mu**2 / THETA, 1e-12))
    return np.clip(residual, -np.sqrt(len(counts)), np.sqrt(len(counts)))


def _ranks(x: np.ndarray) -> np.ndarray:
    """Ranks of each gene among the cells, ties shared, as part of n."""
    return pd.DataFrame(x).rank().to_numpy() / max(len(x), 1)
