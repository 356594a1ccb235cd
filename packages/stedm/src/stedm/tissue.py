"""A tissue as the rest of the package holds it: sections of cells with counts, places where known.

Pure data, no files: reading and writing is in `h5ad`. Letters: n cells of a section, g genes, d dimensions (2 or 3).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["counts", "values"]
FEWEST = 3  # cells of a section that can teach anything about geometry


class DataError(ValueError):
    """A fault in the user's data, in one line: file, key, cell or gene, value, what is allowed."""


@dataclass(frozen=True)
class Section:
    """One piece of tissue.

    counts: (n, g) csr float32, whole counts or normalised values as `Tissue.kind` says.
    cells: (n,) names. coordinates: (n, d) in the user's unit, or None where they are not known.
    """

    label: str
    counts: sparse.csr_matrix
    cells: np.ndarray
    coordinates: np.ndarray | None = None

    def __len__(self) -> int:
        return int(self.counts.shape[0])

    def take(self, rows: np.ndarray) -> Section:
        """The cells of these rows (k,), in this order."""
        at = None if self.coordinates is None else self.coordinates[rows]
        return replace(self, counts=self.counts[rows], cells=self.cells[rows], coordinates=at)

    def without_coordinates(self) -> Section:
        """The same cells, their places forgotten."""
        return replace(self, coordinates=None)


