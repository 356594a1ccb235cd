"""What `impute` wrote, read back: quantiles or draws of each filled sample beside the table they belong to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from o2diffusion.chunks import reading
from o2diffusion.imputing import Filled
from o2diffusion.oxygen_model import QUANTILES
from o2diffusion.tables import DataError, suffix_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from o2diffusion.conditions import Condition

IDS = ["experiment_id", "series_id", "replicate"]
TEXTS = (*IDS, "drug", "unit", "note", "of")
LEVELS = np.linspace(0.0, 1.0, 21)  # at these a quantile of 21 sorted values is one of the values


def read_table(file: Path, required: Sequence[str]) -> pd.DataFrame:
    """A table that a verb wrote, ids as text; `DataError` where it cannot be read or a column is missing."""
    with reading(str(file)):
        if suffix_of(file) == ".parquet":
            table = pd.read_parquet(file)
        else:
            table = pd.read_csv(
                file, dtype=dict.fromkeys(TEXTS, "string"), keep_default_na=False, na_values=[""]
            )
    _require(table, file, required)
    return table


def _require(table: pd.DataFrame, file: Path, columns: Sequence[str]) -> None:
    """Refuse a table without one of these columns."""
    missing = [name for name in columns if name not in table.columns]
    if missing:
        msg = f"{file}: expected the columns {', '.join(columns)}, missing {', '.join(missing)}"
        raise DataError(msg)


def as_filled(conditions: Sequence[Condition], file: Path) -> list[Filled | Condition]:
    """Each condition with the samples that a filled table (or one of draws) holds of it.

    Quantiles become 21 values that have exactly these quantiles. Raises `DataError` for a table that belongs to others.
    """
    table = read_table(file, ["series_id", "replicate", "time_h"])
    if "draw" in table.columns:
        table = table.pivot_table(
            index=[c for c in (*IDS, "time_h") if c in table.columns],
            columns="draw",
            values="oxygen",
            sort=False,
        ).reset_index()
        values = table.drop(columns=[c for c in (*IDS, "time_h") if c in table.columns]).to_numpy(float)
    else:
        _require(table, file, list(QUANTILES))
        known = table[list(QUANTILES)].to_numpy(float)
        values = (
            np.stack([np.interp(LEVELS, list(QUANTILES.values()), row) for row in known])
            if len(known)
            else known
        )
    ids = [c for c in IDS if c in table.columns]
    rows = {
        key: part.to_numpy()
        for key, part in pd.Series(np.arange(len(table))).groupby([table[c] for c in ids])
    }
    found = [_one(c, rows, ids, table["time_h"].to_numpy(float), values) for c in conditions]
    if len(table) and not any(isinstance(one, Filled) for one in found):
        msg = f"{file}: expected filled samples of the table's series, got none of them; was it made from --data?"
        raise DataError(msg)
    return found


def _one(
    condition: Condition,
    rows: dict[Hashable, np.ndarray],
    ids: list[str],
    time: np.ndarray,
    values: np.ndarray,
) -> Filled | Condition:
    """A condition with its own rows of the filled table, put on its times where these are new."""
    mine: list[tuple[int, int]] = []
    for k, replicate in enumerate(condition.replicates):
        fixed = {
            "experiment_id": condition.experiment_id,
            "series_id": condition.series_id,
            "replicate": replicate,
        }
        mine += [(int(i), k) for i in rows.get(tuple(fixed[name] for name in ids), ())]
    if not mine:
        return condition
    chosen, column = (np.array(x) for x in zip(*mine, strict=True))
    return Filled(*_placed(condition, time[chosen], column), values[chosen].T)


def _placed(
    condition: Condition, at: np.ndarray, column: np.ndarray
) -> tuple[Condition, np.ndarray, np.ndarray]:
    """The condition with the times `at` (m,) added where it has none, and the rows (m,) and columns (m,) of them."""
    every = np.unique(np.concatenate([condition.time_h, at]))
    old, row = np.searchsorted(every, condition.time_h), np.searchsorted(every, at)
    shape = (len(every), condition.oxygen.shape[1])
    oxygen, wanted = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    oxygen[old] = condition.oxygen
    wanted[row, column] = True
    return replace(condition, time_h=every, oxygen=oxygen, wanted=wanted), row, column
