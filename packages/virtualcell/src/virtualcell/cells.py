"""Cells as they come from a file: rows of expression, with the columns and arrays that belong to them.

Letters: n cells of a source, b of them in a batch, g genes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from virtualcell.faults import nearest, refuse
from virtualcell.kinds import Kind
from virtualcell.stored import stacked

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, eq=False)
class About:
    """What all cells of a source share.

    obs: one row a cell, named by cell. genes: (g,) text. others: further names of the genes by column of `var`.
    obsm: arrays (n, d) by key. per: the total that log values are of, 0 where cells do not agree on one.
    """

    name: str  # of the file
    kind: Kind  # what its numbers are
    obs: pd.DataFrame
    genes: np.ndarray
    others: dict[str, list[str]]
    obsm: dict[str, np.ndarray]
    per: float = 0.0
    _made: dict[tuple[str, str], np.ndarray] = field(default_factory=dict, repr=False)

    def labels(self, key: str) -> np.ndarray:
        """A column of obs as text (n,). DataError: no such column, a cell without a label."""
        if ("text", key) not in self._made:
            self._made["text", key] = self._complete(key).astype(str).to_numpy(dtype=object)
        return self._made["text", key]

    def names(self, key: str) -> np.ndarray:
        """As `labels`; DataError for one that is blank, too."""
        found = self.labels(key)
        blank = np.array([not text.strip() for text in found.tolist()])
        if blank.any():
            cell = self.obs.index[int(blank.argmax())]
            refuse(f"{self.name}: obs[{key!r}]: cell {cell}: expected a name, got {found[blank][0]!r}")
        return found

    def numbers(self, key: str, among: np.ndarray | None = None) -> np.ndarray:
        """A column of obs as float64 (n,). DataError: no such column, a value that is no finite number.

        among (n,) bool: the cells that must have one, all without; any other may have nothing, NaN.
        """
        if ("number", key) not in self._made:
            self._made["number", key] = _numbers(self._column(key))
        values = self._made["number", key]
        bad = ~np.isfinite(values) & (True if among is None else among)
        if bad.any():
            row = int(bad.argmax())
            got = f"got {self.obs[key].iloc[row]!r}"
            refuse(f"{self.name}: obs[{key!r}]: cell {self.obs.index[row]}: expected a finite number, {got}")
        return values

    def array(self, key: str) -> np.ndarray:
        """An array of obsm (n, d) float32. DataError: no such array, or one that holds no finite numbers."""
        if ("array", key) not in self._made:
            if key not in self.obsm:
                refuse(f"{self.name}: obsm: expected {key!r}, {nearest(key, self.obsm)}")
            try:
                found = np.asarray(self.obsm[key], dtype=np.float32)
            except (TypeError, ValueError):
                refuse(f"{self.name}: obsm[{key!r}]: expected numbers")
            found = found.reshape(len(self.obs), -1)
            bad = ~np.isfinite(found).all(axis=1)
            if bad.any():
                cell = self.obs.index[int(bad.argmax())]
                refuse(f"{self.name}: obsm[{key!r}]: cell {cell}: expected finite numbers")
            self._made["array", key] = found
        return self._made["array", key]

    def genes_like(self, beginnings: tuple[str, ...]) -> np.ndarray:
        """Which genes have a name that begins so, in capitals, (g,) bool."""
        key = "genes", " ".join(beginnings)
        if key not in self._made:
            self._made[key] = np.array([gene.upper().startswith(beginnings) for gene in self.genes.tolist()])
        return self._made[key]

    def has(self, key: str) -> bool:
        """Whether there is a column of this name."""
        return key in self.obs

    def _column(self, key: str) -> Any:
        if key not in self.obs:
            refuse(f"{self.name}: obs: expected a column {key!r}, {nearest(key, map(str, self.obs.columns))}")
        return self.obs[key]

    def _complete(self, key: str) -> Any:
        column = self._column(key)
        if column.isna().any():
            cell = self.obs.index[int(column.isna().to_numpy().argmax())]
            refuse(f"{self.name}: obs[{key!r}]: cell {cell}: expected a value, got NaN")
        return column


@dataclass(frozen=True, eq=False)
class Cells:
    """Some cells of a source: counts (b, g) csr float32, rows (b,) int64 their places in the source."""

    counts: sparse.csr_matrix
    rows: np.ndarray
    about: About  # the source they are of

    def __len__(self) -> int:
        return len(self.rows)

    def labels(self, key: str) -> np.ndarray:
        """A column of obs as text (b,)."""
        return self.about.labels(key)[self.rows]

    def numbers(self, key: str) -> np.ndarray:
        """A column of obs as float64 (b,)."""
        return self.about.numbers(key)[self.rows]

    def array(self, key: str) -> np.ndarray:
        """An array of obsm (b, d) float32."""
        return self.about.array(key)[self.rows]

    def take(self, places: np.ndarray) -> Cells:
        """The cells at these places of this selection, in this order."""
        return Cells(self.counts[places], self.rows[places], self.about)


def _numbers(column: pd.Series) -> np.ndarray:
    """The values of a column, NaN for what is no number."""
    values = np.full(len(column), np.nan)
    for i, value in enumerate(column):
        with suppress(TypeError, ValueError):
            values[i] = float(value)
    return values


def joined(parts: Sequence[Cells]) -> Cells:
    """Cells of one source, one after the other. DataError for none, or of several sources."""
    if not parts:
        refuse("expected at least one cell, got none")
    if any(part.about is not parts[0].about for part in parts):
        refuse("expected cells of one source in a batch: read several files one by one, or join them first")
    rows = np.concatenate([part.rows for part in parts])
    return Cells(stacked([part.counts for part in parts]), rows, parts[0].about)
