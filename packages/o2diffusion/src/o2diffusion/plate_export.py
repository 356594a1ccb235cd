"""A plate reader's text export as a frame of strings: encoding, separator, header line, decimal comma."""

from __future__ import annotations

import csv
import gzip
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from o2diffusion.chunks import reading
from o2diffusion.tables import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEPARATORS = (",", ";", "\t")
MAX_BYTES = 1 << 30  # of a decompressed export: a plate of 1,536 wells and 50,000 times is below it
HEADER_LINES = 300  # a header stands within the first lines
LOST = ("", "-", "--", "---", "na", "nan", "n/a", "#n/a", "null", "none", "no sensor", "?", "#div/0!")
SATURATED = ("over", "ovrflw", "overflow", "sat", "saturated", "inf", "+inf", "-inf")
_WELL = re.compile(r"^([A-Z]{1,2})0*([1-9]\d?)$")


def well_name(text: str) -> str:
    """One spelling of a well: `a01` is A1; other names only lose the spaces around them."""
    plain = text.strip()
    match = _WELL.match(plain.upper())
    return f"{match[1]}{match[2]}" if match else plain


def is_plate_well(text: str) -> bool:
    """Whether a name has the form of a plate's well, A1 to AF48."""
    return _WELL.match(text.strip().upper()) is not None


@dataclass(frozen=True)
class Export:
    """A file's cells below the header as text (`frame`), `rows` (m,) their lines in it, `decimal` its decimal mark."""

    name: str
    frame: pd.DataFrame
    rows: np.ndarray
    decimal: str

    def numbers(self, column: str, *, counted: dict[str, int] | None = None) -> np.ndarray:
        """A column as float64 (m,), NaN where missing; `DataError` for other text.

        Words of a saturated sensor are missing too and are added up in `counted`, else refused.
        """
        plain = self.frame[column].str.strip()
        low = plain.str.lower()
        missing = low.isin(LOST).to_numpy()
        if counted is not None:
            over = low.isin(SATURATED).to_numpy()
            counted["saturated"] = counted.get("saturated", 0) + int(over.sum())
            missing = missing | over
        if self.decimal == ",":
            plain = plain.str.replace(",", ".", regex=False)
        value = np.asarray(pd.to_numeric(plain.mask(missing, "nan"), errors="coerce"), dtype=np.float64)
        bad = ~missing & ~np.isfinite(value)
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            msg = f"{self.at(i, column)}: expected a number, got {self.frame[column].iloc[i]!r}"
            raise DataError(msg)
        return value

    def at(self, index: int, column: str) -> str:
        """Where a cell is, as the start of an error message."""
        return f"{self.name}: row {int(self.rows[index])}, column {column!r}"


def read_export(path: Path, score: Callable[[list[str]], int], need: str, notes: list[str]) -> Export:
    """The table in a text file whose header is the line with the highest `score` of its fields (above 0).

    `need` says what a header holds, for the error. Raises `DataError` for a spreadsheet, a file that cannot be read,
    one without such a line, rows longer than the header and doubled columns.
    """
    name = str(path)
    if path.suffix.lower() in (".xls", ".xlsx", ".ods"):
        msg = f"{name}: expected a text file (.csv, .tsv, .txt, .csv.gz), got a spreadsheet; save it as CSV"
        raise DataError(msg)
    with reading(name):
        text = _text(path, notes)
    lines = text.splitlines()
    best, header, separator = 0, -1, ","
    for number, line in enumerate(lines[:HEADER_LINES]):
        for candidate in SEPARATORS:
            points = score(_fields(line, candidate))
            if points > best:
                best, header, separator = points, number, candidate
    if header < 0:
        msg = f"{name}: expected a header line with {need} within the first {HEADER_LINES} lines, found none"
        raise DataError(msg)
    if header:
        notes.append(f"{name}: {header} lines above the header not read")
    with reading(name):
        return _table(name, text, header, separator, notes)


def _fields(line: str, separator: str) -> list[str]:
    return [f.strip() for f in next(csv.reader([line], delimiter=separator), [])]


def _text(path: Path, notes: list[str]) -> str:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        msg = f"{path}: expected at most {MAX_BYTES >> 20} MiB of text, got more; split the export"
        raise DataError(msg)
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        notes.append(f"{path}: not UTF-8: read as Windows-1252")
        text = raw.decode("cp1252", errors="replace")
    if "\0" in text:
        msg = f"{path}: expected text, got binary bytes; save the export as CSV"
        raise DataError(msg)
    return text


def _table(name: str, text: str, header: int, separator: str, notes: list[str]) -> Export:
    reader = csv.reader(io.StringIO("\n".join(text.splitlines()[header:])), delimiter=separator)
    names = [n.strip() for n in next(reader)]
    while names and not names[-1]:
        names.pop()
    rows, cells = [], []
    for fields in reader:
        if not any(f.strip() for f in fields):
            continue
        row = header + reader.line_num
        if any(f.strip() for f in fields[len(names) :]):
            msg = f"{name}: row {row}: expected {len(names)} fields as in the header, got {len(fields)}"
            raise DataError(msg)
        rows.append(row)
        cells.append(fields[: len(names)] + [""] * (len(names) - len(fields)))
    doubled = sorted({n for n in names if n and names.count(n) > 1})
    if doubled:
        msg = f"{name}: row {header + 1}: expected each column once, got {doubled[0]!r} twice"
        raise DataError(msg)
    keep = [i for i, n in enumerate(names) if n]
    data = {names[i]: pd.Series([c[i] for c in cells], dtype=object) for i in keep}
    decimal = "."
    if separator != "," and any(
        re.fullmatch(r"\s*[-+]?\d+,\d+(e[-+]?\d+)?\s*", v) for c in cells[:200] for v in c
    ):
        decimal = ","
        notes.append(f"{name}: decimal commas read as decimal points")
    return Export(name, pd.DataFrame(data), np.array(rows, dtype=np.int64), decimal)
