"""Populations of cells, one a context and perturbation: means, variances and detection rates of log expression.

Letters: m populations, g genes. Read in blocks: only (m, g) arrays are held, however many cells there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from virtualcell.faults import few, nearest, nearest_first, refuse
from virtualcell.names import CONDITION_KEYS, CONTROL, PERTURBATION
from virtualcell.sources import CellSource, open_cells
from virtualcell.writing import PER, log_per

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from anndata import AnnData

    from virtualcell.cells import About, Cells

JOINT = "+"  # between perturbations that were done at once
EVERYWHERE = "all"  # the one context, where none is told apart
BLOCK = 1024  # cells that are read at once


@dataclass(frozen=True, eq=False)
class Populations:
    """Each row is the cells of one context and perturbation, in the order of their names, controls first.

    genes (g,) text; contexts, perturbations (m,) text; mean, variance, detected (m, g) float64 of log1p of counts per
    10,000: the mean, the unbiased variance (0 for one cell), the share of cells with any count; cells (m,) int64.
    control: the word of untouched cells. Combinations are `A+B`, their names in order, without the control's word.
    """

    genes: np.ndarray
    contexts: np.ndarray
    perturbations: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    detected: np.ndarray
    cells: np.ndarray
    control: str = CONTROL

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def context_names(self) -> tuple[str, ...]:
        """All contexts, once each."""
        return tuple(dict.fromkeys(self.contexts.tolist()))

    @property
    def perturbation_names(self) -> tuple[str, ...]:
        """All perturbations but the control, once each, in order."""
        return tuple(sorted(set(self.perturbations.tolist()) - {self.control}))

    def has(self, context: str, perturbation: str) -> bool:
        """Whether there are such cells."""
        return (context, canonical(perturbation, control=self.control)) in self._row

    def where(self, context: str, perturbation: str) -> int:
        """The row of a context and perturbation. DataError where there are no such cells."""
        row = self._row.get((context, canonical(perturbation, control=self.control)))
        if row is None:
            known = self.context_names
            if context not in known:
                refuse(f"context {context!r}: {nearest(context, known)}")
            there = self.perturbations[self.contexts == context].tolist()
            refuse(f"{context}: perturbation {perturbation!r}: {nearest(perturbation, there)}")
        return row

    def control_of(self, context: str) -> np.ndarray:
        """The mean of a context's control cells (g,). DataError where there are none."""
        return self.mean[self.where(context, self.control)]

    def delta(self, context: str, perturbation: str) -> np.ndarray:
        """The mean of a population minus that of its context's control cells (g,)."""
        return self.mean[self.where(context, perturbation)] - self.control_of(context)

    def done_in(self, context: str) -> tuple[str, ...]:
        """Perturbations of a context that has control cells too, in order."""
        if not self.has(context, self.control):
            return ()
        return tuple(sorted(set(self.perturbations[self.contexts == context].tolist()) - {self.control}))

    def seen_in(self, perturbation: str) -> tuple[str, ...]:
        """Contexts that have cells of a perturbation and control cells."""
        return tuple(c for c in self.context_names if self.has(c, perturbation) and self.has(c, self.control))

    def standard_error(self, row: int) -> np.ndarray:
        """Of the mean of a population (g,)."""
        return np.sqrt(self.variance[row] / self.cells[row])

    def take(self, rows: np.ndarray) -> Populations:
        """Some of the populations: places (r,), or which (m,) bool."""
        names = ("contexts", "perturbations", "mean", "variance", "detected", "cells")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def parts(self, perturbation: str) -> tuple[str, ...]:
        """The single perturbations of a combination, in order."""
        return split(perturbation, control=self.control)

    @cached_property
    def _row(self) -> dict[tuple[str, str], int]:
        """The row of each context and perturbation."""
        pairs = zip(self.contexts.tolist(), self.perturbations.tolist(), strict=True)
        return {pair: row for row, pair in enumerate(pairs)}


def split(name: str, *, control: str = CONTROL) -> tuple[str, ...]:
    """The parts of `A+B`, in order, without the control's word.

    A name with a part without letter or digit (`A+`, `GFP+/-`) is one name.
    """
    parts = [part.strip() for part in name.split(JOINT)]
    if name.strip() == control:
        return (control,)
    if not all(any(map(str.isalnum, part)) for part in parts):
        return (name,)
    return tuple(sorted({part for part in parts if part != control})) or (control,)


def canonical(name: str, *, control: str = CONTROL) -> str:
    """One name for `A+B`, `B+A`, and `A+B+control`."""
    return JOINT.join(split(name, control=control))


