"""From a long table to checked conditions: one `Condition` a series, replicates on the union of their times.

Letters: n times, r replicates, k events. Reading keeps 24 bytes a row: ten million rows fit in little memory.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from o2diffusion.bursts import burst_starts
from o2diffusion.collect import UNKNOWN_UNITS, Collector, Series
from o2diffusion.config import MAX_REPLICATES
from o2diffusion.events import Events, EventTable, read_events
from o2diffusion.tables import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG_H = 2400.0  # h: a longer record looks like minutes
EARLY_ALL, EARLY_ONE = (
    1 / 24,
    0.01,
)  # of a record: several events, or the only one, within it look like another unit


@dataclass(frozen=True, eq=False)
class Condition:
    """One condition (series_id) of an experiment: up to four replicates on the union of their sampling times.

    `time_h` (n,) float64 strictly increasing [h]; `oxygen` (n, r) float64 in the input's unit, NaN where
    not observed; `wanted` (n, r) bool: rows of the input with missing oxygen, to be filled; `replicates` (r,)
    labels as in the input. None: no `drug`; `concentration_um` [uM], `unit` of oxygen or `source` not stated. `bursts`
    (k,) [h]: when regular bursts of samples began, empty where sampling runs on without pauses.
    """

    experiment_id: str
    series_id: str
    drug: str | None
    concentration_um: float | None
    unit: str | None
    replicates: tuple[str, ...]
    time_h: np.ndarray
    oxygen: np.ndarray
    wanted: np.ndarray
    events: Events
    source: str | None = None
    bursts: np.ndarray = field(default_factory=lambda: np.empty(0))


def read_conditions(
    data: Path | str | pd.DataFrame,
    events: Path | str | pd.DataFrame | None = None,
    *,
    unit: str | None = None,
    notes: list[str],
    seed: int = 0,
    max_replicates: int | None = MAX_REPLICATES,
) -> list[Condition]:
    """All conditions of a table, in the order in which their series first appear; `DataError` as `iter_conditions`."""
    return list(
        iter_conditions(data, events, unit=unit, notes=notes, seed=seed, max_replicates=max_replicates)
    )


def iter_conditions(
    data: Path | str | pd.DataFrame,
    events: Path | str | pd.DataFrame | None = None,
    *,
    unit: str | None = None,
    notes: list[str],
    seed: int = 0,
    max_replicates: int | None = MAX_REPLICATES,
) -> Iterator[Condition]:
    """The conditions of a table (CSV, Parquet, DataFrame) one by one; all rows are read and checked first.

    Columns: series_id, replicate, time_h [h], oxygen (missing: to be filled); optional experiment_id, drug
    (empty: no drug), concentration_um [uM], unit, source. `unit` states the oxygen unit where the table does
    not. What was changed or dropped is said in `notes`, complete once the iterator ends. A series of more
    than `max_replicates` is split by `seed` (None: never). Raises `DataError` with file, row, column, value.
    """
    collector = Collector(unit, notes)
    collector.read(data)
    table = read_events(events, notes)
    if not collector.has_experiments:
        table.refuse_experiments(collector.name)
    table.check(collector.keys(), notes)
    tally = _Tally()
    for series in collector.series():
        condition = _condition(series, table, tally)
        parts = [condition] if max_replicates is None else split_replicates(condition, seed, max_replicates)
        if len(parts) > 1:
            sizes = "+".join(str(len(p.replicates)) for p in parts)
            tally.say("split", f"{condition.series_id} ({sizes})")
        yield from parts
    tally.write(notes, seed)


def split_replicates(condition: Condition, seed: int, most: int = MAX_REPLICATES) -> list[Condition]:
    """The condition in groups of at most `most` replicates, as equal as can be, drawn by `seed` and the ids.

    Every group keeps the ids, the order of the file and the times at which one of its replicates has a row.
    """
    r = len(condition.replicates)
    if r <= most:
        return [condition]
    # the ids enter the seed: a series is split alike whatever else the table holds
    key = zlib.crc32(f"{condition.experiment_id}\n{condition.series_id}".encode())
    order = np.random.default_rng([seed, key]).permutation(r)
    parts = []
    for group in np.array_split(order, -(-r // most)):
        chosen = np.sort(group)
        oxygen, wanted = condition.oxygen[:, chosen], condition.wanted[:, chosen]
        rows = (np.isfinite(oxygen) | wanted).any(axis=1)
        labels = tuple(condition.replicates[i] for i in chosen)
        parts.append(
            replace(
                condition,
                replicates=labels,
                time_h=condition.time_h[rows],
                oxygen=oxygen[rows],
                wanted=wanted[rows],
            )
        )
    return parts


class _Tally:
    """Which series had what, for one note a kind."""

    WORDS = {  # noqa: RUF012 - read only
        "unsorted": "rows not in order of time: sorted",
        "repeated": "rows given twice alike ({count} in all): kept once",
        "short": "one time only: kept",
        "empty": "no observed oxygen: kept; what is filled is only what is usual in its unit",
        "constant": "oxygen that never changes: kept",
        "merged": "events of different kinds or media at the same time: read as one",
        "long": f"more than {LONG_H / 24:.0f} days: kept; is time_h in hours?",
        "early": "all events at the very start of their record: kept; are table and events on one clock, in hours?",
        "late": "all events after the last sample: kept; are table and events on one clock, in hours?",
        "before": "events before the first sample: kept",
        "after": "events after the last sample: kept",
        "split": "more than four replicates: split with seed {seed}",
    }

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}
        self._rows = 0

    def say(self, kind: str, series: str, rows: int = 0) -> None:
        self._found.setdefault(kind, []).append(series)
        self._rows += rows

    def write(self, notes: list[str], seed: int) -> None:
        for kind, text in self.WORDS.items():
            names = self._found.get(kind, [])
            if names:
                some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
                notes.append(f"{len(names)} series with {text.format(seed=seed, count=self._rows)} ({some})")


def is_doubt(note: str) -> bool:
    """Whether a note of `iter_conditions` doubts a clock or a unit."""
    return UNKNOWN_UNITS in note or any(_Tally.WORDS[kind] in note for kind in ("long", "early", "late"))


def _condition(series: Series, table: EventTable, tally: _Tally) -> Condition:
    """Rows of one series on the grid of its times and replicates."""
    name = series.series_id
    time, at = np.unique(series.time, return_inverse=True)
    column, labels = pd.factorize(series.replicate)
    r = len(labels)
    by_replicate = np.argsort(column, kind="stable")
    back = (np.diff(series.time[by_replicate]) < 0) & (np.diff(column[by_replicate]) == 0)
    if back.any():
        tally.say("unsorted", name)
    cell = at * r + column
    oxygen = np.full(len(time) * r, np.nan)
    present = np.zeros(len(time) * r, dtype=bool)
    oxygen[cell], present[cell] = series.oxygen, True
    if np.count_nonzero(present) < len(cell):
        _refuse_conflicts(series, cell, oxygen)
        tally.say("repeated", name, len(cell) - np.count_nonzero(present))
    oxygen, present = oxygen.reshape(-1, r), present.reshape(-1, r)
    seen = np.isfinite(oxygen)
    values = oxygen[seen]
    if len(time) == 1:
        tally.say("short", name)
    elif not values.size:
        tally.say("empty", name)
    elif values.size > 1 and np.ptp(values) == 0:
        tally.say("constant", name)
    if np.ptp(time) > LONG_H:
        tally.say("long", name)
    events, merged = table.of(series.experiment_id, name)
    for kind in ["merged"] * (merged > 0) + _misplaced(events.time_h, time[0], time[-1]):
        tally.say(kind, name)
    return Condition(
        experiment_id=series.experiment_id,
        series_id=name,
        drug=series.drug,
        concentration_um=series.concentration_um,
        unit=series.unit,
        replicates=tuple(series.label(code) for code in labels),
        time_h=time,
        oxygen=oxygen,
        wanted=present & ~seen,
        events=events,
        source=series.source,
        bursts=burst_starts(time),
    )


def _misplaced(at: np.ndarray, first: float, last: float) -> list[str]:
    """What is odd about the times of events (k,) [h] of a record from `first` to `last`: kinds of the tally.

    Days written for hours put all events into the first 24th; a single event there may well be meant.
    """
    if not at.size:
        return []
    share = EARLY_ONE if at.size == 1 else EARLY_ALL
    if at.min() > last > first:
        return ["late"]
    if first < at.max() <= first + share * (last - first):
        return ["early"]
    return [kind for kind, found in (("before", at.min() < first), ("after", at.max() > last)) if found]


def _refuse_conflicts(series: Series, cell: np.ndarray, last: np.ndarray) -> None:
    """Refuse two rows of one series, replicate and time that do not say the same oxygen."""
    kept = last[cell]
    differ = (series.oxygen != kept) & ~(np.isnan(series.oxygen) & np.isnan(kept))
    if differ.any():
        first = int(np.flatnonzero(differ)[0])
        second = int(np.flatnonzero(cell == cell[first])[-1])
        label, before = series.label(series.replicate[first]), series.where(first, short=True)
        msg = (
            f"{series.where(second)}: expected one row a series, replicate and time, got series "
            f"{series.series_id!r}, replicate {label!r}, time_h {series.time[first]:g} again with oxygen "
            f"{series.oxygen[second]:g} (before: {series.oxygen[first]:g}, {before}); "
            "keep one or label the replicates apart"
        )
        raise DataError(msg)
