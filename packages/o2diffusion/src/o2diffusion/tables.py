"""Tables on disk: the suffixes that are allowed, the one error of bad data, and the atomic streaming writer.

Files are chosen by suffix: .csv, .csv.gz, .parquet. Reading is in `chunks`.
"""

from __future__ import annotations

import difflib
import gzip
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

SUFFIXES = (".csv", ".csv.gz", ".parquet")


class DataError(ValueError):
    """A fault in the user's data, in one line: file, row, column, value, what is allowed."""


def suffix_of(path: Path) -> str:
    """The table suffix of a path; `DataError` for any other, naming the allowed ones."""
    name = path.name.lower()
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return suffix
    msg = f"{path}: expected a file ending in {', '.join(SUFFIXES)}, got {path.name!r}"
    raise DataError(msg)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint `; did you mean 'x'?`, or nothing where no known name is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def write_table(frames: Iterable[pd.DataFrame], path: Path | str) -> int:
    """Write frames of equal columns one after the other to CSV or Parquet by suffix; the number of rows.

    Atomic: the target appears, or is replaced, once every row is on disk. `DataError` for other suffixes.
    """
    path = Path(path)
    suffix = suffix_of(path)
    rows = 0
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    try:
        sink = _write_parquet if suffix == ".parquet" else _write_csv
        rows = sink(frames, Path(temporary), compressed=suffix == ".csv.gz")
        with Path(temporary).open("rb") as done:
            os.fsync(done.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)  # mkstemp's files are private, a result is not
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return rows


def _write_csv(frames: Iterable[pd.DataFrame], path: Path, *, compressed: bool) -> int:
    rows = 0
    opener = partial(gzip.open, compresslevel=5) if compressed else open
    with opener(path, "wt", encoding="utf-8", newline="") as file:  # pyright: ignore[reportArgumentType]
        for frame in frames:
            frame.to_csv(file, index=False, header=rows == 0, lineterminator="\n")  # pyright: ignore
            rows += len(frame)
    return rows


def _write_parquet(frames: Iterable[pd.DataFrame], path: Path, *, compressed: bool) -> int:
    del compressed
    rows, writer = 0, None
    try:
        for frame in frames:
            table = pa.Table.from_pandas(frame, preserve_index=False)
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema, compression="zstd", write_page_checksum=True)
            writer.write_table(table.cast(writer.schema))
            rows += len(frame)
    finally:
        if writer is not None:
            writer.close()
    return rows