def condition_column(about: About, given: str | None = None) -> str:
    """The column of obs that says what was done to a cell: `given`, else the first of `CONDITION_KEYS` there is.

    DataError names the columns there are, the nearest first.
    """
    wanted = CONDITION_KEYS if given is None else (given,)
    found = [key for key in wanted if about.has(key)]
    if not found:
        there, words = nearest_first(wanted[0], map(str, about.obs.columns)), " or ".join(map(repr, wanted))
        refuse(f"{about.name}: obs: expected a column {words} (--condition-key), there is {few(there)}")
    return found[0]


def done_to(about: About, key: str, *, control: str = CONTROL) -> np.ndarray:
    """What was done to each cell by its one name (n,) text. DataError: no such column, a cell without a name."""
    labels = about.names(key)
    names = {label: canonical(label, control=control) for label in set(labels.tolist())}
    return np.array([names[label] for label in labels], dtype=object)


def read_populations(
    cells: CellSource | AnnData | Path | str | os.PathLike[str],
    *,
    perturbation_key: str | None = None,
    context_key: str | None = None,
    control: str = CONTROL,
) -> Populations:
    """The populations of all cells.

    perturbation_key: a column of obs, as `condition_column` has it. context_key: another; without, all cells are of one
    context, `all`.

    Counts and linear values are brought to log1p of 10,000 a cell, log values are taken as they are. Raises DataError:
    no such column, a cell without a label, no control cells at all.
    """
    source = cells if isinstance(cells, CellSource) else open_cells(cells)
    perturbation_key = condition_column(source.about, perturbation_key)
    labels = done_to(source.about, perturbation_key, control=control)
    contexts = None if context_key is None else source.about.names(context_key)
    return populations_of(source, labels, contexts, control=control, key=perturbation_key)


def populations_of(
    source: CellSource,
    labels: np.ndarray,
    contexts: np.ndarray | None,
    *,
    control: str = CONTROL,
    key: str = PERTURBATION,
) -> Populations:
    """As `read_populations`, of what was done to each cell (`done_to`) and where, (n,) text. key: of the labels.

    Raises DataError where no cell is a control.
    """
    done = labels
    if control not in set(done.tolist()):
        refuse(
            f"{source.about.name}: obs[{key!r}]: expected control cells {control!r}, "
            f"there is {few(sorted(set(done.tolist())))}; --control says what they are called"
        )
    places = np.full(len(done), EVERYWHERE) if contexts is None else contexts
    pairs = sorted(
        set(zip(places.tolist(), done.tolist(), strict=True)), key=lambda p: (p[0], p[1] != control, p[1])
    )
    row_of = {pair: row for row, pair in enumerate(pairs)}
    rows = np.array([row_of[pair] for pair in zip(places.tolist(), done.tolist(), strict=True)])
    return Populations(
        source.about.genes,
        np.array([context for context, _ in pairs], dtype=object),
        np.array([name for _, name in pairs], dtype=object),
        *_moments(source, rows, len(pairs)),
        np.bincount(rows, minlength=len(pairs)),
        control,
    )


def log_values(cells: Cells) -> sparse.csr_matrix:
    """log1p of counts per 10,000 (b, g), whatever the file holds; log values as they are, or brought from a total."""
    if cells.about.kind != "log":
        return log_per(cells.counts)
    per = cells.about.per
    if not per or abs(per - PER) < 0.01 * PER:
        return cells.counts
    made = cells.counts.copy()
    made.data = np.log1p(np.expm1(made.data) * np.float32(PER / per))
    return made


def _moments(source: CellSource, rows: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and detection rate of each population, (m, g)."""
    shape = m, len(source.about.genes)
    total, squares, seen = (np.zeros(shape) for _ in range(3))
    for cells in source.blocks(BLOCK):
        values = sparse.csr_matrix(log_values(cells), dtype=np.float64)
        own, place = np.unique(rows[cells.rows], return_inverse=True)
        ones = np.ones(len(place))
        of_row = sparse.csr_matrix((ones, (place, np.arange(len(place)))), shape=(len(own), len(place)))
        for held, part in ((total, values), (squares, values.multiply(values)), (seen, values > 0)):
            held[own] += sparse.csr_matrix(of_row @ part).toarray()
    n = np.bincount(rows, minlength=m)[:, None].astype(np.float64)
    mean = total / n
    variance = np.maximum(squares - n * mean**2, 0.0) / np.maximum(n - 1, 1)
    return mean, np.where(n > 1, variance, 0.0), seen / n
