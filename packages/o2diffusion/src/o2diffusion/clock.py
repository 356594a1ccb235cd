"""The time column of an export to hours: numbers of any unit, durations, dates with or without a zone."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from o2diffusion.tables import DataError
from o2diffusion.units import to_hours

if TYPE_CHECKING:
    from o2diffusion.plate_export import Export

_DURATION = re.compile(r"^(?:(\d+)[d.]\s*)?(\d+):([0-5]\d)(?::([0-5]\d(?:[.,]\d+)?))?$")
_ZONE = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")


def hours(export: Export, column: str, unit: str, notes: list[str], *, ordered: bool = True) -> np.ndarray:
    """Hours (m,) of the time column: numbers x `unit`, HH:MM:SS as it is, dates since the first sample.

    Dates with a zone are compared in UTC. Raises `DataError` for text that is none of these, and, where rows
    are `ordered`, for a clock that goes back (as at the end of daylight saving time).
    """
    text = export.frame[column].str.strip()
    first = text.iloc[0] if len(text) else ""
    if _DURATION.match(first):
        return _durations(export, column, text)
    number = re.fullmatch(r"[-+]?\d*[.,]?\d+(e[-+]?\d+)?", first, re.IGNORECASE)
    if number or not re.search(r"\d", first):
        value = export.numbers(column)
        if np.isnan(value).any():
            i = int(np.flatnonzero(np.isnan(value))[0])
            msg = f"{export.at(i, column)}: expected a time [{unit}], got an empty cell"
            raise DataError(msg)
        return value * to_hours(unit)
    stamp = _dates(export, column, text, ordered=ordered)
    start = int(np.argmin(stamp)) if not ordered else 0
    passed = ((stamp - stamp[start]) / np.timedelta64(1, "s")).astype(np.float64) / 3600
    back = np.flatnonzero(np.diff(passed) < 0)
    if ordered and back.size:
        i, before = int(back[0]) + 1, text.iloc[back[0]]
        msg = (
            f"{export.at(i, column)}: expected dates in order, got {text.iloc[i]!r} after {before!r} "
            "(end of daylight saving time? export UTC or with a time zone)"
        )
        raise DataError(msg)
    notes.append(f"{export.name}: time_h 0 is {text.iloc[start]}; events are hours since then")
    return passed


def _durations(export: Export, column: str, text: pd.Series) -> np.ndarray:
    value = np.zeros(len(text))
    for i, cell in enumerate(text):
        match = _DURATION.match(cell)
        if not match:
            msg = f"{export.at(i, column)}: expected a duration HH:MM:SS as above, got {cell!r}"
            raise DataError(msg)
        day, hour, minute, second = match.groups()
        seconds = float((second or "0").replace(",", "."))
        value[i] = 24 * int(day or 0) + int(hour) + int(minute) / 60 + seconds / 3600
    return value


def _dates(export: Export, column: str, text: pd.Series, *, ordered: bool) -> np.ndarray:
    """Dates as datetime64 (UTC where zones are given)."""
    zoned = np.array([":" in cell and _ZONE.search(cell) is not None for cell in text])
    if zoned.any() and not zoned.all():
        i = int(np.flatnonzero(zoned != zoned[0])[0])
        msg = f"{export.at(i, column)}: expected a time zone in all dates or in none, got {text.iloc[i]!r}"
        raise DataError(msg)
    iso = _parse(text, format="ISO8601")
    if not np.isnat(iso).any():
        return iso
    readings = [_parse(text, dayfirst=True), _parse(text, dayfirst=False)]
    whole = [r for r in readings if not np.isnat(r).any()]
    if not whole:
        i = int(np.flatnonzero(np.isnat(readings[0]) | np.isnat(readings[1]))[0])
        msg = f"{export.at(i, column)}: expected a number, HH:MM:SS or a date, got {text.iloc[i]!r}"
        raise DataError(msg)
    likely = [r for r in whole if not ordered or (np.diff(r) >= np.timedelta64(0, "s")).all()] or whole[:1]
    if len(likely) == 2 and not np.array_equal(likely[0] - likely[0][0], likely[1] - likely[1][0]):
        msg = (
            f"{export.at(0, column)}: expected dates of one meaning, got {text.iloc[0]!r} "
            "(day or month first?); write 2024-12-31 13:00"
        )
        raise DataError(msg)
    return likely[0]


def _parse(text: pd.Series, **how: object) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # pandas warns where it must guess a format: both guesses are compared
        try:
            parsed = pd.to_datetime(text, utc=True, errors="coerce", **how)  # pyright: ignore
        except (ValueError, OverflowError):
            return np.full(len(text), np.datetime64("NaT"), dtype="datetime64[ns]")
    return parsed.dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
