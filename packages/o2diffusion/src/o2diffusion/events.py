"""Events of an experiment or a series (media changes, flushes, injections, drug starts), read and checked."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from o2diffusion.chunks import Chunk, read_chunks
from o2diffusion.columns import Vocabulary, numbers, text_codes
from o2diffusion.tables import DataError, count, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

# in the order in which one stands for all where several happen at the same time
KINDS = ("media_change", "flush", "injection", "drug_start")
_TEXTS = ("experiment_id", "series_id", "kind", "drug_containing")
_YES, _NO = ("true", "1", "yes", "y", "t"), ("false", "0", "no", "n", "f")


@dataclass(frozen=True, eq=False)
class Events:
    """What happened to one condition, in order of time; none by default.

    `time_h` (k,) float64 strictly increasing [h], `kind` (k,) among `KINDS`, `drug_containing` (k,) bool: the
    new medium holds the drug.
    """

    time_h: np.ndarray = field(default_factory=lambda: np.zeros(0))
    kind: tuple[str, ...] = ()
    drug_containing: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True)
class _Event:
    row: str  # where it stands
    experiment: str  # empty: any
    series: str  # empty: all of the experiment
    time_h: float
    kind: str
    drug_containing: bool


class EventTable:
    """The rows of an events table, to be asked for one condition's `Events`."""

    def __init__(self, events: Iterable[_Event] = ()) -> None:
        self._events = list(events)
        self._by_key: dict[tuple[str, str], list[_Event]] = defaultdict(list)
        for event in self._events:
            self._by_key[event.experiment, event.series].append(event)

    def check(self, keys: Iterable[tuple[str, str]], notes: list[str]) -> None:
        """Count in `notes` the events of nothing among `keys` (experiment_id, series_id): they reach no condition.

        A table of some of a plate's series may come with all of its events; `DataError` where none of them fits.
        """
        keys = set(keys)
        known = keys | {(e, "") for e, _ in keys} | {("", s) for _, s in keys}
        strange = [e for e in self._events if (e.experiment, e.series) not in known]
        if not strange:
            return
        names = list(dict.fromkeys(e.series or e.experiment for e in strange))
        some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        if len(strange) < len(self._events):
            notes.append(
                f"{count(len(strange), 'event')} of ids that the data does not have: left out ({some})"
            )
            return
        column = "series_id" if strange[0].series else "experiment_id"
        there = sorted({s for _, s in keys} if column == "series_id" else {e for e, _ in keys})
        have = ", ".join(there[:5]) + (", ..." if len(there) > 5 else "")
        msg = (
            f"{strange[0].row}, column {column!r}: expected events of the data's own ids ({have}), got {some} only; "
            "correct the ids, or leave the events out"
        )
        raise DataError(msg)

    def refuse_experiments(self, data: str) -> None:
        """Raise `DataError` for events that name an experiment where the table `data` has no such column."""
        for e in self._events:
            if e.experiment:
                msg = (
                    f"{data}: expected a column experiment_id, by which the events are assigned ({e.row}: "
                    f"{e.experiment!r}), got none; add it, or remove that column of the events"
                )
                raise DataError(msg)

    def of(self, experiment: str, series: str) -> tuple[Events, int]:
        """Events of one condition in order of time, and the number of times at which they contradict each other.

        At one time the first kind of `KINDS` stands for all, drug-containing if any of them is. Events told twice
        alike do not contradict, nor does a drug start in a medium that holds the drug.
        """
        keys = {(experiment, series), (experiment, ""), ("", series)}
        found = sorted((e for key in keys for e in self._by_key.get(key, ())), key=lambda e: e.time_h)
        groups: dict[float, list[_Event]] = {}
        for event in found:
            groups.setdefault(event.time_h, []).append(event)
        kinds = tuple(min((e.kind for e in group), key=KINDS.index) for group in groups.values())
        drug = np.array([any(e.drug_containing for e in group) for group in groups.values()], dtype=bool)
        at = np.array(list(groups), dtype=np.float64)
        return Events(at, kinds, drug), sum(_contradict(group) for group in groups.values())


def _contradict(group: list[_Event]) -> bool:
    """Whether events at one time differ in kind or medium, beyond a drug start that says whose medium it is."""
    told = {(e.kind, e.drug_containing) for e in group}
    return len(told - {("drug_start", True)} if all(drug for _, drug in told) else told) > 1


def read_events(data: Path | str | pd.DataFrame | None, notes: list[str]) -> EventTable:
    """Events from CSV, Parquet or a DataFrame; None is no events.

    Columns: time_h [h] and kind, experiment_id or series_id or both (an event without a series is of the
    whole experiment), optional drug_containing (true/false; not stated: true for drug_start alone). Raises
    `DataError`.
    """
    if data is None:
        return EventTable()
    words: dict[str, Vocabulary] = {name: Vocabulary() for name in _TEXTS}
    events: list[_Event] = []
    name = str(data) if isinstance(data, str | Path) else "DataFrame"
    hints = {
        "time": "dates and times become hours with `o2diffusion prepare`",
        "event": "rename event to kind",
    }
    for chunk in read_chunks(
        data, required=("time_h", "kind"), numbers=("time_h",), texts=_TEXTS, notes=notes, hints=hints
    ):
        if "experiment_id" not in chunk.columns and "series_id" not in chunk.columns:
            msg = f"{chunk.name}: expected a column experiment_id or series_id (or both), got neither"
            raise DataError(msg)
        events += _events_of(chunk, words)
    if not events:
        notes.append(f"{name}: holds no event: read as if none was given")
    times = [e.time_h for e in events]
    if times != sorted(times) and len({(e.experiment, e.series) for e in events}) == 1:
        notes.append("events were not in order of time: sorted")
    return EventTable(events)


def _events_of(chunk: Chunk, words: dict[str, Vocabulary]) -> list[_Event]:
    time = numbers(chunk, "time_h")
    text = {n: [words[n].names[c] for c in text_codes(chunk, n, words[n])] for n in _TEXTS}
    events = []
    for i in range(len(chunk)):
        experiment, series = text["experiment_id"][i], text["series_id"][i]
        if not (experiment or series or text["kind"][i]) and np.isnan(time[i]):
            continue  # a blank line
        if not (experiment or series):
            msg = f"{chunk.at(i, 'experiment_id')}: expected an experiment_id or a series_id, got neither"
            raise DataError(msg)
        if not np.isfinite(time[i]):
            msg = f"{chunk.at(i, 'time_h')}: expected a finite time [h], got {time[i]}"
            raise DataError(msg)
        kind = _kind(chunk, i, text["kind"][i])
        drug = _flag(chunk, i, text["drug_containing"][i], default=kind == "drug_start")
        row = f"{chunk.name}: row {chunk.first_row + i}"
        events.append(_Event(row, experiment, series, float(time[i]), kind, drug))
    return events


def _kind(chunk: Chunk, index: int, text: str) -> str:
    kind = text.casefold().replace(" ", "_").replace("-", "_")
    if kind not in KINDS:
        at, hint = chunk.at(index, "kind"), nearest(kind, KINDS)
        msg = f"{at}: expected one of {', '.join(KINDS)}, got {text!r}{hint}"
        raise DataError(msg)
    return kind


def _flag(chunk: Chunk, index: int, text: str, *, default: bool) -> bool:
    word = text.casefold()
    if word in _YES:
        return True
    if word in _NO:
        return False
    if word in ("", "na", "nan"):
        return default
    msg = f"{chunk.at(index, 'drug_containing')}: expected true or false, got {text!r}"
    raise DataError(msg)
