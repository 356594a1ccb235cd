"""Tables as a stream of chunks of arrow columns, from CSV, Parquet or DataFrame; faults are `DataError`s."""

from __future__ import annotations

import csv
import difflib
import gzip
import re
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from o2diffusion.tables import DataError, suffix_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHUNK_ROWS = 500_000  # rows of a chunk from a Parquet file or a DataFrame
BLOCK_BYTES = 32 << 20  # bytes of a chunk from a CSV file
# what arrow, pandas, gzip and csv raise on damaged bytes
FAULTS = (pa.ArrowException, OSError, EOFError, ValueError, MemoryError, OverflowError, csv.Error, zlib.error)
MAX_HEADER = 1 << 20  # characters: a longer first line is no table's header


@dataclass(frozen=True)
class Chunk:
    """Some rows of the table called `name`: `columns` (present ones only, (m,) each) and the number of the first row.

    Rows count as their owner sees them: in CSV the header is row 1, Parquet is from 1, a DataFrame from 0.
    """

    name: str
    first_row: int
    columns: dict[str, pa.Array]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def at(self, index: int, column: str) -> str:
        """Where a cell is, as the start of an error message."""
        return f"{self.name}: row {self.first_row + index}, column {column!r}"


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn whatever a damaged file makes the parsers raise into one `DataError` line."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        msg = f"{name}: no such file"
        raise DataError(msg) from error
    except IsADirectoryError as error:
        msg = f"{name}: expected a file, got a directory"
        raise DataError(msg) from error
    except FAULTS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        msg = f"{name}: cannot be read as a table ({reason}): damaged, cut off, or of another format"
        raise DataError(msg) from error


def _check_header(names: Sequence[str], name: str, required: Sequence[str], hints: dict[str, str]) -> None:
    """Refuse doubled and missing columns."""
    doubled = sorted({n for n in names if list(names).count(n) > 1}) if len(set(names)) < len(names) else []
    if doubled:
        msg = f"{name}: expected each column once, got {doubled[0]!r} twice; rename or remove one"
        raise DataError(msg)
    missing = [c for c in required if c not in names]
    if missing:
        came = ", ".join(list(names)[:12]) + (", ..." if len(names) > 12 else "")
        hint = renames([n for n in names if n not in hints], missing)
        hint += "".join(f"; {text}" for text in dict.fromkeys(hints[n] for n in names if n in hints))
        if not hint and len(names) == 1 and (";" in names[0] or "\t" in names[0]):
            hint = "; the columns are not separated by commas: save with commas and decimal points"
        need, lack = ", ".join(required), ", ".join(missing)
        msg = f"{name}: expected the columns {need}, missing {lack} (came: {came}){hint}"
        raise DataError(msg)


def renames(names: Sequence[str], missing: Sequence[str]) -> str:
    """A hint `; rename 'Time (h)' to time_h`, for the names that all but are those of missing columns, or nothing."""
    plain = {re.sub(r"[^a-z0-9]+", "_", n.casefold()).strip("_"): n for n in names}
    found = {}
    for column in missing:
        close = difflib.get_close_matches(column, list(plain), n=1, cutoff=0.75)
        if close:
            found.setdefault(plain[close[0]], column)
    return f"; rename {', '.join(f'{old!r} to {new}' for old, new in found.items())}" if found else ""


def read_chunks(
    data: Path | str | pd.DataFrame,
    *,
    required: Sequence[str],
    numbers: Sequence[str],
    texts: Sequence[str],
    notes: list[str],
    hints: dict[str, str] | None = None,
    known: Sequence[str] = (),
) -> Iterator[Chunk]:
    """The table as chunks of its `numbers` and `texts` columns; others, unless `known`, are in `notes` as unused.

    `required` columns must be there. `hints` maps a column that may stand in place of a missing one to what to do.
    Raises `DataError` for a file that cannot be read, a missing or doubled column.
    """
    wanted = [*texts, *numbers]
    if isinstance(data, pd.DataFrame):
        name, names, path = "DataFrame", [str(c).strip() for c in data.columns], None
    else:
        name, path = str(data), Path(data)
        names = header(path)
    _check_header(names, name, required, hints or {})
    unused = [n for n in names if n not in wanted and n not in known]
    if unused:
        more = f" and {len(unused) - 10} more" if len(unused) > 10 else ""
        hint = renames(unused, [n for n in wanted if n not in names])
        notes.append(f"{name}: columns not used: {', '.join(unused[:10])}{more}{hint}")
    with reading(name):
        if isinstance(data, pd.DataFrame):
            yield from _frame_chunks(data, name, names, wanted)
        elif path and suffix_of(path) == ".parquet":
            yield from _parquet_chunks(path, name, wanted)
        elif path:
            yield from _csv_chunks(path, name, set(texts), wanted)


