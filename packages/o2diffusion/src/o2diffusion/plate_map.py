"""The plate map: which drug, concentration, series and replicate each well holds."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from o2diffusion.columns import Vocabulary
from o2diffusion.plate_export import Export, read_export, well_name
from o2diffusion.tables import DataError
from o2diffusion.units import to_um

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ("well", "drug", "concentration", "concentration_um", "unit", "series_id", "replicate", "exclude")
ALIASES = {"series": "series_id", "conc": "concentration", "compound": "drug", "excluded": "exclude"}
BLANKS = ("blank", "blanks", "no cells", "background")  # a drug of this name: a well without cells
_QUANTITY = re.compile(r"^([-+]?[\d.,]+(?:e[-+]?\d+)?)\s*([^\d\s].*)?$", re.IGNORECASE)
_YES, _NO = ("true", "1", "yes", "y", "x"), ("false", "0", "no", "n", "", "na")


@dataclass(frozen=True)
class Well:
    """One well of a plate: `drug` "" is no drug, `concentration_um` [uM] NaN not stated, `exclude` not to be used."""

    well: str
    drug: str
    concentration_um: float
    series_id: str
    replicate: str
    exclude: bool


def read_plate_map(path: Path, conc_unit: str, notes: list[str]) -> list[Well]:
    """The wells of a map, their series named and replicates numbered within a series in the map's order.

    Columns: well; optional drug, concentration (or concentration_um), unit, series_id, replicate, exclude.
    `unit` is the concentration's, row by row, `conc_unit` where there is none; "10 uM" is understood.
    A drug called blank is a well without cells. A series is drug x concentration where the map names none.
    Spellings of a drug that differ in case or spaces are one. Raises `DataError`.
    """
    export = read_export(path, _score, "a column 'well'", notes)
    names = {c: _column(c) for c in export.frame.columns}
    unused = [c for c, n in names.items() if n not in COLUMNS]
    if unused:
        notes.append(f"{export.name}: columns not used: {', '.join(unused)}")
    cells = {n: export.frame[c].str.strip().tolist() for c, n in names.items() if n in COLUMNS}
    if "concentration" in cells and "concentration_um" in cells:
        msg = f"{export.name}: expected concentration or concentration_um, got both; remove one"
        raise DataError(msg)
    wells, seen, drugs = [], {}, Vocabulary(fold=True)
    for i in range(len(export.frame)):
        row = {n: cells[n][i] if n in cells else "" for n in COLUMNS}
        if not row["well"]:
            msg = f"{export.at(i, 'well')}: expected a well, got an empty cell"
            raise DataError(msg)
        row["drug"] = drugs.names[drugs.code(row["drug"])]
        well = _well(export, i, row, conc_unit)
        if well.well in seen:
            before = int(export.rows[seen[well.well]])
            msg = f"{export.at(i, 'well')}: expected each well once, got {row['well']!r} again (row {before})"
            raise DataError(msg)
        seen[well.well] = i
        wells.append(well)
    return _number(export.name, wells)


def _column(name: str) -> str:
    plain = name.strip().casefold().replace(" ", "_")
    return ALIASES.get(plain, plain)


def _score(fields: list[str]) -> int:
    names = [_column(f) for f in fields]
    return len(set(names) & set(COLUMNS)) if "well" in names else 0


def _well(export: Export, index: int, row: dict[str, str], conc_unit: str) -> Well:
    flag = row["exclude"].casefold()
    if flag not in _YES + _NO:
        msg = f"{export.at(index, 'exclude')}: expected true or false, got {row['exclude']!r}"
        raise DataError(msg)
    drug = row["drug"]
    if drug.casefold() in BLANKS:
        drug = "blank"
    return Well(
        well=well_name(row["well"]),
        drug=drug,
        concentration_um=_concentration(export, index, row, conc_unit),
        series_id=row["series_id"],
        replicate=row["replicate"],
        exclude=flag in _YES,
    )


def _concentration(export: Export, index: int, row: dict[str, str], conc_unit: str) -> float:
    column = "concentration_um" if row["concentration_um"] else "concentration"
    text = row[column]
    if text.casefold() in ("", "na", "nan"):
        return math.nan
    match = _QUANTITY.match(text)
    try:
        value = float((match[1] if match else text).replace(",", "."))
        unit = "uM" if column == "concentration_um" else (match and match[2]) or row["unit"] or conc_unit
        value *= to_um(unit)
    except ValueError as error:
        why = f"; {error}" if isinstance(error, DataError) else ""
        msg = f"{export.at(index, column)}: expected a concentration such as 10 or 10 nM, got {text!r}{why}"
        raise DataError(msg) from error
    if not (value >= 0 and math.isfinite(value)):
        msg = f"{export.at(index, column)}: expected 0 or more, got {text!r}"
        raise DataError(msg)
    return float(f"{value:.12g}")  # 100 nM is 0.1 uM, not 0.10000000000000002


def _number(name: str, wells: list[Well]) -> list[Well]:
    """Wells with series named and replicates numbered; a label given twice in a series is refused."""
    named, used = [], {}
    for well in wells:
        series = well.series_id or _series(well)
        labels = used.setdefault(series, set())
        label = well.replicate or (str(len(labels) + 1) if not well.exclude else "")
        if not well.exclude:
            if label in labels:
                msg = (
                    f"{name}: well {well.well}, column 'replicate': expected each label once in series "
                    f"{series!r}, got {label!r} again"
                )
                raise DataError(msg)
            labels.add(label)
        named.append(replace(well, series_id=series, replicate=label))
    return named


def _series(well: Well) -> str:
    """The name of drug x concentration."""
    dose = "" if math.isnan(well.concentration_um) else f" {well.concentration_um:g} uM"
    return f"{well.drug or 'control'}{dose}"
