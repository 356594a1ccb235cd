"""`BaseEnhancedLoader`: a collate function made of steps, fitted once on training cells, then pure.

A loader is a docstring and one line:

class HierarchicalTemporalLoader(BaseEnhancedLoader):
    '''Pathways and compartments, with times.'''

    steps = (Pathways, Compartments, Times)

A batch is a dict of tensors. b cells, n tokens (CLS first), t token_dim, k memberships of a gene:
src (b, n, t) float32; mask (b, n) bool, True = real; counts (b, n) float32 of 0 and more, normalised; gene_ids (b, n)
int64 into `loader.features`, -1 for CLS and padding; values, raw_counts (b, n) float32, total_counts (b,) float32 and
rows (b,) int64, for objectives; and the words of the loader's steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from virtualcell.cells import Cells, joined
from virtualcell.faults import refuse
from virtualcell.fitting import Features, base_steps, chosen, fit_steps
from virtualcell.loader_options import LoaderConfig, NormalizationOptions, WeightOptions, plain, split
from virtualcell.loader_stats import LoaderStats
from virtualcell.scaling import CLIP, CellScale, totals
from virtualcell.sources import CellSource, open_cells
from virtualcell.steps import GroupStep, Step, Tokens
from virtualcell.tallies import Tally
from virtualcell.vectors import Vectors, matched_vectors, name_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData

Batch = dict[str, Tensor]
SEEN = ("cells", "batches", "tokens", "values", "values_squared", "cells_missing_genes")
NETWORK = ("src", "mask", "counts", "dataset_nums")  # what every network reads


class BaseEnhancedLoader(LoaderStats):
    """Normalised cells: totals, genes by z-score, median and MAD or quantiles, batches, cell types.

    cfg: a mapping, a DictConfig or a LoaderConfig, taken once as plain values; every other setting is a keyword. A
    misspelt one is a DataError with the nearest right name.
    """

    steps: ClassVar[tuple[type[Step], ...]] = ()

    def __init__(self, cfg: Any = None, **words: Any) -> None:
        own = [step.Options for step in self.steps if step.Options is not None]
        weighs = [WeightOptions] if sum(issubclass(step, GroupStep) for step in self.steps) > 1 else []
        classes = (LoaderConfig, NormalizationOptions, *weighs, *own)
        values = plain(cfg) | {word: plain({word: value})[word] for word, value in words.items()}
        config, normalization, *rest = split(values, classes, type(self).__name__)
        self.config: LoaderConfig = config
        self.normalization: NormalizationOptions = normalization
        self.shared = bool(weighs) and rest.pop(0).adaptive_weighting
        self.options = dict(zip([step for step in self.steps if step.Options is not None], rest, strict=True))
        self.fitted: tuple[Step, ...] = ()
        self.features = Features((), (), None)
        self.vectors = np.zeros((0, 0), dtype=np.float32)
        self.datasets: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.tally = Tally(SEEN)
        self._places: tuple[Any, np.ndarray] | None = None

    def fit(
        self,
        source: CellSource | AnnData | Path | str,
        *,
        rows: Sequence[int] | np.ndarray | None = None,
        genes: Sequence[str] | None = None,
        vectors: Vectors | Path | str | None = None,
    ) -> BaseEnhancedLoader:
        """Fit every step on training cells; returns the loader itself.

        rows: of the training cells, all without. genes: that are tokens, else all of the file or those that vary most
        (`max_genes`). vectors: (t,) of genes by name, or an npz of them; without, they are made from the names.
        Raises DataError: unknown columns or genes, annotations that do not fit, rows that are not there.
        """
        source = source if isinstance(source, CellSource) else open_cells(source)
        cells = _drawn(source, rows, self.config.fit_cells, self.config.seed)
        features, notes = chosen(cells, self.config, genes)
        table = name_vectors(features.names, self.config.token_dim) if self.config.with_src else self.vectors
        if vectors is not None:
            given, has, said = matched_vectors(features.genes, vectors)
            genes_left = tuple(gene for gene, one in zip(features.genes, has, strict=True) if one)
            features = Features(genes_left, features.extra, features.modality)
            made = name_vectors(features.extra, given.shape[1]) if features.extra else given[:0]
            table, notes = np.concatenate([given[has], made]), (*notes, *said)
        kinds = [(kind, None) for kind in base_steps(self.config, self.normalization)]
        kinds += [(step, self.options.get(step)) for step in self.steps]
        fitted = fit_steps(kinds, cells, features, self.config, self.normalization, shared=self.shared)
        datasets = sorted(set(cells.labels(self.config.dataset_key))) if self.config.dataset_key else ()
        said = (*source.notes, f"fitted on {len(cells)} of {len(source)} cells", *notes)
        self.take(
            features, table, fitted, tuple(datasets), said + tuple(n for step in fitted for n in step.notes)
        )
        return self

    def take(
        self,
        features: Features,
        vectors: np.ndarray,
        fitted: tuple[Step, ...],
        datasets: tuple[str, ...],
        notes: tuple[str, ...],
    ) -> None:
        """Take what was fitted, here or elsewhere. vectors: (g, t) float32 of the features."""
        self.features, self.vectors, self.fitted = features, vectors, fitted
        self.datasets, self.notes = datasets, notes
        self.tally = Tally([*SEEN, *(f"{step.name}.{name}" for step in fitted for name in step.tallied)])
        self._places = None

    def __call__(self, cells: Cells | Sequence[Cells]) -> Batch:
        """A batch of cells; DataError before `fit`."""
        if not self.fitted and not self.features.genes:
            refuse(f"{type(self).__name__}: expected to be fitted first: loader.fit(cells)")
        cells = cells if isinstance(cells, Cells) else joined(cells)
        places = self._where(cells)
        raw = self.features.raw(cells, places)
        values = self.values(cells, raw)
        present = np.concatenate([places >= 0, np.ones(len(self.features.extra), dtype=bool)])
        tokens = self._tokens(raw, present)
        made = {"gene_ids": tokens.ids, "mask": tokens.mask, **self._amounts(tokens, values, raw)}
        made |= {"total_counts": totals(cells).astype(np.float32), "rows": cells.rows}
        for step in self.fitted:
            made |= step.context(tokens, cells)
        if self.config.dataset_key is not None:
            code = {name: i for i, name in enumerate(self.datasets)}
            labels = cells.labels(self.config.dataset_key)
            made["dataset_nums"] = np.array([code.get(label, -1) for label in labels], dtype=np.int64)
        self._count(cells, tokens, made["values"], missing=not present.all())
        batch = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in made.items()}
        return {"src": self._src(batch["gene_ids"]), **batch} if self.config.with_src else batch

    def values(self, cells: Cells, raw: np.ndarray | None = None) -> np.ndarray:
        """Normalised values (b, g) float32 of all features, what the steps make of these cells."""
        values = self.features.raw(cells, self._where(cells)) if raw is None else raw
        for step in self.fitted:
            values = step.scale(values, cells)
        return values

    @property
    def reads(self) -> tuple[str, ...]:
        """The words of a batch that this loader's model reads."""
        own = (word for step in self.steps for word in step.reads)
        return tuple(dict.fromkeys((*NETWORK, *own)))

    def inputs(self, batch: Batch, reads: Sequence[str] = ()) -> Batch:
        """The words of a batch that go into a model; reads: those that its parts understand, else this loader's."""
        wanted = (*NETWORK, *reads) if reads else self.reads
        return {word: batch[word] for word in wanted if word in batch}

    def _where(self, cells: Cells) -> np.ndarray:
        if self._places is None or self._places[0] is not cells.about:
            self._places = cells.about, self.features.places(cells.about)
        return self._places[1]

    def _tokens(self, raw: np.ndarray, present: np.ndarray) -> Tokens:
        """Which feature is where: all of them, or the expressed ones of each cell in the order of the features."""
        b, g = raw.shape
        if self.config.tokens == "all":
            ids, mask = np.broadcast_to(np.arange(g), (b, g)), np.broadcast_to(present, (b, g))
        else:
            most = self.config.max_genes
            order = np.argsort(-raw, axis=1, kind="stable")[:, :most]
            there = np.take_along_axis(raw, order, axis=1) > 0
            order = np.sort(np.where(there, order, g), axis=1)[:, : max(int(there.sum(axis=1).max()), 1)]
            ids, mask = order, order < g
        first = np.full((b, 1), -1)
        ids = np.concatenate([first, np.where(mask, ids, -1)], axis=1).astype(np.int64)
        return Tokens(ids, np.concatenate([np.ones((b, 1), dtype=bool), mask], axis=1))

    def _amounts(self, tokens: Tokens, values: np.ndarray, raw: np.ndarray) -> dict[str, np.ndarray]:
        """Values at the tokens; `counts` are the same moved to 0 and above where they may be negative."""
        at = np.maximum(tokens.ids, 0)
        real = tokens.ids >= 0
        found = np.where(real, np.take_along_axis(values, at, axis=1), 0).astype(np.float32)
        stored = np.where(real, np.take_along_axis(raw, at, axis=1), 0).astype(np.float32)
        plain_counts = all(isinstance(step, CellScale) or not step.scales for step in self.fitted)
        moved = (
            found
            if plain_counts
            else np.where(real, np.clip(found, -CLIP, CLIP) + CLIP, 0).astype(np.float32)
        )
        return {"counts": moved, "values": found, "raw_counts": stored}

    def _src(self, ids: Tensor) -> Tensor:
        """Vectors of the tokens; the CLS slot has all its elements equal and length 1, padding is 0."""
        src = torch.from_numpy(self.vectors)[ids.clamp_min(0)]
        src[ids < 0] = 0.0
        src[:, 0] = self.vectors.shape[1] ** -0.5
        return src

    def _count(self, cells: Cells, tokens: Tokens, values: np.ndarray, *, missing: bool) -> None:
        x = values[tokens.ids >= 0].astype(np.float64)
        own = (number for step in self.fitted for number in step.tally(cells))
        sums = (len(cells), 1, x.size, x.sum(), (x**2).sum(), len(cells) if missing else 0)
        self.tally.add((*map(float, sums), *own))


def _drawn(source: CellSource, rows: Any, most: int, seed: int) -> Cells:
    """The cells that are fitted on, in the order of the file."""
    if rows is None:
        return source.sample(most, seed=seed)
    picked = np.asarray(rows)
    if picked.ndim != 1 or picked.dtype.kind not in "iu":  # a mask of cells would be read as the rows 0 and 1
        refuse(f"rows: expected whole numbers (n,), the places of cells, got {picked.dtype} {picked.shape}")
    if len(picked) > most:
        picked = np.random.default_rng(seed).permutation(picked)[:most]
    return source.__getitems__(np.sort(picked))
