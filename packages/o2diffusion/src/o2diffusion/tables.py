"""Tables on disk: the suffixes that are allowed, the one error of bad data, and the atomic streaming writer.

Files are chosen by suffix: .csv, .csv.gz, .parquet. Reading is in `chunks`.
"""

from __future__ import annotations

import difflib
import gzip
import os
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pandas as pd

SUFFIXES = (".csv", ".csv.gz", ".parquet")
PART = 3  # letters that a part of a name has at least, to be sought in other names


class DataError(ValueError):
    """A fault in the user's data, in one line: file, row, column, value, what is allowed."""


class DataWarning(UserWarning):
    """What was changed, left out or not used of the user's data, in one line."""


def suffix_of(path: Path) -> str:
    """The table suffix of a path; `DataError` for any other, naming the allowed ones."""
    name = path.name.lower()
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return suffix
    msg = f"{path}: expected a file ending in {', '.join(SUFFIXES)}, got {path.name!r}"
    raise DataError(msg)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint `; did you mean 'x'?`: the closest known name, else up to three that contain it; nothing without any."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not close and len(name) >= PART:
        close = sorted(n for n in names if name.casefold() in n.casefold())[:3]
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def count(number: int, word: str) -> str:
    """A number and what it counts: `1 well`, `2 wells`, `1,000 wells`; of a word whose plural takes an s."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def write_table(frames: Iterable[pd.DataFrame], path: Path | str) -> int:
    """Write frames of equal columns one after the other to CSV or Parquet by suffix; the number of rows.

    Atomic: the target appears, or is replaced, once every row is on disk. Raises `DataError` as `table_writer` does.
    """
    rows = 0
    with table_writer(path) as write:
        for frame in frames:
            write(frame)
            rows += len(frame)
    return rows


@contextmanager
def table_writer(path: Path | str) -> Iterator[Callable[[pd.DataFrame], None]]:
    """A function that appends a frame to a table, for the length of a `with`; the target appears at its end.

    All frames have the columns of the first, which may be empty. After an exception the old target is untouched. Raises
    `DataError` for other suffixes and a folder that is not there.
    """
    path = Path(path)
    sink = _parquet_sink if suffix_of(path) == ".parquet" else _csv_sink
    if not path.parent.is_dir():
        msg = f"{path}: expected a folder to write into, no such folder: {path.parent}"
        raise DataError(msg)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        with sink(temporary, compressed=suffix_of(path) == ".csv.gz") as write:
            yield write
        with temporary.open("rb") as done:
            os.fsync(done.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp's files are private, a result is not
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _csv_sink(path: Path, *, compressed: bool) -> Iterator[Callable[[pd.DataFrame], None]]:
    opener = partial(gzip.open, compresslevel=5) if compressed else open
    with opener(path, "wt", encoding="utf-8", newline="") as file:  # pyright: ignore[reportArgumentType]
        first = True

        def write(frame: pd.DataFrame) -> None:
            nonlocal first
            frame.to_csv(file, index=False, header=first, lineterminator="\n")  # pyright: ignore
            first = False

        yield write


@contextmanager
def _parquet_sink(path: Path, *, compressed: bool) -> Iterator[Callable[[pd.DataFrame], None]]:
    del compressed  # Parquet always is
    writer: pq.ParquetWriter | None = None

    def write(frame: pd.DataFrame) -> None:
        nonlocal writer
        table = pa.Table.from_pandas(frame, preserve_index=False)
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema, compression="zstd", write_page_checksum=True)
        writer.write_table(table.cast(writer.schema))

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()