def header(path: Path) -> list[str]:
    """Column names of a file, stripped; `DataError` where it cannot be read."""
    with reading(str(path)):
        if suffix_of(path) == ".parquet":
            with pq.ParquetFile(path) as file:
                return [n.strip() for n in file.schema_arrow.names]
        return [n.strip() for n in _raw_header(path)]


def _raw_header(path: Path) -> list[str]:
    opener = gzip.open if suffix_of(path) == ".csv.gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:  # pyright: ignore[reportArgumentType]
        line = file.readline(MAX_HEADER)
    if not line.strip():
        msg = f"{path}: expected a header line, got an empty one"
        raise DataError(msg)
    return next(csv.reader([str(line)], strict=True))


def _frame_chunks(frame: pd.DataFrame, name: str, names: list[str], wanted: list[str]) -> Iterator[Chunk]:
    for start in range(0, max(len(frame), 1), CHUNK_ROWS):
        part = frame.iloc[start : start + CHUNK_ROWS]
        yield Chunk(name, start, {n: _arrow(part.iloc[:, i]) for i, n in enumerate(names) if n in wanted})


def _arrow(series: pd.Series) -> pa.Array:
    """A pandas column as an arrow array; objects of mixed type become text."""
    if series.dtype == object:
        values: list[Any] = series.tolist()
        return pa.array([None if v is None or v is pd.NA or v != v else str(v) for v in values], pa.string())
    array = pa.array(series, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _parquet_chunks(path: Path, name: str, wanted: list[str]) -> Iterator[Chunk]:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema = file.schema_arrow
        raw = [n for n in schema.names if n.strip() in wanted]
        text = [n for n in raw if pa.types.is_string(schema.field(n).type)]
    row = 1
    with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=text) as file:
        for batch in file.iter_batches(CHUNK_ROWS, columns=raw):
            batch.validate(full=True)
            yield Chunk(name, row, {n.strip(): batch.column(n) for n in batch.schema.names})
            row += batch.num_rows


def _csv_chunks(path: Path, name: str, texts: set[str], wanted: list[str]) -> Iterator[Chunk]:
    raw = [n for n in _raw_header(path) if n.strip() in wanted]
    coded = pa.dictionary(pa.int32(), pa.string())
    bad: list[str] = []

    def refuse(row: pacsv.InvalidRow) -> str:
        fields = f"expected {row.expected_columns} fields, got {row.actual_columns}"
        bad.append(f"{name}: row {row.number}: {fields}")
        return "error"

    row = 2
    with pa.input_stream(path, compression="gzip" if suffix_of(path) == ".csv.gz" else None) as stream:
        try:
            # Closed when read: arrow's thread that reads ahead shall not outlive the interpreter.
            with pacsv.open_csv(
                stream,
                # one thread: only then does arrow number the rows
                read_options=pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
                parse_options=pacsv.ParseOptions(
                    newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=refuse
                ),
                convert_options=pacsv.ConvertOptions(
                    include_columns=raw,
                    column_types={n: coded if n.strip() in texts else pa.string() for n in raw},
                    strings_can_be_null=False,
                ),
            ) as reader:
                for batch in reader:
                    yield Chunk(name, row, {n.strip(): batch.column(n) for n in batch.schema.names})
                    row += batch.num_rows
        except pa.ArrowInvalid as error:
            if bad:
                msg = f"{bad[0]}; a comma too many or too few, or text with a comma without quotes"
                raise DataError(msg) from error
            raise
