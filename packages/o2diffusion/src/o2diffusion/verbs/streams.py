"""Filled conditions as frames of equal columns, written while they come: memory does not grow with the table."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from o2diffusion.chunks import header
from o2diffusion.oxygen_model import QUANTILES, keys, summary
from o2diffusion.tables import table_writer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd

    from o2diffusion.imputing import Filled

KEYS = ("experiment_id", "series_id", "replicate", "drug", "concentration_um", "unit")
NUMBERS = ("concentration_um",)
ALWAYS = ("series_id", "replicate")
VALUES = ("mean", *QUANTILES)


def keys_of(data: Path) -> list[str]:
    """The key columns that a table has, in the order in which they are written."""
    there = set(header(data))
    return [key for key in KEYS if key in there or key in ALWAYS]


def write_filled(filled: Iterable[Filled], columns: list[str], out: Path, draws_out: Path | None) -> int:
    """Write the summaries to `out` and, if asked, every draw to `draws_out`; the number of filled samples."""
    order = [k for k in columns if k != "unit"] + ["time_h"]
    unit = ["unit"] if "unit" in columns else []
    with ExitStack() as stack:
        write = stack.enter_context(table_writer(out))
        write_draws = None if draws_out is None else stack.enter_context(table_writer(draws_out))
        rows = 0
        for one in filled:
            rows += one.draws.shape[1]
            write(even(summary(one), [*order, *VALUES, *unit]))
            if write_draws is not None:
                write_draws(even(draws_of(one), [*order, "draw", "oxygen", *unit]))
    return rows


def draws_of(one: Filled) -> pd.DataFrame:
    """Every draw of a condition's filled samples as rows: keys, time_h, draw (from 1), oxygen, its unit if stated."""
    count, samples = one.draws.shape
    table = keys(one)
    long = table.loc[np.tile(np.arange(samples), count)].reset_index(drop=True)
    long["draw"] = np.repeat(np.arange(1, count + 1), samples)
    long["oxygen"] = one.draws.ravel()
    if one.condition.unit is not None:
        long["unit"] = one.condition.unit
    return long


def even(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The frame with exactly these columns, of the same types in every condition."""
    frame = frame.reindex(columns=columns)
    for name in columns:
        if name in KEYS and name not in NUMBERS:
            frame[name] = frame[name].astype("string")
        elif name == "draw":
            frame[name] = frame[name].astype("int32")
        else:
            frame[name] = frame[name].astype("float64")
    return frame
