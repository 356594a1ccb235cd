"""Checks of rows by themselves: ids present, times and doses in range, one well in one series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from o2diffusion.chunks import Chunk
from o2diffusion.columns import Vocabulary
from o2diffusion.tables import DataError
from o2diffusion.units import oxygen_unit

if TYPE_CHECKING:
    from collections.abc import Callable


MAX_TIME = 1e6  # h: a century; above it the column holds seconds or a date


@dataclass(frozen=True)
class Rows:
    """A chunk's rows without blank lines: `where` (m,) in the chunk.

    `code` texts by column as codes of `words`, `value` numbers by column, each (m,).
    """

    chunk: Chunk
    where: np.ndarray
    code: dict[str, np.ndarray]
    value: dict[str, np.ndarray]
    words: dict[str, Vocabulary]

    def refuse(self, bad: np.ndarray, column: str, allowed: str, value: Callable[[int], str]) -> None:
        """Raise `DataError` for the first row that is `bad` (m,), with its `value` and what is allowed."""
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            msg = f"{self.chunk.at(int(self.where[i]), column)}: expected {allowed}, got {value(i)}"
            raise DataError(msg)

    def check(self) -> None:
        """`DataError` for a row without an id or a time in range, or with a negative or infinite concentration."""
        for name in ("series_id", "replicate", "experiment_id"):
            if name in self.chunk.columns:
                bad = self.code[name] == self.words[name].codes.get("", -1)
                self.refuse(bad, name, "an id", lambda _: "an empty cell")
        time, dose = self.value["time_h"], self.value["concentration_um"]
        allowed = f"hours between -{MAX_TIME:g} and {MAX_TIME:g} (seconds, dates? see `o2diffusion prepare`)"
        with np.errstate(invalid="ignore"):
            self.refuse(~(np.abs(time) <= MAX_TIME), "time_h", allowed, lambda i: f"{time[i]:g}")
            bad = (dose < 0) | np.isinf(dose)
        self.refuse(bad, "concentration_um", "0 uM or more, finite", lambda i: f"{dose[i]:g}")


class Wells:
    """Which series and replicate each well of an experiment belongs to, so far."""

    def __init__(self) -> None:
        self._owner: dict[tuple[int, int], tuple[int, int, str]] = {}

    def check(self, rows: Rows, series: np.ndarray) -> None:
        """`DataError` for a well that stands in two series or under two replicates. series: (m,) numbers."""
        code, empty = rows.code, rows.words["well"].codes.get("", -1)
        place = (code["experiment_id"].astype(np.int64) << 32) | code["well"]
        owner = (series.astype(np.int64) << 32) | code["replicate"]
        local, first = first_of(place)
        self._enter(rows, first, series, empty)
        owners = np.array([self._code(rows, i) for i in first], dtype=np.int64)[local]
        bad = (owner != owners) & (code["well"] != empty)

        def text(i: int) -> str:
            label = rows.words["replicate"].names[code["replicate"][i]]
            name = rows.words["series_id"].names[code["series_id"][i]]
            before = self._owner[int(code["experiment_id"][i]), int(code["well"][i])][2]
            well = rows.words["well"].names[code["well"][i]]
            return f"{well!r} in series {name!r}, replicate {label!r} too ({before})"

        rows.refuse(bad, "well", "each well in one series and replicate", text)

    def _enter(self, rows: Rows, first: np.ndarray, series: np.ndarray, empty: int) -> None:
        for i in first:
            key = int(rows.code["experiment_id"][i]), int(rows.code["well"][i])
            if key not in self._owner and key[1] != empty:
                row = f"row {rows.chunk.first_row + int(rows.where[i])}"
                self._owner[key] = int(series[i]), int(rows.code["replicate"][i]), row

    def _code(self, rows: Rows, index: int) -> int:
        key = int(rows.code["experiment_id"][index]), int(rows.code["well"][index])
        series, replicate, _ = self._owner.get(key, (-1, 0, ""))
        return (series << 32) | replicate


def first_of(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of each key (m,) in order of appearance: (m,), and the row where each of the k numbers is first: (k,)."""
    local, unique = pd.factorize(keys)
    first = np.zeros(len(unique), dtype=np.int64)
    first[local[::-1]] = np.arange(len(local))[::-1]
    return local, first


def canonical(unit: str) -> str:
    """What two spellings of one oxygen unit have in common."""
    return oxygen_unit(unit) or unit.casefold()
