"""A plate in half a minute: simulated, with parts hidden, filled, and compared with simple methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from o2diffusion.config import SimulationConfig
from o2diffusion.demo_story import NEAR_H, SIMPLE, changes, story
from o2diffusion.simulation import Simulation, simulate
from o2diffusion.tables import write_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from cytosol.story import Story
    from o2diffusion.imputing import Filled
    from o2diffusion.oxygen_model import OxygenModel

SEED = 7
DRAWS = 32
BLOCK_H = 30.0  # hidden of every replicate of a condition, around a media change in every second one
PLATE = SimulationConfig(experiments=1, drugs=1, concentrations=4, hours=240.0, changes=3, faults=0.05)
KEYS = ["series_id", "replicate", "time_h"]


def run(out: Path, model: OxygenModel | None = None) -> Story:
    """Write data.csv, events.csv, filled.csv and curves.png to `out`; what they show.

    model: another one than the package's own.
    """
    from cytosol.figures import save
    from o2diffusion.oxygen_model import load, summary

    model = load() if model is None else model
    plate = simulate(PLATE, seed=SEED)
    hidden = hide(plate, np.random.default_rng(SEED))
    data = plate.table.assign(oxygen=plate.table["oxygen"].mask(hidden))
    filled = list(model.impute_iter(data, plate.events, draws=DRAWS, seed=SEED))
    numbers = pd.concat([summary(one) for one in filled], ignore_index=True)
    for name, frame in (("data", data), ("events", plate.events), ("filled", numbers)):
        write_table([frame], out / f"{name}.csv")
    scored = compare(plate, filled, numbers, hidden)
    save(picture(filled, scored), out / "curves.png")
    return story(plate, data, scored, out)


def picture(filled: Sequence[Filled], scored: pd.DataFrame) -> Figure:
    """Curves with bands, and what was hidden (`compare`) as open circles."""
    from o2diffusion.canvas import COLOURS
    from o2diffusion.plots import plot_curves

    figure = plot_curves(filled, title="A simulated plate: bands were drawn without knowing the circles")
    for axes, one in zip(figure.axes, filled, strict=False):
        for k, name in enumerate(one.condition.replicates):
            own = scored[(scored["series_id"] == one.condition.series_id) & (scored["replicate"] == name)]
            axes.plot(
                own["time_h"], own["actual"], "o", ms=2.6, mew=0.5, mfc="none", mec=COLOURS[k % len(COLOURS)]
            )
    return figure


def hide(plate: Simulation, rng: np.random.Generator) -> np.ndarray:
    """Samples to hide, bool (rows,): one block a condition, where oxygen was measured."""
    table = plate.table
    time = table["time_h"].to_numpy()
    hidden = np.zeros(len(table), dtype=bool)
    changed = changes(plate)
    for number, (_, rows) in enumerate(table.groupby("series_id", sort=False).indices.items()):
        first, last = time[rows].min(), time[rows].max()
        start = rng.uniform(first + BLOCK_H, last - 2 * BLOCK_H)
        if number % 2 and changed.size:
            start = rng.choice(changed) - 0.2 * BLOCK_H
        hidden[rows] |= (time[rows] >= start) & (time[rows] < start + BLOCK_H)
    return hidden & table["oxygen"].notna().to_numpy()


def compare(
    plate: Simulation, filled: Sequence[Filled], numbers: pd.DataFrame, hidden: np.ndarray
) -> pd.DataFrame:
    """A row for each sample hidden (rows,): its keys, `actual`, a column for each of `SIMPLE`, q05, q50, q95, near.

    Oxygen in the plate's unit; `numbers` is `summary` of all of `filled`. `near`: within `NEAR_H` after a change.
    """
    actual = plate.table.loc[hidden, [*KEYS, "oxygen"]].rename(columns={"oxygen": "actual"})
    actual["replicate"] = actual["replicate"].astype(str)
    scored = actual
    for made in (numbers[[*KEYS, "q05", "q50", "q95"]], pd.concat([_simple(one) for one in filled])):
        scored = scored.merge(made, on=KEYS, how="left", validate="one_to_one")
    lag = scored["time_h"].to_numpy()[:, None] - changes(plate)
    near = ((lag >= 0) & (lag < NEAR_H)).any(axis=1)
    return scored.assign(near=near).dropna(subset=[*SIMPLE, "q50"])


def _simple(one: Filled) -> pd.DataFrame:
    """What simple methods say at every time of a condition: its keys, and a column for each of `SIMPLE`."""
    condition = one.condition
    shape = condition.oxygen.shape
    time = np.broadcast_to(condition.time_h[:, None], shape)
    keys = {"series_id": condition.series_id, "replicate": np.tile(condition.replicates, shape[0])}
    made = {n: f(condition.oxygen, time, condition.events.time_h).ravel() for n, f in SIMPLE.items()}
    return pd.DataFrame({**keys, "time_h": time.ravel(), **made})
