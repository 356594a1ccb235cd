"""Columns of a chunk to numpy: ids as codes over a growing vocabulary, numbers as float64, both checked."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions when it is imported)
from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from o2diffusion.tables import DataError
from o2diffusion.units import to_um

if TYPE_CHECKING:
    from o2diffusion.chunks import Chunk

MISSING = ("", "na", "nan", "n/a", "null", "none", "<na>")  # of a number; ids keep such words
UNITS = {"time_h": " [h]", "concentration_um": " [uM]"}
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d{2}")
_QUANTITY = re.compile(r"^([-+0-9.,eE]+)\s*([^\d\s].*)$")


class Vocabulary:
    """Texts seen so far (`names`) and their `codes`, in order of appearance.

    fold: spellings that differ in case or inner spaces are one text; `spellings` keeps the others by code.
    """

    def __init__(self, fold: bool = False) -> None:  # noqa: FBT001, FBT002 - a property of the vocabulary
        self.fold = fold
        self.codes: dict[str, int] = {}
        self.names: list[str] = []
        self.spellings: dict[int, set[str]] = {}

    def code(self, text: str) -> int:
        """The code of a text, new or known; spaces around never count."""
        name = " ".join(text.split()) if self.fold else text.strip()
        key = name.casefold() if self.fold else name
        code = self.codes.setdefault(key, len(self.names))
        if code == len(self.names):
            self.names.append(name)
        if self.fold and text != self.names[code]:
            self.spellings.setdefault(code, set()).add(text)
        return code


def text_codes(chunk: Chunk, column: str, vocabulary: Vocabulary) -> np.ndarray:
    """Codes (n,) int32 of a text column; a missing cell is the empty text, as is a column that is absent."""
    if column not in chunk.columns:
        return np.full(len(chunk), vocabulary.code(""), np.int32)
    array = _as_text(chunk, column)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    # one more entry at the end stands for null
    table = np.array([vocabulary.code(t or "") for t in [*array.dictionary.to_pylist(), ""]], np.int32)
    indices = pc.fill_null(array.indices.cast(pa.int64()), len(table) - 1)
    return table[indices.to_numpy(zero_copy_only=False)]


def _as_text(chunk: Chunk, column: str) -> pa.Array:
    """A column as (coded) strings: 1.0 of a float column is the label 1."""
    array = chunk.columns[column]
    kind = array.type
    if pa.types.is_dictionary(kind):
        if pa.types.is_string(kind.value_type):
            return array
        array = array.dictionary_decode()
        kind = array.type
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_nan(array), pa.scalar(None, kind), array).cast(pa.string())
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        msg = f"{chunk.name}: column {column!r}: expected text, got {kind}"
        raise DataError(msg)
    return array.cast(pa.string())


def numbers(chunk: Chunk, column: str) -> np.ndarray:
    """A column as float64 (n,), NaN where missing (empty, NA, NaN); `DataError` for anything else."""
    if column not in chunk.columns:
        return np.full(len(chunk), np.nan)
    array = chunk.columns[column]
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind, unit = array.type, UNITS.get(column, "")
    if pa.types.is_null(kind):
        return np.full(len(array), np.nan)
    if pa.types.is_temporal(kind):
        msg = f"{chunk.name}: column {column!r}: expected numbers{unit}, got {kind}; {_hint(column, '1-1-1')}"
        raise DataError(msg)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        array = _parse(chunk, column, array)
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        msg = f"{chunk.name}: column {column!r}: expected numbers{unit}, got {kind}"
        raise DataError(msg)
    if pa.types.is_float32(kind) and column == "concentration_um":
        return _shortest(array.to_numpy(zero_copy_only=False))
    return pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def _shortest(values: np.ndarray) -> np.ndarray:
    """float32 to the float64 that prints the same: 0.1 stays 0.1, so doses of two files meet."""
    unique, inverse = np.unique(values, return_inverse=True)
    return np.array([float(str(v)) for v in unique])[inverse] if len(unique) else values.astype(np.float64)


def _parse(chunk: Chunk, column: str, array: pa.Array) -> pa.Array:
    """Text to float64; the slow way (trim, missing words) only where the straight way fails."""
    try:
        return pc.cast(array, pa.float64())
    except pa.ArrowInvalid:
        plain = pc.utf8_trim_whitespace(array)
        missing = pc.is_in(pc.utf8_lower(plain), value_set=pa.array(MISSING, plain.type))
        plain = pc.if_else(missing, pa.scalar(None, plain.type), plain)
    try:
        return pc.cast(plain, pa.float64())
    except pa.ArrowInvalid as error:
        index, value = _first_bad(plain)
        unit = UNITS.get(column, "")
        msg = f"{chunk.at(index, column)}: expected a number{unit}, got {value!r}; {_hint(column, value)}"
        raise DataError(msg) from error


def _first_bad(array: pa.Array) -> tuple[int, str]:
    """Index and text of the first cell that is no number, found by halving."""
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            pc.cast(array[low:middle], pa.float64())
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low, str(array[low].as_py())[:60]


def _hint(column: str, value: str) -> str:
    """What to do about a text in a column of numbers."""
    if column.startswith("time") and _DATE.search(value):
        return "dates and times become hours since the first sample with `o2diffusion prepare`"
    if re.fullmatch(r"[-+]?\d+,\d+", value):
        return f"write {value.replace(',', '.')}, with a decimal point"
    quantity = _QUANTITY.match(value)
    if column == "concentration_um" and quantity:
        try:
            return f"put {float(quantity[1]) * to_um(quantity[2]):g} in concentration_um: the column is in uM"
        except ValueError:
            return "put the number alone: the column is in uM"
    if column == "time_h" and quantity:
        return "put the hours alone: the column is in h"
    if column == "time_h":
        return "every row has a time"
    return "leave the cell empty where there is no value"
