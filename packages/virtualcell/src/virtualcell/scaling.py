"""Steps that normalise expression: totals of cells, genes by moments, medians or quantiles, batches and cell types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.special import ndtri

from virtualcell.choosing import choose
from virtualcell.steps import Seen, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtualcell.cells import Cells

CLIP = 10.0  # standard deviations beyond which a value tells nothing more
QUANTILES = 101
FEWEST = 3  # cells of a batch whose spread is believed
MAD = 1.4826  # makes the median absolute deviation of a normal its standard deviation
_MEAN_DEVIATION = 1.2533  # likewise the mean absolute deviation


class CellScale(Step):
    """Counts of each cell brought to one total, then log1p; log values stay as they are.

    As scanpy's normalize_total and log1p: the total is that of all genes in the file.
    """

    name: ClassVar[str] = "cell"
    tallied: ClassVar[tuple[str, ...]] = ("total_counts", "already_log")

    @classmethod
    def fit(cls, seen: Seen, options: Any) -> CellScale:
        """Remember the total."""
        del options
        words = {"target_sum": seen.config.target_sum, "n_genes": seen.n_genes}
        return cls({}, words)

    def scale(self, values: np.ndarray, cells: Cells) -> np.ndarray:
        """(b, g) with genes as log1p of counts per total; features of a second modality stay."""
        if cells.about.kind == "log":
            return values
        g, made = self.words["n_genes"], values.copy()
        made[:, :g] = np.log1p(
            values[:, :g] * (self.words["target_sum"] / totals(cells))[:, None].astype(np.float32)
        )
        return made

    def tally(self, cells: Cells) -> Sequence[float]:
        """The counts, and the cells that were logarithms already."""
        is_log = cells.about.kind == "log"
        return (0.0 if is_log else float(totals(cells).sum()), float(len(cells)) if is_log else 0.0)


def totals(cells: Cells) -> np.ndarray:
    """The sum of all genes of each cell, (b,) float64."""
    return np.asarray(cells.counts.sum(axis=1), dtype=np.float64).ravel()


class ModalityScale(Step):
    """A second modality as centred log ratios within each cell (Stoeckius 2017), beside the genes."""

    name: ClassVar[str] = "modality"

    @classmethod
    def fit(cls, seen: Seen, options: Any) -> ModalityScale:
        """Remember where its features begin."""
        del options
        extra = len(seen.features) - seen.n_genes
        note = f"{seen.config.modality_key}: {extra} features of a second modality are tokens too (centred log ratios)"
        return cls({}, {"n_genes": seen.n_genes}, (note,) if extra else ())

    def scale(self, values: np.ndarray, cells: Cells) -> np.ndarray:
        """(b, g) with the last features as log1p minus their mean in the cell."""
        del cells
        g = self.words["n_genes"]
        if g == values.shape[1]:
            return values
        made = values.copy()
        logs = np.log1p(np.maximum(values[:, g:], 0.0))
        made[:, g:] = logs - logs.mean(axis=1, keepdims=True)
        return made


class GeneScale(Step):
    """Genes by z-score, by median and MAD, or by their quantiles among the training cells."""

    name: ClassVar[str] = "gene"

    @classmethod
    def fit(cls, seen: Seen, options: Any) -> GeneScale:
        """Statistics of each gene over the cells seen."""
        del options
        kind, notes = seen.normalization.gene_scale, ()
        if kind == "adaptive":
            kind, why = choose(seen.values)
            notes = (f"genes: {kind} was chosen: {why}",)
        x = seen.values.astype(np.float64)
        if kind == "quantile":
            cuts = np.quantile(x, np.linspace(0, 1, QUANTILES), axis=0).astype(np.float32)
            return cls({"cuts": np.ascontiguousarray(cuts.T)}, {"kind": kind}, notes)
        centre, spread = _moments(x) if kind == "z_score" else _medians(x)
        constant = spread <= 1e-12 * np.maximum(np.abs(centre), 1e-300)
        if constant.any():
            notes = (
                *notes,
                f"genes: {int(constant.sum())} of {len(constant)} do not vary over the training cells",
            )
        arrays = {"centre": centre, "spread": np.where(constant, 1.0, spread)}
        return cls({name: array.astype(np.float32) for name, array in arrays.items()}, {"kind": kind}, notes)

    def scale(self, values: np.ndarray, cells: Cells) -> np.ndarray:
        """(b, g) in standard deviations, clipped to +-10."""
        del cells
        if self.words["kind"] == "quantile":
            return _normal_scores(values, self.arrays["cuts"])
        made = (values - self.arrays["centre"]) / self.arrays["spread"]
        return np.clip(made, -CLIP, CLIP)


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(axis=0), x.std(axis=0)


def _medians(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and MAD; where the MAD is 0 (most cells have none of a gene), the mean absolute deviation."""
    middle = np.median(x, axis=0)
    away = np.abs(x - middle)
    mad = MAD * np.median(away, axis=0)
    return middle, np.where(mad > 0, mad, _MEAN_DEVIATION * away.mean(axis=0))


