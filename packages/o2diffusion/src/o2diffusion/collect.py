"""The rows of a long table, read chunk by chunk into compact arrays and checked on the way.

A row costs 24 bytes: series and replicate codes (int32), time and oxygen (float64). Drug, concentration and
unit are constant in a series and kept once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from o2diffusion.checks import Rows, Wells, canonical, first_of
from o2diffusion.chunks import Chunk, read_chunks
from o2diffusion.columns import Vocabulary, numbers, text_codes
from o2diffusion.tables import DataError, count
from o2diffusion.units import oxygen_unit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

REQUIRED = ("series_id", "replicate", "time_h", "oxygen")
TEXTS = ("experiment_id", "series_id", "replicate", "well", "drug", "unit", "source")
NUMBERS = ("time_h", "oxygen", "concentration_um")
OWN = ("draw",)  # what `generate` adds, for people: its series_id tells the draws apart
ONE_EXPERIMENT = "experiment"  # the experiment_id where the table has no such column
SENTINELS = (9999.0, -9999.0, 99999.0, -99999.0)  # what loggers write for a saturated or lost sensor
MAX_OXYGEN = 1e6  # beyond any unit's range
UNKNOWN_UNITS = "oxygen units not known here"
FACTS = ("drug", "concentration_um", "unit")  # what a series has one of
HINTS = {
    "time": "hours are expected in time_h: `o2diffusion prepare` converts dates, times and other units",
    "well": "a plate export? `o2diffusion prepare` turns it into this table",
    "A1": "a plate export? `o2diffusion prepare` turns it into this table",
    "A01": "a plate export? `o2diffusion prepare` turns it into this table",
}


@dataclass(frozen=True)
class Series:
    """The rows of one series as they came: `replicate` codes, `time` [h], `oxygen` (NaN: missing), (m,) each.

    None: not stated; `concentration_um` [uM]. `label` gives a code's replicate, `where` a row's place in the file.
    """

    experiment_id: str
    series_id: str
    drug: str | None
    concentration_um: float | None
    unit: str | None
    source: str | None
    replicate: np.ndarray
    time: np.ndarray
    oxygen: np.ndarray
    label: Callable[[int], str]
    where: Callable[..., str]


class Collector:
    """Reads a table once; afterwards `keys` and `series` give what it holds.

    unit: of oxygen, where the table does not state it. What was changed on the way is added to `notes`.
    """

    def __init__(self, unit: str | None, notes: list[str]) -> None:
        self._stated_unit, self._notes = unit, notes
        self._words = {name: Vocabulary(fold=name == "drug") for name in TEXTS}
        self._index: dict[tuple[int, int], int] = {}
        self._facts: dict[str, list[float]] = {n: [] for n in (*FACTS, "source", "row")}
        self._parts: dict[str, list[np.ndarray]] = {n: [] for n in ("series", "replicate", "time", "oxygen")}
        self._blank: list[int] = []  # indices of blank lines among the rows
        self._rows = 0
        self._first_row = 0
        self.name = ""
        self._saturated = 0
        self._wells = Wells()

    def read(self, data: Path | str | pd.DataFrame) -> None:
        """Read and check every row of the table; `DataError` for the first that is wrong, and where there is none."""
        for chunk in read_chunks(
            data, required=REQUIRED, numbers=NUMBERS, texts=TEXTS, notes=self._notes, hints=HINTS, known=OWN
        ):
            if not self.name:
                self.name, self._first_row = chunk.name, chunk.first_row
            if len(chunk):
                self._add(chunk)
        if not self._index:
            msg = f"{self.name or data}: expected at least one row of data, got none"
            raise DataError(msg)
        self._check_units()
        self._say()

    @property
    def has_experiments(self) -> bool:
        """Whether the table has a column experiment_id."""
        return any(self._words["experiment_id"].names[e] for e, _ in self._index)

    def keys(self) -> list[tuple[str, str]]:
        """(experiment_id, series_id) of every series, in order of first appearance."""
        return [(self._experiment(e), self._words["series_id"].names[s]) for e, s in self._index]

    def series(self) -> Iterator[Series]:
        """Every series' rows, in order of first appearance of the series, of the rows within."""
        array = {}
        for name in self._parts:  # one after the other: never two copies of all
            array[name] = np.concatenate(self._parts[name])
            self._parts[name] = [array[name]]
        codes, size = array["series"], len(self._index)
        ends = np.cumsum(np.bincount(codes, minlength=size))
        # 16-bit keys are sorted by radix
        small = codes.astype(np.uint16) if size <= 1 << 16 else codes
        order = None if np.all(codes[1:] >= codes[:-1]) else np.argsort(small, kind="stable")
        labels = self._words["replicate"].names
        for j, (experiment, series) in enumerate(self.keys()):
            begin, end = int(ends[j - 1]) if j else 0, int(ends[j])
            rows = np.arange(begin, end) if order is None else order[begin:end]
            concentration = self._facts["concentration_um"][j]
            yield Series(
                experiment_id=experiment,
                series_id=series,
                drug=self._text("drug", j),
                concentration_um=None if np.isnan(concentration) else float(concentration),
                unit=self._text("unit", j) or self._stated_unit,
                source=self._text("source", j),
                replicate=array["replicate"][rows],
                time=array["time"][rows],
                oxygen=array["oxygen"][rows],
                label=lambda code: labels[code],
                where=lambda i, short=False, rows=rows: self._where(int(rows[i]), short=short),
            )

    def _experiment(self, code: int) -> str:
        return self._words["experiment_id"].names[code] or ONE_EXPERIMENT

    def _text(self, name: str, j: int) -> str | None:
        return self._words[name].names[int(self._facts[name][j])] or None

    def _where(self, kept: int, *, short: bool = False) -> str:
        """File and row of the row kept as number `kept`."""
        for blank in self._blank:
            kept += blank <= kept
        row = f"row {self._first_row + kept}"
        return row if short else f"{self.name}: {row}"

    def _add(self, chunk: Chunk) -> None:
        code = {name: text_codes(chunk, name, self._words[name]) for name in TEXTS}
        value = {name: numbers(chunk, name) for name in NUMBERS}
        keep = self._without_blank(code, value)
        where = np.arange(len(chunk))
        if not keep.all():
            code = {n: c[keep] for n, c in code.items()}
            value = {n: v[keep] for n, v in value.items()}
            where = where[keep]
        rows = Rows(chunk, where, code, value, self._words)
        rows.check()
        series = self._series_codes(rows)
        if "well" in chunk.columns:
            self._wells.check(rows, series)
        oxygen = value["oxygen"]
        with np.errstate(invalid="ignore"):
            lost = np.isin(oxygen, SENTINELS) | (np.abs(oxygen) > MAX_OXYGEN)
        self._saturated += int(np.count_nonzero(lost))
        self._parts["series"].append(series)
        self._parts["replicate"].append(code["replicate"])
        self._parts["time"].append(value["time_h"])
        self._parts["oxygen"].append(np.where(lost, np.nan, oxygen))
        self._rows += len(chunk)

    def _without_blank(self, code: dict[str, np.ndarray], value: dict[str, np.ndarray]) -> np.ndarray:
        """Which rows are not blank lines (no id, no time, no oxygen): bool (m,)."""
        empty = np.isnan(value["time_h"]) & np.isnan(value["oxygen"])
        if empty.any():
            for name in ("series_id", "replicate"):
                empty &= code[name] == self._words[name].code("")
            self._blank += (self._rows + np.flatnonzero(empty)).tolist()
        return ~empty

    def _series_codes(self, rows: Rows) -> np.ndarray:
        """The number (m,) int32 of each row's series, new series entered; refuse a series of two drugs."""
        code, columns = rows.code, rows.code | rows.value
        local, first = first_of((code["experiment_id"].astype(np.int64) << 32) | code["series_id"])
        to_global = np.zeros(len(first), dtype=np.int32)
        for j, i in enumerate(first):
            pair = int(code["experiment_id"][i]), int(code["series_id"][i])
            to_global[j] = self._index.setdefault(pair, len(self._index))
            if to_global[j] == len(self._facts["row"]):
                self._facts["row"].append(rows.chunk.first_row + int(rows.where[i]))
                for name in (*FACTS, "source"):
                    self._facts[name].append(float(columns[name][i]))
        for name in FACTS:
            expected = np.array([self._facts[name][g] for g in to_global])[local]
            column = columns[name]
            differ = (column != expected) & ~((column != column) & (expected != expected))
            if differ.any():
                i = int(np.flatnonzero(differ)[0])
                self._refuse_two(rows.chunk, int(rows.where[i]), name, column[i], int(to_global[local[i]]))
        return to_global[local]

    def _refuse_two(self, chunk: Chunk, index: int, name: str, value: float, series: int) -> None:
        def text(v: float) -> str:
            if name == "concentration_um":
                return "none" if np.isnan(v) else f"{v:g}"
            word = self._words[name].names[int(v)]
            return repr(word) if word else "none"

        key, row = self.keys()[series], int(self._facts["row"][series])
        msg = (
            f"{chunk.at(index, name)}: expected one {name} a series, got {text(value)}; series {key[1]!r} "
            f"of {key[0]!r} has {text(self._facts[name][series])} (row {row}); "
            "give each condition its own series_id"
        )
        raise DataError(msg)

    def _check_units(self) -> None:
        """One oxygen unit in an experiment, and no other than the stated one."""
        first: dict[int, tuple[str, int]] = {}
        names = self._words["unit"].names
        stated = self._stated_unit
        for j, (experiment, _) in enumerate(self._index):
            unit = names[int(self._facts["unit"][j])]
            row = int(self._facts["row"][j])
            if stated and unit and canonical(unit) != canonical(stated):
                at = f"{self.name}: row {row}, column 'unit'"
                msg = f"{at}: expected the stated unit {stated!r}, got {unit!r}"
                raise DataError(msg)
            known, known_row = first.setdefault(experiment, (unit, row))
            if canonical(known) != canonical(unit):
                msg = (
                    f"{self.name}: row {row}, column 'unit': expected one unit in experiment "
                    f"{self._experiment(experiment)!r}, got {unit or 'none'!r} beside {known or 'none'!r} "
                    f"(row {known_row}); convert one of them or give it another experiment_id"
                )
                raise DataError(msg)

    def _say(self) -> None:
        """What reading changed."""
        if self._saturated:
            self._notes.append(
                f"{count(self._saturated, 'value')} saturated or lost (inf, 9999): treated as missing"
            )
        units = [n for n in self._words["unit"].names if n]
        if not units and not self._stated_unit:
            self._notes.append("no oxygen unit stated: results come in the unit of the table")
        unknown = [n for n in units if oxygen_unit(n) is None]
        if unknown:
            self._notes.append(f"{UNKNOWN_UNITS}, kept as they are: {', '.join(unknown[:5])}")
        if len({canonical(n) for n in units}) > 1:
            self._notes.append(f"experiments in different oxygen units: {', '.join(units)}")
        drugs = self._words["drug"]
        for code, others in drugs.spellings.items():
            some = ", ".join(repr(s) for s in sorted(others)[:4])
            self._notes.append(f"drug {drugs.names[code]!r}: also spelt {some}; read as one drug")
