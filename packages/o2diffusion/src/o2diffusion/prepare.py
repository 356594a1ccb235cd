"""From a plate export (wells as columns, or one row a well and time) and a plate map to the long table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from o2diffusion.clock import hours
from o2diffusion.plate_export import Export, is_plate_well, read_export, well_name
from o2diffusion.plate_map import Well, read_plate_map
from o2diffusion.tables import DataError, count, nearest
from o2diffusion.units import oxygen_unit, to_hours, to_um

FORMATS = ("wide", "long")
TIME_WORDS = ("time", "date", "elapsed", "hours", "minutes", "seconds", "zeit")
LONG_VALUES = ("oxygen", "o2", "value")
COLUMNS = (
    "experiment_id",
    "series_id",
    "replicate",
    "well",
    "drug",
    "concentration_um",
    "time_h",
    "oxygen",
    "unit",
)


def prepare(
    wide: Path | str,
    plate_map: Path | str,
    *,
    time_column: str | None = None,
    time_unit: str = "h",
    oxygen_unit: str | None = None,
    conc_unit: str = "uM",
    fmt: str = "wide",
    experiment_id: str | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """The long table of one plate and notes on what was left out or changed.

    `wide`: text with wells (A1 or A01, or any name of the map) as columns, one row a time; `fmt="long"`: the
    columns well, time and oxygen. Lines above the header, `;` and tabs, decimal commas are understood.
    `time_column` defaults to the first column that names a time; numbers are in `time_unit`, dates become
    hours since the first. `oxygen_unit` goes into the column `unit`; concentrations become uM; the file names
    the experiment. Wells marked exclude and wells not in the map are left out. Raises `DataError`; a well of
    the map that the file does not have is one.
    """
    wide, notes = Path(wide), []
    _check_choices(fmt, time_unit, oxygen_unit, conc_unit, notes)
    wells = read_plate_map(Path(plate_map), conc_unit, notes)
    known = {w.well for w in wells}
    if fmt == "wide":
        export = read_export(
            wide, lambda fields: _wells_in(fields, known), "wells of the map as columns", notes
        )
        curves = _wide_curves(export, wells, _time_column(export, known, time_column), time_unit, notes)
    else:
        export = read_export(wide, _long_score, "the columns well, time, oxygen", notes)
        curves = _long_curves(export, _time_column(export, known, time_column), time_unit, notes)
    used = [w for w in wells if not w.exclude]
    _check_wells(export.name, used, curves, known, notes)
    if len(used) < len(wells):
        left = ", ".join(w.well for w in wells if w.exclude)
        notes.append(f"{count(len(wells) - len(used), 'well')} excluded by the map: {left}")
    experiment = experiment_id or wide.name.split(".")[0]
    parts = [_rows(experiment, w, *curves[w.well], oxygen_unit) for w in used]
    return pd.concat(parts, ignore_index=True), notes


def _check_choices(fmt: str, time_unit: str, oxygen: str | None, conc_unit: str, notes: list[str]) -> None:
    if fmt not in FORMATS:
        msg = f"expected a format among {', '.join(FORMATS)}, got {fmt!r}"
        raise DataError(msg)
    to_hours(time_unit)
    to_um(conc_unit)
    if oxygen is None:
        notes.append("no oxygen unit given: the column unit stays empty")
    elif oxygen_unit(oxygen) is None:
        notes.append(f"oxygen unit {oxygen!r} is not known here, kept as it is")


def _wells_in(fields: list[str], known: set[str]) -> int:
    """How many fields name a well of the map or of a plate, where at least one is of the map."""
    names = {well_name(f) for f in fields}
    return len({n for n in names if n in known or is_plate_well(n)}) if names & known else 0


def _long_score(fields: list[str]) -> int:
    names = {f.casefold() for f in fields}
    return len(names & {"well", *LONG_VALUES}) if "well" in names else 0


def _time_column(export: Export, known: set[str], asked: str | None) -> str:
    names = list(export.frame.columns)
    if asked is not None:
        if asked not in names:
            msg = f"{export.name}: expected the time column {asked!r}, not there{nearest(asked, names)}"
            raise DataError(msg)
        return asked
    others = [n for n in names if well_name(n) not in known and not is_plate_well(n)]
    timed = [n for n in others if any(w in n.casefold() for w in TIME_WORDS)]
    if not timed and names[0] not in others:
        msg = f"{export.name}: expected a time column, found wells only; name it with time_column"
        raise DataError(msg)
    return timed[0] if timed else names[0]


def _wide_curves(
    export: Export, wells: list[Well], column: str, unit: str, notes: list[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(time_h, oxygen) of every well column, in order of time."""
    columns = {well_name(c): c for c in export.frame.columns if c != column}
    if len(columns) < len(export.frame.columns) - 1:
        names = [well_name(c) for c in export.frame.columns if c != column]
        twice = next(n for n in names if names.count(n) > 1)
        msg = f"{export.name}: expected each well once, got {twice!r} in two spellings"
        raise DataError(msg)
    mapped = [columns[w.well] for w in wells if w.well in columns]
    export = _without_footer(export, column, mapped, notes)
    time, counted, curves = hours(export, column, unit, notes), {}, {}
    order = np.argsort(time, kind="stable")
    if (np.diff(time) < 0).any():
        notes.append(f"{export.name}: rows not in order of time: sorted")
    again = np.flatnonzero(np.diff(time[order]) == 0)
    if again.size:
        i = int(order[again[0] + 1])
        msg = f"{export.at(i, column)}: expected each time once, got {export.frame[column].iloc[i]!r} again"
        raise DataError(msg)
    wanted = {w.well for w in wells}
    other = [c for n, c in columns.items() if n not in wanted and not is_plate_well(n)]
    if other:
        notes.append(f"{export.name}: columns not used: {', '.join(other[:10])}")
    for name, source in columns.items():
        if source not in other:
            curves[name] = (time[order], export.numbers(source, counted=counted)[order])
    _say_saturated(counted, notes)
    return curves


