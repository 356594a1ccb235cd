"""Tables of annotations on disk: text (tab or comma, .gz or not), parquet, npz. Nothing in them is ever unpickled.

Text is compressed where its first bytes say so, whatever the name says; what it may unpack to is capped.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from virtualcell.faults import DataError, few, nearest, refuse

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

LARGEST = 2**30  # bytes of a table, unpacked
_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, MemoryError)
_PICKLED = (".pt", ".pth", ".pkl", ".pickle", ".ckpt")


@dataclass(frozen=True)
class Table:
    """Columns of equal length by name, all text; `lines` says where in the file at `path` each row was read."""

    path: Path
    columns: Mapping[str, list[str]]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.lines)

    def rows(self, *names: str) -> Iterator[tuple[int, tuple[str, ...]]]:
        """The line number and the values of these columns, row by row."""
        return zip(self.lines, zip(*(self.columns[name] for name in names), strict=True), strict=True)


def checked_path(path: str | os.PathLike[str]) -> Path:
    """A file that is there and of a kind that can be read without running what is in it; DataError for any other."""
    path = Path(path)
    if path.suffix in _PICKLED:
        refuse(f"{path}: {path.suffix} files can run code when they are read: give npz, parquet or text")
    if not path.is_file():
        refuse(f"{path}: expected a file, there is none")
    return path


def read_lines(path: str | os.PathLike[str], *, largest: int = LARGEST) -> list[str]:
    """The lines of a text file, .gz or plain, without line ends. DataError: absent, damaged, not UTF-8, too large."""
    path = checked_path(path)
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            source = gzip.GzipFile(fileobj=file) if packed else file
            data = source.read(largest + 1)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        refuse(f"{path}: expected UTF-8 text, byte {fault.start} is not")
    except (OSError, EOFError, zlib.error) as fault:
        refuse(f"{path}: expected a text file, it cannot be read ({type(fault).__name__}: {fault})")
    if len(data) > largest:
        refuse(f"{path}: holds more than {largest} bytes unpacked, the most that is allowed")
    if "\0" in text:
        refuse(f"{path}: expected text, got binary data")
    return text.splitlines()


def read_table(path: str | os.PathLike[str], needed: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """The columns of a table, by their names in its first line (text), its schema (parquet) or its arrays (npz).

    needed: must be there; optional: are read where there are any. Raises DataError: a column is missing, a row has
    more or fewer fields than the head, columns differ in length, a needed value is empty.
    """
    path = checked_path(path)
    if path.suffix == ".parquet":
        columns, start = _parquet(path), 1
    elif path.suffix == ".npz":
        columns, start = {name: _texts(path, name, a) for name, a in read_npz(path).items()}, 1
    else:
        columns, start = _text(path)
    for name in needed:
        if name not in columns:
            refuse(f"{path}: expected a column {name!r}, {nearest(name, [one for one in columns if one])}")
    kept = {name: columns[name] for name in (*needed, *optional) if name in columns}
    if len({len(column) for column in kept.values()}) > 1:  # of an npz: others cannot be
        sizes = ", ".join(f"{name} {len(column)}" for name, column in kept.items())
        refuse(f"{path}: expected columns of one length, got {sizes}")
    lines = columns.get("", [str(start + i) for i in range(len(kept[needed[0]]))])
    table = Table(path, kept, [int(line) for line in lines])
    for name in needed:
        for line, (value,) in table.rows(name):
            if not value:
                refuse(f"{path}: line {line}: {name}: expected a value, got nothing")
    return table


def _text(path: Path) -> tuple[dict[str, list[str]], int]:
    """Columns of a delimited text; the column '' holds the line numbers, since empty lines are passed over."""
    lines = [(i, line) for i, line in enumerate(read_lines(path), 1) if line.strip()]
    if not lines:
        refuse(f"{path}: expected a table, the file is empty")
    head = lines[0][1].lstrip("#")
    mark = "\t" if "\t" in head else ","
    names = [name.strip().lower() for name in head.split(mark)]
    if len(set(names)) < len(names):
        refuse(f"{path}: line {lines[0][0]}: a column name is given twice: {few(names)}")
    columns: dict[str, list[str]] = {name: [] for name in names}
    columns[""] = []
    for number, line in lines[1:]:
        fields = line.split(mark)
        if len(fields) != len(names):
            refuse(f"{path}: line {number}: expected {len(names)} fields as in the head, got {len(fields)}")
        for name, field in zip(names, fields, strict=True):
            columns[name].append(field.strip())
        columns[""].append(str(number))
    return columns, 2


def _parquet(path: Path) -> dict[str, list[str]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
        return {
            name: ["" if value is None else str(value) for value in table[name].to_pylist()]
            for name in table.column_names
        }
    except (OSError, ValueError, KeyError, pyarrow.ArrowException) as fault:  # KeyError: of one name twice
        refuse(f"{path}: expected a parquet table, it cannot be read ({type(fault).__name__}: {fault})")


def read_npz(path: str | os.PathLike[str], *, largest: int = LARGEST) -> dict[str, np.ndarray]:
    """The plain arrays of an .npz by name, each as it was stored: (g,), (g, t), and so on.

    Raises DataError: damaged, holds objects, claims more than is allowed.
    """
    path = checked_path(path)
    found: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > largest:
                refuse(f"{path}: holds more than {largest} bytes unpacked, the most that is allowed")
            for member in archive.infolist():
                data = io.BytesIO(archive.read(member))
                found[member.filename.removesuffix(".npy")] = np.load(data, allow_pickle=False)
    except DataError:
        raise
    except _UNREADABLE as fault:
        refuse(
            f"{path}: expected an .npz of plain arrays, it cannot be read ({type(fault).__name__}: {fault})"
        )
    return found


def _texts(path: Path, name: str, array: np.ndarray) -> list[str]:
    if array.ndim != 1 or array.dtype.kind not in "Uiuf":
        refuse(f"{path}: {name}: expected text or numbers (n,), got {array.dtype} {array.shape}")
    return [str(value) for value in array.tolist()]
