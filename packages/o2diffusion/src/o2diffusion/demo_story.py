"""What the demo tells of its plate: question, answer, numbers and picture, and the way with one's own table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytosol.story import Picture, Story, Table
from o2diffusion import baselines
from o2diffusion.canvas import UNITS

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from o2diffusion.simulation import Simulation

NEAR_H = 12.0  # [h] after a media change
SIMPLE = {"straight lines": baselines.linear, "usual response": baselines.event_template}
QUESTION = (
    "My oxygen curves have gaps, some across a media change. What lies in the gaps, and how sure is that?"
)
FORM = (
    "a CSV or Parquet table with a row for each series, replicate and time: series_id, replicate, time_h, "
    "oxygen (empty where it is to be filled), drug and concentration_um where there are some; and a table of "
    "events: experiment_id or series_id, time_h, kind (media_change). Wells as columns become such a table "
    "by `o2diffusion prepare`."
)
COMMANDS = (
    "o2diffusion describe --data mine.csv --events events.csv",
    "o2diffusion impute --data mine.csv --events events.csv --out filled.csv",
    "o2diffusion plot --data mine.csv --events events.csv --filled filled.csv --out curves.png",
)


def story(plate: Simulation, data: pd.DataFrame, scored: pd.DataFrame, out: Path) -> Story:
    """What was done and how well: the plate, the table with gaps, `demo.compare`, and where the files lie."""
    wells = len(plate.table.drop_duplicates(["series_id", "replicate"]))
    lost, gaps = (int(np.isnan(t["oxygen"].to_numpy(float)).sum()) for t in (plate.table, data))
    actual = scored["actual"].to_numpy(float)
    inside = ((actual >= scored["q05"]) & (actual <= scored["q95"])).mean()
    off = {name: np.abs(scored[name].to_numpy(float) - actual).mean() for name in ("q50", *SIMPLE)}
    best = min(SIMPLE, key=lambda name: off[name])
    unit = UNITS[plate.table["unit"].iloc[0]]
    return Story(
        question=QUESTION,
        setting=f"A simulated plate: {plate.table['series_id'].nunique()} conditions, {wells} wells, "
        f"{plate.table['time_h'].max():.0f} h, media changes at "
        f"{', '.join(f'{t:.0f}' for t in changes(plate))} h. "
        f"{lost} samples were lost in faults, {gaps - lost} more were hidden to compare with; all {gaps} "
        "were filled.",
        answer=f"What is filled in (the median) is off by {off['q50']:.1f} {unit} on average, the best simple "
        f"method ({best}) by {off[best]:.1f}. The 90 % band holds {100 * inside:.0f} % of the hidden samples.",
        tables=(_table(scored, unit),),
        pictures=(
            Picture(
                path=out / "curves.png",
                caption="Measured curves (lines), what was filled in (dashed, with bands), and what had "
                "been hidden (circles). A good band holds its circles and is narrow. Readings below zero are "
                "a sensor's offset, which the simulation includes.",
                alt="Oxygen over time, a panel a condition: lines of replicates that spike at media "
                "changes, with shaded bands across the gaps and hidden samples as circles in them.",
            ),
        ),
        own=FORM,
        commands=COMMANDS,
    )


def _table(scored: pd.DataFrame, unit: str) -> Table:
    """Mean errors of simple methods and of the median: in all, shortly after a media change, elsewhere."""
    actual, near = scored["actual"].to_numpy(float), scored["near"].to_numpy(bool)
    places = {"all": near | ~near, f"up to {NEAR_H:g} h after a change": near, "elsewhere": ~near}
    places = {name: at for name, at in places.items() if at.any()}
    rows = []
    for method, column in (*((name, name) for name in SIMPLE), ("o2diffusion", "q50")):
        error = np.abs(scored[column].to_numpy(float) - actual)
        rows.append((method, *(f"{error[at].mean():.1f}" for at in places.values())))
    return Table(
        caption=f"Mean error [{unit}] on {len(scored)} hidden samples",
        header=("method", *places),
        rows=tuple(rows),
        note="Less is better. Straight lines join the samples before and after a gap. Usual response: the same, "
        "plus the mean response to the media changes of this condition that are not hidden.",
    )


def changes(plate: Simulation) -> np.ndarray:
    """Times of the media changes: (e,) [h]."""
    return plate.events.loc[plate.events["kind"] == "media_change", "time_h"].to_numpy()
