"""Tables in files (Parquet, CSV, TSV): read in pieces, every cell checked, what is wrong told with file and row.

Rows are counted from 1 in Parquet; in text files the heading is row 1, as spreadsheets show it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mediacvae.db.engines import DatabaseError
from mediacvae.db.values import CLOSE, empty
from mediacvae.names import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

BATCH = 20_000  # rows at a time
_SHOWN = 5  # rows that a note lists


@dataclass(frozen=True)
class Column:
    """A column that is read: how a cell is checked, and what an empty one means.

    check: from a cell to what is stored, ValueError for one that may not be. needed: the column must be there, and none
    of its cells may be empty. default: what stands for an empty cell, or for a column that is not there.
    """

    name: str
    check: Callable[[Any], Any]
    needed: bool = False
    default: Any = None


@dataclass
class Faults:
    """Rows that were left out: their numbers, by reason."""

    rows: dict[str, list[int]] = field(default_factory=dict)

    def add(self, row: int, reason: str) -> None:
        """Note a row, by its number, and why it is left out."""
        self.rows.setdefault(reason, []).append(row)

    def notes(self, file: str) -> list[str]:
        """One line a column and kind of fault: how many rows, which, and why."""
        kinds: dict[str, list[tuple[int, str]]] = {}
        for reason, rows in self.rows.items():
            kinds.setdefault(reason.partition(", got ")[0], []).extend((row, reason) for row in rows)
        made = []
        for found in kinds.values():
            found.sort()
            listed = ", ".join(str(row) for row, _ in found[:_SHOWN]) + (
                ", ..." if len(found) > _SHOWN else ""
            )
            rows = f"{len(found)} row{'s' if len(found) > 1 else ''} left out"
            made.append(f"{file}: {rows} (row {listed}): {found[0][1]}")
        return made


def chosen(
    found: list[str], columns: tuple[Column, ...], file: Path, unused: tuple[str, ...] = ()
) -> list[str]:
    """A note of the columns that nobody reads.

    unused: columns that are known and need no word. Raises DatabaseError for a column that is missing or there twice.
    """
    for name in found:
        if found.count(name) > 1:
            msg = f"{file}: column {name!r}: expected once, it is there {found.count(name)} times"
            raise DatabaseError(msg)
    for column in columns:
        if column.needed and column.name not in found:
            there = ", ".join(map(repr, found[:12])) or "none"
            hint = nearest(column.name, found, least=CLOSE)
            msg = f"{file}: expected a column {column.name!r}, there is {there}{hint}"
            raise DatabaseError(msg)
    names = [column.name for column in columns]
    odd = [name for name in found if name not in names and name not in unused]
    return [f"{file.name}: columns that are not read: {', '.join(odd)}"] if odd else []


def parquet(
    file: Path, columns: tuple[Column, ...], unused: tuple[str, ...] = ()
) -> tuple[list[str], Iterator[tuple[int, pd.DataFrame]]]:
    """Notes on the columns, and the batches with the number of their first row.

    Raises DatabaseError for no Parquet file, and for columns that are missing, there twice, or of lists.
    """
    try:
        table = pq.ParquetFile(file)
        found = list(table.schema_arrow.names)
        nested = [f.name for f in table.schema_arrow if pa.types.is_nested(f.type)]
    except (pa.ArrowException, OSError, ValueError) as fault:
        raise DatabaseError(_unreadable(file, fault)) from None
    notes = chosen(found, columns, file, unused)
    names = [column.name for column in columns if column.name in found]
    for name in names:
        if name in nested:
            msg = f"{file}: column {name!r}: expected one value a row, got {table.schema_arrow.field(name).type}"
            raise DatabaseError(msg)
    return notes, _batches(file, table, names)


def _batches(file: Path, table: pq.ParquetFile, names: list[str]) -> Iterator[tuple[int, pd.DataFrame]]:
    first = 1
    try:
        for batch in table.iter_batches(batch_size=BATCH, columns=names):
            cells = {name: np.array(batch.column(name).to_pylist(), dtype=object) for name in names}
            yield first, pd.DataFrame(cells, dtype=object)
            first += batch.num_rows
    except (pa.ArrowException, OSError, ValueError, OverflowError) as fault:
        if isinstance(fault, DatabaseError):
            raise
        raise DatabaseError(_unreadable(file, fault)) from None


def _unreadable(file: Path, fault: Exception) -> str:
    said = " ".join(str(fault).split())[:160]
    return f"{file}: expected a Parquet file, it cannot be read ({said})"


def text_table(
    file: Path, columns: tuple[Column, ...], unused: tuple[str, ...] = ()
) -> tuple[list[str], pd.DataFrame]:
    """Notes on the columns, and the rows of a .csv or .tsv file (UTF-8, heading first) with their number in `row`.

    Every cell is text; nothing is taken for a gap. Raises DatabaseError: not UTF-8, no heading, a row with more or
    fewer fields than the heading.
    """
    if file.suffix not in (".csv", ".tsv"):
        msg = f"{file}: expected a file ending in .csv or .tsv, got {file.name!r}"
        raise DatabaseError(msg)
    rows: list[list[str]] = []
    numbers: list[int] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter="," if file.suffix == ".csv" else "\t", strict=True)
            heading = [name.strip() for name in next(reader, [])]
            for number, row in enumerate(reader, start=2):
                if not row:
                    continue
                if len(row) != len(heading):
                    msg = f"{file}: row {number}: expected {len(heading)} fields, as the heading, got {len(row)}"
                    raise DatabaseError(msg)
                rows.append(row)
                numbers.append(number)
    except (UnicodeDecodeError, csv.Error) as fault:
        msg = f"{file}: expected a table as UTF-8 text, it cannot be read ({fault})"
        raise DatabaseError(msg) from None
    notes = chosen(heading, columns, file, unused)
    return notes, pd.DataFrame(rows, columns=pd.Index(heading), dtype=object).assign(row=numbers)


def good_rows(
    file: Path, columns: tuple[Column, ...], unused: tuple[str, ...] = ()
) -> tuple[list[str], list[tuple[int, dict[Any, Any]]]]:
    """Notes on the columns, and the checked rows of a .csv or .tsv file by their number: all of them or none.

    Raises DatabaseError as `text_table` does, and, with the row, for a cell that may not be stored.
    """
    notes, frame = text_table(file, columns, unused)
    faults = Faults()
    clean, numbers = cleaned(frame, columns, frame["row"].to_numpy(), faults)
    for reason, bad in faults.rows.items():
        msg = f"{file}: row {bad[0]}: {reason}"
        raise DatabaseError(msg)
    return notes, list(zip(numbers.tolist(), clean.to_dict("records"), strict=True))


def cleaned(
    frame: pd.DataFrame, columns: tuple[Column, ...], rows: np.ndarray, faults: Faults
) -> tuple[pd.DataFrame, np.ndarray]:
    """The checked columns of the rows that are good, and the numbers of these rows; the others go into `faults`.

    rows: (r,) the number of each row of the frame, as a message tells it.
    """
    good = np.ones(len(frame), dtype=bool)
    made: dict[str, np.ndarray] = {}
    for column in columns:
        if column.name not in frame:
            made[column.name] = np.full(len(frame), column.default, dtype=object)
            continue
        cells, reasons = _checked(frame[column.name].to_numpy(dtype=object), column)
        made[column.name] = cells
        for at, reason in reasons:
            if good[at]:
                faults.add(int(rows[at]), reason)
            good[at] = False
    return pd.DataFrame(made, dtype=object).loc[good], rows[good]


def _checked(cells: np.ndarray, column: Column) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Clean cells, and the places and reasons of bad ones; each different value is looked at once."""
    seen: dict[tuple[type, Any], tuple[Any, str | None]] = {}
    made, reasons = np.empty(len(cells), dtype=object), []
    for at, cell in enumerate(cells):
        key = (type(cell), cell)
        if key not in seen:
            seen[key] = _one(cell, column)
        made[at], reason = seen[key]
        if reason is not None:
            reasons.append((at, reason))
    return made, reasons


def _one(cell: Any, column: Column) -> tuple[Any, str | None]:
    if empty(cell):
        reason = f"column {column.name!r}: expected a value, got {cell!r}" if column.needed else None
        return column.default, reason
    try:
        return column.check(cell), None
    except ValueError as fault:
        return column.default, f"column {column.name!r}: {fault}"


def frame_of(batches: Iterable[tuple[int, pd.DataFrame]]) -> tuple[pd.DataFrame, np.ndarray]:
    """All batches of a small table, and the numbers of its rows, (r,) from 1."""
    parts = list(batches)
    whole = pd.concat([frame for _, frame in parts], ignore_index=True) if parts else pd.DataFrame()
    return whole, np.arange(1, len(whole) + 1)