def _without_footer(export: Export, column: str, mapped: list[str], notes: list[str]) -> Export:
    """The export without lines at its end that hold text but no well's value."""
    full = np.zeros(len(export.frame), dtype=bool)
    for name in mapped:
        full |= np.asarray(export.frame[name].str.strip() != "", dtype=bool)
    timed = export.frame[column].str.contains(r"\d", regex=True).to_numpy()
    keep = np.flatnonzero(full | timed)
    kept = int(keep[-1]) + 1 if keep.size else 0
    if not kept:
        msg = f"{export.name}: expected rows of values below the header, got none"
        raise DataError(msg)
    if kept < len(export.frame):
        notes.append(f"{export.name}: {count(len(export.frame) - kept, 'line')} below the data not read")
    return Export(export.name, export.frame.iloc[:kept], export.rows[:kept], export.decimal)


def _long_curves(
    export: Export, column: str, unit: str, notes: list[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(time_h, oxygen) of every well of a table with the columns well, time, oxygen, in order of time."""
    names = {c.casefold(): c for c in export.frame.columns}
    value = next((names[n] for n in LONG_VALUES if n in names), None)
    if value is None:
        msg = f"{export.name}: expected a column oxygen, got {', '.join(export.frame.columns)}"
        raise DataError(msg)
    if export.frame.empty:
        msg = f"{export.name}: expected rows of values below the header, got none"
        raise DataError(msg)
    counted: dict[str, int] = {}
    oxygen = export.numbers(value, counted=counted)
    time = hours(export, column, unit, notes, ordered=False)
    _say_saturated(counted, notes)
    wells, labels = pd.factorize(export.frame[names["well"]].map(well_name))
    curves = {}
    for code, name in enumerate(labels):
        rows = np.flatnonzero(wells == code)
        rows = rows[np.argsort(time[rows], kind="stable")]
        again = np.flatnonzero(np.diff(time[rows]) == 0)
        if again.size:
            i = int(rows[again[0] + 1])
            msg = f"{export.at(i, column)}: expected each time of well {name} once, got it again"
            raise DataError(msg)
        curves[str(name)] = (time[rows], oxygen[rows])
    return curves


def _check_wells(
    name: str,
    used: list[Well],
    curves: dict[str, tuple[np.ndarray, np.ndarray]],
    known: set[str],
    notes: list[str],
) -> None:
    """Refuse wells that the file lacks; say which of the file the map lacks."""
    missing = [w.well for w in used if w.well not in curves]
    if missing:
        some = ", ".join(missing[:8])
        msg = (
            f"{name}: expected {count(len(used), 'well')} of the map, {len(missing)} missing: {some}"
            f"{nearest(missing[0], curves)}; correct the map or set exclude"
        )
        raise DataError(msg)
    if not used:
        msg = f"{name}: expected at least one well that the map does not exclude, got none"
        raise DataError(msg)
    extra = [n for n in curves if n not in known]
    if extra:
        some = ", ".join(extra[:10]) + (", ..." if len(extra) > 10 else "")
        notes.append(f"{name}: {count(len(extra), 'well')} not in the map, left out: {some}")


def _say_saturated(counted: dict[str, int], notes: list[str]) -> None:
    if counted.get("saturated"):
        notes.append(f"{count(counted['saturated'], 'value')} saturated (inf, OVER): left empty")


def _rows(
    experiment: str, well: Well, time: np.ndarray, oxygen: np.ndarray, unit: str | None
) -> pd.DataFrame:
    """The long rows of one well; a blank has no concentration."""
    cells = {
        "experiment_id": experiment,
        "series_id": well.series_id,
        "replicate": well.replicate,
        "well": well.well,
        "drug": well.drug,
        "concentration_um": np.full(len(time), well.concentration_um),
        "time_h": time,
        "oxygen": oxygen,
        "unit": unit or "",
    }
    return pd.DataFrame(cells, columns=list(COLUMNS))
