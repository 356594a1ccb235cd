"""Predicted cells against real ones, both as files of cells: means, populations, and control cells as the measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtualcell.baselines import NO_CHANGE
from virtualcell.evaluation import Predicted, of_cells, scored
from virtualcell.faults import nearest, refuse
from virtualcell.genes import match_genes
from virtualcell.names import CONTROL, PERTURBATION
from virtualcell.populations import EVERYWHERE, done_to, log_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtualcell.sources import CellSource

PREDICTION = "prediction"
MOST = 1000  # cells of a population whose distances are measured


@dataclass(frozen=True)
class Keys:
    """Columns of obs, and the word of control cells: what was done to a cell, and its context."""

    condition: str = "condition"  # where a file lacks it, `perturbation`
    context: str = "cell_type"
    control: str = CONTROL


class _Side:
    """A file of cells, its labels, and where the shared genes are."""

    def __init__(self, source: CellSource, keys: Keys, *, by_context: bool, columns: np.ndarray) -> None:
        self.source, self.columns = source, columns
        self.done = _done(source, keys)
        labels = source.about.names(keys.context) if by_context else np.full(len(source), EVERYWHERE)
        self.contexts = np.asarray(labels, dtype=object)

    def rows(self, context: str, done: str) -> np.ndarray:
        return np.flatnonzero((self.contexts == context) & (self.done == done))

    def mean(self, rows: np.ndarray) -> np.ndarray:
        """(g,), read in blocks."""
        total = np.zeros(len(self.columns))
        for start in range(0, len(rows), MOST):
            values = log_values(self.source.__getitems__(rows[start : start + MOST]))
            total += np.asarray(values.sum(axis=0), dtype=np.float64).ravel()[self.columns]
        return total / len(rows)

    def drawn(self, rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """At most `MOST` cells, dense."""
        picked = rows if len(rows) <= MOST else np.sort(generator.permutation(rows)[:MOST])
        return log_values(self.source.__getitems__(picked)).toarray()[:, self.columns].astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Trio:
    """Predicted, real and control cells, what is asked of them, and what is to be said."""

    made: _Side
    true: _Side
    still: _Side
    asked: list[tuple[str, str]]
    genes: tuple[str, ...]
    control: str
    notes: tuple[str, ...]

    def rows(self, context: str, done: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the predicted, the real and the control cells of a context. DataError where there are none."""
        found = ((self.made, done), (self.true, done), (self.still, self.control))
        own, real, rests = (_found(side, context, label) for side, label in found)
        return own, real, rests


def compare(
    predicted: CellSource, truth: CellSource, control: CellSource | None, keys: Keys, *, seed: int = 0
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """A row a context and perturbation of the prediction, for it and for control cells in its place; and notes.

    control: where control cells are; without, in the truth. Contexts are told apart where all files have the column.
    Genes are those that all files have. Raises DataError: none shared, a population without real or control cells.
    """
    trio = _trio(predicted, truth, control, keys)
    means: list[Predicted] = []
    populations: list[dict[str, float]] = []
    generator = np.random.default_rng(seed)
    for context, done in trio.asked:
        own, real, rests = trio.rows(context, done)
        at = trio.true.mean(real), trio.still.mean(rests), len(real)
        means.append(Predicted(context, done, PREDICTION, trio.made.mean(own), *at))
        means.append(Predicted(context, done, NO_CHANGE, at[1], *at))
        cells = trio.true.drawn(real, generator)
        populations += [
            of_cells(side.drawn(rows, generator), cells)
            for side, rows in ((trio.made, own), (trio.still, rests))
        ]
    return scored(means).join(pd.DataFrame(populations)), trio.notes


def predicted_means(
    predicted: CellSource, truth: CellSource, control: CellSource | None, keys: Keys
) -> tuple[list[Predicted], tuple[str, ...], tuple[str, ...]]:
    """The mean of each population of the prediction beside the true one; the genes of these; and notes."""
    trio = _trio(predicted, truth, control, keys)
    means = []
    for context, done in trio.asked:
        own, real, rests = trio.rows(context, done)
        true = trio.true.mean(real), trio.still.mean(rests), len(real)
        means.append(Predicted(context, done, PREDICTION, trio.made.mean(own), *true))
    return means, trio.genes, trio.notes


def _trio(predicted: CellSource, truth: CellSource, control: CellSource | None, keys: Keys) -> _Trio:
    files = [predicted, truth] + ([] if control is None else [control])
    columns, notes = _shared(files)
    by_context = all(source.about.has(keys.context) for source in files)
    if not by_context:
        notes.append(f"contexts are not told apart: not all files have a column {keys.context!r} of obs")
    made, true, *rest = (
        _Side(source, keys, by_context=by_context, columns=own)
        for source, own in zip(files, columns, strict=True)
    )
    asked = sorted({pair for pair in zip(made.contexts, made.done, strict=True) if pair[1] != keys.control})
    if not asked:
        refuse(f"{predicted.about.name}: expected predicted cells, all are {keys.control!r}")
    genes = tuple(str(gene) for gene in predicted.about.genes[columns[0]])
    return _Trio(made, true, rest[0] if rest else true, asked, genes, keys.control, tuple(notes))


def _done(source: CellSource, keys: Keys) -> np.ndarray:
    """What was done to each cell (n,): of the condition key, else of `perturbation`; without either, nothing."""
    about = source.about
    key = keys.condition if about.has(keys.condition) else PERTURBATION
    if not about.has(key):
        return np.full(len(source), keys.control, dtype=object)
    return done_to(about, key, control=keys.control)


def _found(side: _Side, context: str, done: str) -> np.ndarray:
    rows = side.rows(context, done)
    if not len(rows):
        there = sorted({str(label) for label in side.done[side.contexts == context]})
        known = sorted(set(map(str, side.contexts)))
        why = f"{context}: {nearest(done, there)}" if there else f"contexts: {nearest(context, known)}"
        refuse(f"{side.source.about.name}: expected cells of {context}, {done}; {why}")
    return rows


def _shared(files: Sequence[CellSource]) -> tuple[list[np.ndarray], list[str]]:
    """Where the genes that all files have are in each, in the order of the first; and what is missing."""
    first, *others = files
    genes = first.about.genes.tolist()
    matches = [
        match_genes(genes, other.about.genes.tolist(), other.about.others, what=other.about.name).index
        for other in others
    ]
    kept = np.all([index >= 0 for index in matches], axis=0)
    columns = [np.flatnonzero(kept), *(index[kept] for index in matches)]
    if not kept.any():
        refuse(f"{first.about.name}: shares no gene with all of the other files")
    most = max(len(source.about.genes) for source in files)
    note = f"{int(kept.sum())} genes are in all files and scored"
    return columns, [note] if int(kept.sum()) < most else []