def _normal_scores(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Where each value stands among the training cells, as a normal quantile; tied values stand in their middle."""
    at = np.linspace(0, 1, cuts.shape[1])
    made = np.empty_like(values)
    for gene, known in enumerate(cuts):
        column = values[:, gene]
        below = np.interp(column, known, at)
        # interp gives the upper end of a tie; mirrored, it gives the lower end
        above = 1.0 - np.interp(-column, -known[::-1], at)
        made[:, gene] = ndtri(np.clip((below + above) / 2, 1e-7, 1 - 1e-7))
    return made


class LabelScale(Step):
    """Genes of each label (a batch, a cell type) brought to the mean and spread of all cells.

    A label with fewer than three cells changes means alone; cells of a label that was not seen stay as they are.
    """

    column: ClassVar[str] = ""
    tallied: ClassVar[tuple[str, ...]] = ("unseen",)

    @classmethod
    def fit(cls, seen: Seen, options: Any) -> LabelScale:
        """Mean and spread of each label and of all."""
        del options
        key = getattr(seen.config, cls.column)
        labels = seen.cells.labels(key)
        known = sorted(set(labels.tolist()))
        x = seen.values.astype(np.float64)
        overall, spread = _moments(x)
        shift, factor = np.zeros((len(known), x.shape[1])), np.ones((len(known), x.shape[1]))
        few = 0
        for i, label in enumerate(known):
            mine = x[labels == label]
            mean, sd = _moments(mine)
            usable = (sd > 1e-9) & (spread > 1e-9) & (len(mine) >= FEWEST)
            few += len(mine) < FEWEST
            factor[i] = np.where(usable, spread / np.where(usable, sd, 1.0), 1.0)
            shift[i] = overall - mean * factor[i]
        notes = (
            (f"{key}: {few} of {len(known)} labels have fewer than {FEWEST} cells: means alone",)
            if few
            else ()
        )
        arrays = {"shift": shift.astype(np.float32), "factor": factor.astype(np.float32)}
        return cls(arrays, {"key": key, "labels": known}, notes)

    def _codes(self, cells: Cells) -> np.ndarray:
        place = {label: i for i, label in enumerate(self.words["labels"])}
        return np.array([place.get(label, -1) for label in cells.labels(self.words["key"])], dtype=np.int64)

    def scale(self, values: np.ndarray, cells: Cells) -> np.ndarray:
        """(b, g) with each label's mean and spread those of all."""
        codes = self._codes(cells)
        made = values * self.arrays["factor"][codes] + self.arrays["shift"][codes]
        return np.where((codes >= 0)[:, None], made, values)

    def tally(self, cells: Cells) -> Sequence[float]:
        """Cells of a label that was not seen."""
        return (float((self._codes(cells) < 0).sum()),)


class BatchScale(LabelScale):
    """Batches brought together."""

    name: ClassVar[str] = "batch"
    column: ClassVar[str] = "batch_key"


class CellTypeScale(LabelScale):
    """Cells normalised within their type."""

    name: ClassVar[str] = "cell_type"
    column: ClassVar[str] = "cell_type_key"