@dataclass(frozen=True)
class Tissue:
    """Sections that share their genes, (g,) names in the order of the columns, and the kind of their input.

    name: of the file, for errors. notes: what reading it noted.
    """

    sections: tuple[Section, ...]
    genes: np.ndarray
    kind: Kind
    name: str = "data"
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return sum(len(section) for section in self.sections)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the sections."""
        return tuple(section.label for section in self.sections)

    def only(self, labels: Sequence[str]) -> Tissue:
        """These sections. DataError for a label that is not there."""
        for label in labels:
            if label not in self.labels:
                msg = f"{self.name}: obs['section']: expected one of {', '.join(self.labels)}, got {label!r}"
                raise DataError(msg)
        return replace(self, sections=tuple(s for s in self.sections if s.label in labels))

    def without(self, labels: Sequence[str]) -> Tissue:
        """All sections but these. DataError for a label that is not there."""
        return self.only([label for label in self.labels if label not in self.only(labels).labels])

    def with_genes(self, genes: np.ndarray) -> Tissue:
        """The columns of these genes (g,), in this order; raises KeyError for one that is not there."""
        if np.array_equal(genes, self.genes):
            return self  # no second copy of the counts
        place = {str(gene): i for i, gene in enumerate(self.genes)}
        columns = np.array([place[str(gene)] for gene in genes], dtype=int)
        sections = tuple(replace(s, counts=s.counts[:, columns]) for s in self.sections)
        return replace(self, sections=sections, genes=np.asarray(genes))

    def spread_to(self, genes: np.ndarray) -> Tissue:
        """The columns of all these genes (g,), in this order; those that are not there are 0.

        Raises KeyError for a gene of the tissue that is not among them.
        """
        if np.array_equal(genes, self.genes):
            return self  # no second copy of the counts
        place = {str(gene): i for i, gene in enumerate(genes)}
        columns = np.array([place[str(gene)] for gene in self.genes], dtype=int)
        ones = (np.ones(len(columns), np.float32), (np.arange(len(columns)), columns))
        spread = sparse.csr_matrix(ones, shape=(len(columns), len(genes)))
        sections = tuple(replace(s, counts=sparse.csr_matrix(s.counts @ spread)) for s in self.sections)
        return replace(self, sections=sections, genes=np.asarray(genes))


def shuffled(section: Section, rng: np.random.Generator) -> tuple[Section, np.ndarray]:
    """The cells in random order, and the order (n,) that undoes it: `made[back]` is as given.

    The row order of a section often follows the array: whatever breaks ties by row would read the place from it.
    """
    order = rng.permutation(len(section))
    return section.take(order), np.argsort(order)


def typical_count(section: Section) -> float:
    """The median over cells of the sum of their counts; 0 without cells."""
    total = np.asarray(section.counts.sum(axis=1)).ravel()
    return float(np.median(total)) if len(total) else 0.0


def thinned(section: Section, share: float, rng: np.random.Generator) -> Section:
    """A section of whole counts, each of which stays with probability `share`: as a shallower technology sees it."""
    counts = section.counts.copy()
    counts.data = rng.binomial(counts.data.astype(np.int64), share).astype(np.float32)
    counts.eliminate_zeros()
    return replace(section, counts=counts)


def in_own_order(section: Section) -> tuple[Section, np.ndarray]:
    """The cells in an order that only their expression decides, and the order (n,) that undoes it.

    Whatever order they came in, the same cells are computed in the same one. Cells of equal counts stay as they came.
    """
    key = np.random.default_rng(0).normal(size=section.counts.shape[1])
    order = np.argsort(np.asarray(section.counts @ key).ravel(), kind="stable")
    return section.take(order), np.argsort(order)


def shared_genes(reference: Tissue, query: Tissue) -> tuple[Tissue, Tissue, str]:
    """Both with the genes they share, in the reference's order, and a note of what was dropped.

    Names are compared as they are, then without an Ensembl version and without case where that finds more.
    DataError where fewer than ten genes, or less than a tenth of the smaller list, are shared.
    """
    plain = set(map(str, query.genes))
    genes = np.array([g for g in map(str, reference.genes) if g in plain])
    looser = _loosely(reference.genes, query.genes)
    how = ""
    if len(looser) > len(genes):
        query = replace(query, genes=np.array([looser.get(str(g), str(g)) for g in query.genes]))
        found = set(looser.values())
        genes, how = (
            np.array([g for g in map(str, reference.genes) if g in found]),
            " (case and version aside)",
        )
    smaller = min(len(reference.genes), len(query.genes))
    if len(genes) < min(10, smaller) or len(genes) < 0.1 * smaller:
        msg = (
            f"{query.name}: shares {len(genes)} of {len(query.genes)} genes with the reference's "
            f"{len(reference.genes)} (here {str(query.genes[0])!r}, there "
            f"{str(reference.genes[0])!r}): expected the same naming of genes, symbols or Ensembl ids"
        )
        raise DataError(msg)
    note = (
        f"{len(genes)} genes shared{how}: {len(reference.genes) - len(genes)} only in {reference.name}, "
        f"{len(query.genes) - len(genes)} only in {query.name}"
    )
    return reference.with_genes(genes), query.with_genes(genes), note


def _loosely(reference: np.ndarray, query: np.ndarray) -> dict[str, str]:
    """The query's gene names -> the reference's, compared by `_loose`; names that become ambiguous are left out."""
    theirs, ours = ([_loose(str(g)) for g in genes] for genes in (query, reference))
    once = _once(ours)
    home = {k: str(g) for k, g in zip(ours, reference, strict=True) if k in once}
    single = _once(theirs)
    return {str(g): home[k] for k, g in zip(theirs, query, strict=True) if k in home and k in single}


def _once(names: list[str]) -> set[str]:
    """The names that stand there exactly once."""
    found, counts = np.unique(np.array(names, dtype=str), return_counts=True)
    return set(found[counts == 1].tolist())


def _loose(gene: str) -> str:
    """A gene name without case and, if it is an Ensembl id, without version."""
    name = gene.upper()
    return name.partition(".")[0] if name.startswith("ENS") else name


def check_teaches(tissue: Tissue, dim: int) -> Tissue:
    """The sections one can learn from: with coordinates, three cells or more, not all at one place.

    Sections of one or two cells are left out and noted. DataError where coordinates are missing or nothing is left.
    """
    kept, notes = [], []
    for section in tissue.sections:
        if section.coordinates is None or section.coordinates.shape[1] != dim:
            found = "none" if section.coordinates is None else f"{section.coordinates.shape[1]} dimensions"
            msg = f"{tissue.name}: section {section.label}: expected coordinates in {dim} dimensions, got {found}"
            raise DataError(msg)
        if len(section) < FEWEST:
            notes.append(f"section {section.label} has {len(section)} cells: too few to learn from, left out")
            continue
        if _one_place(section.coordinates):
            msg = (
                f"{tissue.name}: section {section.label}: expected cells at different places, "
                f"got {len(section)} cells at {section.coordinates[0].tolist()}"
            )
            raise DataError(msg)
        kept.append(section)
    if not kept:
        msg = (
            f"{tissue.name}: expected a section of at least {FEWEST} cells, got {'; '.join(notes) or 'none'}"
        )
        raise DataError(msg)
    return replace(tissue, sections=tuple(kept), notes=tissue.notes + tuple(notes))


def _one_place(coordinates: np.ndarray) -> bool:
    """Whether points (n, d) are all at one place, as far as their digits tell, or too near to be squared."""
    return bool(np.ptp(coordinates, axis=0).max() <= max(1e-12 * np.abs(coordinates).max(), 1e-100))


def place_of(section: Section) -> np.ndarray:
    """The coordinates (n, d) of a section. DataError where it has none."""
    if section.coordinates is None:
        msg = f"section {section.label}: expected coordinates, got none"
        raise DataError(msg)
    return section.coordinates


def rms_radius(coordinates: np.ndarray) -> float:
    """Root mean square distance of points (n, d) from their centre; 0 for one place."""
    centred = coordinates - coordinates.mean(axis=0)
    return float(np.sqrt((centred**2).sum(axis=1).mean()))
