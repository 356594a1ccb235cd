"""A plate reader's export with holes: read as it is, filled, with a band.

`plate.csv`: a time column [min] and a column a well. `map.csv`: well, drug, concentration, unit.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import o2diffusion
from o2diffusion.prepare import prepare

CHANGES_H = (24.0, 48.0)  # media changes of the run [h]
MAP = """well,drug,concentration,unit
A1,,,
A2,,,
B1,rotenone,100,nM
B2,rotenone,100,nM
"""


def make(folder: Path) -> None:
    """Files of this form: oxygen jumps at a media change and is used up again; A1 lost six hours, B2 ten."""
    rng = np.random.default_rng(0)
    hours = np.arange(0.0, 72.0, 1.0)
    since = np.min([np.where(hours >= at, hours - at, np.inf) for at in (0.0, *CHANGES_H)], axis=0)
    plate = pd.DataFrame({"Time [min]": hours * 60})
    for well, rate in {"A1": 0.25, "A2": 0.22, "B1": 0.05, "B2": 0.06}.items():
        plate[well] = np.round(15 + 70 * np.exp(-rate * since) + rng.normal(0, 1.0, len(hours)), 1)
    plate.loc[(hours >= 26) & (hours < 32), "A1"] = np.nan
    plate.loc[(hours >= 50) & (hours < 60), "B2"] = np.nan
    plate.to_csv(folder / "plate.csv", index=False)
    (folder / "map.csv").write_text(MAP, encoding="utf-8")


def main(folder: Path) -> None:
    """Read, fill, write and say."""
    table, notes = prepare(folder / "plate.csv", folder / "map.csv", time_unit="min", oxygen_unit="%air")
    events = pd.DataFrame({"experiment_id": "plate", "time_h": CHANGES_H, "kind": "media_change"})
    model = o2diffusion.load()
    with warnings.catch_warnings(
        action="ignore", category=o2diffusion.DataWarning
    ):  # said below, from its notes
        filled = model.impute(table, events, draws=40)
    filled.to_csv(folder / "filled.csv", index=False)
    for note in [*notes, *model.notes]:
        print(f"note: {note}")
    for (series, replicate), rows in filled.groupby(["series_id", "replicate"]):
        first, last = rows["time_h"].min(), rows["time_h"].max()
        width = (rows["q95"] - rows["q05"]).mean()
        print(f"{series}, replicate {replicate}: {len(rows)} times from {first:g} to {last:g} h filled,")
        print(f"  median {rows['q50'].mean():.1f} %air, bands {width:.1f} wide")


if __name__ == "__main__":
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as made:
        if given is None:
            make(Path(made))
        main(given or Path(made))
