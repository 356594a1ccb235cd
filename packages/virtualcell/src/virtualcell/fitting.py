"""The steps of a loader, fitted one after the other on the same training cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from virtualcell.faults import few, refuse
from virtualcell.genes import match_genes
from virtualcell.scaling import BatchScale, CellScale, CellTypeScale, GeneScale, ModalityScale
from virtualcell.steps import GroupStep, Seen, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtualcell.cells import About, Cells
    from virtualcell.loader_options import LoaderConfig, NormalizationOptions


@dataclass(frozen=True, eq=False)
class Features:
    """What tokens can be: genes by name, then features of a second modality, `key:name`."""

    genes: tuple[str, ...]
    extra: tuple[str, ...]  # of the second modality
    modality: str | None  # its key in obsm

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.genes + self.extra

    def places(self, about: About) -> np.ndarray:
        """Where each gene is among those of a source, (g,) int64, -1 for none."""
        if tuple(about.genes.tolist()) == self.genes:
            return np.arange(len(self.genes))
        return match_genes(self.genes, about.genes.tolist(), about.others, what=about.name).index

    def raw(self, cells: Cells, places: np.ndarray) -> np.ndarray:
        """Values as they are stored (b, g) float32; 0 for genes that the source does not have.

        places: (g,), as `places` has them. Raises DataError for a second modality of another width than in fitting.
        """
        dense = np.asarray(cells.counts.toarray(), dtype=np.float32)
        same = len(places) == dense.shape[1] and (places == np.arange(len(places))).all()
        made = dense if same else np.where(places >= 0, dense[:, places], np.float32(0))
        if self.modality is None:
            return made
        beside = cells.array(self.modality)
        if beside.shape[1] != len(self.extra):
            refuse(f"obsm[{self.modality!r}]: expected {len(self.extra)} columns, got {beside.shape[1]}")
        return np.concatenate([made, beside], axis=1)


def chosen(
    cells: Cells, config: LoaderConfig, genes: Sequence[str] | None
) -> tuple[Features, tuple[str, ...]]:
    """The features: the genes asked for, or the most variable of those in the file where they are too many; and notes.

    Raises DataError where none of the genes asked for is there.
    """
    about, notes = cells.about, []
    names = about.genes.tolist()
    if genes is not None:
        match = match_genes(list(genes), names, about.others, what=about.name)
        notes += match.notes
        names = [gene for gene, found in zip(genes, match.found, strict=True) if found]
    elif config.tokens == "all" and len(names) > config.max_genes:
        scaled = cells.counts
        if about.kind != "log":
            total = np.asarray(scaled.sum(axis=1)).ravel()
            scaled = scaled.multiply(config.target_sum / total[:, None]).tocsr()
            scaled.data = np.log1p(scaled.data)
        mean = np.asarray(scaled.mean(axis=0)).ravel()
        variance = np.asarray(scaled.multiply(scaled).mean(axis=0)).ravel() - mean**2
        keep = np.sort(np.argsort(-variance, kind="stable")[: config.max_genes])
        names = [names[i] for i in keep]
        notes.append(f"{len(keep)} of {len(about.genes)} genes are tokens: those that vary most (max_genes)")
    extra: tuple[str, ...] = ()
    if config.modality_key is not None:
        width = about.array(config.modality_key).shape[1]
        columns = getattr(about.obsm[config.modality_key], "columns", range(width))
        extra = tuple(f"{config.modality_key}:{column}" for column in columns)
    if not names:
        refuse(f"{about.name}: expected at least one gene, none of {few(genes or ())} is there")
    return Features(tuple(names), extra, config.modality_key), tuple(notes)


def base_steps(config: LoaderConfig, normalization: NormalizationOptions) -> list[type[Step]]:
    """The steps that every loader has, as far as its settings ask for them."""
    found: list[type[Step]] = []
    if normalization.per_cell_normalization:
        found.append(CellScale)
    if config.modality_key is not None:
        found.append(ModalityScale)
    if normalization.batch_aware_normalization and config.batch_key is not None:
        found.append(BatchScale)
    if normalization.biological_normalization and config.cell_type_key is not None:
        found.append(CellTypeScale)
    if normalization.gene_scale != "none":
        found.append(GeneScale)
    return found


def fit_steps(
    kinds: Sequence[tuple[type[Step], Any]],
    cells: Cells,
    features: Features,
    config: LoaderConfig,
    normalization: NormalizationOptions,
    *,
    shared: bool,
) -> tuple[Step, ...]:
    """Each step fitted on what the steps before it have made of the cells.

    shared: steps of gene groups are fitted side by side, and share a gene's change between them.
    """
    raw = features.raw(cells, features.places(cells.about))
    values, made = raw, []
    groups = [pair for pair in kinds if issubclass(pair[0], GroupStep)]
    rest = [pair for pair in kinds if pair not in groups]
    first = [pair for pair in rest if pair[1] is None]
    later = [pair for pair in rest if pair[1] is not None]
    beside = [groups] if shared else [[pair] for pair in groups]
    for stretch in (*([pair] for pair in first), *beside, *([pair] for pair in later)):
        values = _add(made, stretch, values, raw, cells, features, config, normalization)
    return tuple(made)


def _add(
    made: list[Step],
    kinds: Sequence[tuple[type[Step], Any]],
    values: np.ndarray,
    raw: np.ndarray,
    cells: Cells,
    features: Features,
    config: LoaderConfig,
    normalization: NormalizationOptions,
) -> np.ndarray:
    """Fit steps side by side on the same values, and scale these by all of them."""
    seen = Seen(values, raw, cells, features.names, len(features.genes), config, normalization)
    steps = _sharing([kind.fit(seen, options) for kind, options in kinds])
    made += steps
    for step in steps:
        values = step.scale(values, cells)
    return values


def _sharing(steps: list[Step]) -> list[Step]:
    """Steps whose factors of a gene multiply to their geometric mean."""
    factors = [
        step.arrays["factor"] for step in steps if isinstance(step, GroupStep) and "factor" in step.arrays
    ]
    if len(factors) < 2:
        return steps
    changing = np.maximum(sum((factor != 1).astype(int) for factor in factors), 1)
    return [
        replace(
            step, arrays={**step.arrays, "factor": step.arrays["factor"] ** (1 / changing).astype(np.float32)}
        )
        if isinstance(step, GroupStep) and "factor" in step.arrays
        else step
        for step in steps
    ]
