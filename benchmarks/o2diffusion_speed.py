"""Speed and memory of `impute`: 24 conditions with 100 draws, beside PyPOTS' CSDI, and ten million rows as a stream.

    uv run python benchmarks/o2diffusion_speed.py [--csdi PYTHON] [--wells 1000] [--points 10000] [--threads 2]

PYTHON is the interpreter of an environment of its own that holds PyPOTS, which is no dependency of this project:
`uv venv E && uv pip install --python E/bin/python pypots`. The default model is used where the package has one, else an
untrained network of the default size, which is as fast. Every program gets --threads threads. Writes
o2diffusion_speed.md; the tables of the stream go to a temporary directory (--folder: elsewhere) of about 1 GB. Exits 1
where PYTHON or PyPOTS is absent. --wells 0 leaves the stream out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from watch import processor, watched

from o2diffusion import imputing, oxygen_model, sampling
from o2diffusion.conditions import Condition, read_conditions
from o2diffusion.config import Config, SimulationConfig
from o2diffusion.corpus import facts
from o2diffusion.grid import to_grid
from o2diffusion.model import FlexibleReplicateDiffusionModel
from o2diffusion.oxygen_model import OxygenModel
from o2diffusion.simulation import simulate
from o2diffusion.tables import table_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
REPLICATES, POINTS, STEP_H = 4, 128, 0.93
BLOCK, POINT = 0.15, 0.20  # parts of a curve hidden as one block, and at random
DRAWS, CSDI_DRAWS, STREAM_DRAWS = 100, 10, 20
SECONDS, FASTER, PEAK_GB = 20.0, 20.0, 4.0  # the bars
GAPS, SHORT, LONG = 4, 0.005, 0.05  # of a streamed well: short gaps, their part of it, one long gap's part
WHOLE = {"replicate_share": (0.0, 0.0, 0.0, 1.0), "sparse": 0.0, "faults": 0.0, "excluded": 0.0}
KEPT = ["experiment_id", "series_id", "replicate", "time_h", "oxygen", "unit"]  # no model need know the drugs
SIZE = "layers 2, heads 4, channels 32, time 128, feature 16, diffusion 128, steps 50"
CSDI = """
import json, sys, time
import numpy as np, torch, pypots
from pypots.imputation import CSDI
data, out, draws, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
x = np.load(data).astype("float32")
model = CSDI(x.shape[1], x.shape[2], n_layers=2, n_heads=4, n_channels=32, d_time_embedding=128, d_feature_embedding=16,
             d_diffusion_embedding=128, n_diffusion_steps=50, batch_size=len(x), epochs=1, device="cpu", verbose=False)
model.fit({"X": x})
model.predict({"X": x[:1]}, n_sampling_times=1)
start = time.perf_counter()
filled = model.predict({"X": x}, n_sampling_times=draws)["imputation"]
seconds = time.perf_counter() - start
assert filled.shape == (len(x), draws, *x.shape[1:]), filled.shape
parameters = sum(p.numel() for p in model.model.parameters())
json.dump({"seconds": seconds, "parameters": parameters, "pypots": pypots.__version__}, open(out, "w"))
"""


@dataclass(frozen=True)
class Row:
    """A line of the table: what was measured, the value in words, and the bar with whether it is met."""

    what: str
    value: str
    bar: str = ""
    met: bool | None = None


def small_plate() -> tuple[pd.DataFrame, pd.DataFrame]:
    """24 conditions x 4 replicates x 128 points with a block in all replicates and points hidden; and its events."""
    hours = (POINTS - 1) * STEP_H
    config = SimulationConfig(drugs=3, concentrations=8, hours=hours, changes=2, experiments=1, **WHOLE)
    made = simulate(config, seed=1)
    table = made.table[KEPT].copy()
    rng = np.random.default_rng(0)
    place = table.groupby(["series_id", "replicate"], sort=False).cumcount().to_numpy()
    series = pd.factorize(table["series_id"])[0]
    length = round(BLOCK * POINTS)
    first = rng.integers(POINTS // 10, POINTS - length - POINTS // 10, series.max() + 1)[series]
    hidden = ((place >= first) & (place < first + length)) | (rng.random(len(table)) < POINT)
    table.loc[hidden, "oxygen"] = np.nan
    return table, made.events


def the_model(conditions: list[Condition], given: Path | None) -> tuple[OxygenModel, str]:
    """The model of a directory, the default one, or an untrained one of its size; and which it is."""
    if given is not None or oxygen_model.DEFAULT.is_dir():
        return oxygen_model.load(given), "trained model" if given else "default model"
    torch.manual_seed(0)
    config = Config()
    net = FlexibleReplicateDiffusionModel(config.model).eval()
    model = OxygenModel(net, config, facts(conditions, use_drugs=False))
    return model, "untrained network of the default size"


def timed(clock: dict[str, float], name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, its wall time [s] added to the clock."""

    def measured(*given: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return call(*given, **named)
        finally:
            clock[name] = clock.get(name, 0.0) + time.perf_counter() - start

    return measured


def filling(model: OxygenModel, runs: int) -> tuple[list[Row], float]:
    """`impute` on the small plate, the median of some runs: the rows, and seconds a draw and condition."""
    table, events = small_plate()
    model.impute(table[table["series_id"] == table["series_id"].iloc[0]], events, draws=2)
    found = []
    for _ in range(runs):
        clock: dict[str, float] = {}
        with ExitStack() as stack:
            for name, owner, call in (
                ("features (Gaussian processes)", imputing, "items_of"),
                ("encoder", model.net, "encode"),
                ("denoiser", sampling, "draw_scores"),
            ):
                stack.enter_context(patch.object(owner, call, timed(clock, name, getattr(owner, call))))
            start = time.perf_counter()
            filled = model.impute(table, events, draws=DRAWS)
            found.append((time.perf_counter() - start, clock))
    wall, clock = sorted(found, key=lambda one: one[0])[len(found) // 2]
    conditions = table["series_id"].nunique()
    each = wall / DRAWS / conditions
    what = f"{conditions} conditions x {REPLICATES} replicates x {POINTS} points, {len(filled)} filled, {DRAWS} draws"
    return [
        Row(what, f"{wall:.1f} s", f"at most {SECONDS:g} s", wall <= SECONDS),
        *(Row(f"of it {name}", f"{seconds:.1f} s") for name, seconds in clock.items()),
        Row("a draw of a condition", f"{1e3 * each:.2f} ms"),
    ], each


def as_array() -> np.ndarray:
    """The small plate as CSDI takes it: z-scores (conditions, times, replicates), NaN where hidden."""
    table, events = small_plate()
    values = np.stack([to_grid(c, POINTS).value for c in read_conditions(table, events, notes=[])])
    return (values - np.nanmean(values, (1, 2), keepdims=True)) / np.nanstd(values, (1, 2), keepdims=True)


def csdi(python: Path, own: float, threads: int) -> list[Row]:
    """CSDI's time a draw and condition on the same plate, and how much faster `own` [s] is."""
    values = as_array()
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "data.npy", Path(folder) / "out.json"
        np.save(data, values)
        whole = [str(word) for word in (python, "-c", CSDI, data, out, CSDI_DRAWS, threads)]
        using = environment(threads)
        ran = subprocess.run(whole, capture_output=True, text=True, check=False, cwd=folder, env=using)
        if ran.returncode or not out.exists():
            fail(f"{python}: CSDI did not run: {(ran.stderr.strip().splitlines() or ['no word'])[-1]}")
        got = json.loads(out.read_text())
    each = got["seconds"] / CSDI_DRAWS / len(values)
    what = f"PyPOTS {got['pypots']} CSDI ({got['parameters']:,} parameters: {SIZE}), {CSDI_DRAWS} draws, one batch"
    return [
        Row(what, f"{got['seconds']:.1f} s"),
        Row("a draw of a condition", f"{1e3 * each:.1f} ms"),
        Row("o2diffusion is faster", f"{each / own:.0f} x", f"at least {FASTER:g} x", each / own >= FASTER),
    ]


def big_plate(wells: int, points: int) -> Iterator[pd.DataFrame]:
    """Series of four wells one by one: simulated curves at many points, with short gaps and a long one in each well."""
    made = simulate(SimulationConfig(drugs=-(-wells // 32), concentrations=8, experiments=1, **WHOLE), seed=2)
    rng = np.random.default_rng(3)
    for series, part in list(made.table.groupby("series_id", sort=False))[: wells // REPLICATES]:
        at = np.linspace(0.0, part["time_h"].max(), points).round(4)
        for replicate, well in part.groupby("replicate", sort=False):
            oxygen = np.interp(at, well["time_h"], well["oxygen"]) + rng.normal(0.0, 0.4, points)
            lengths = [*rng.multinomial(round(SHORT * points), [1 / GAPS] * GAPS), round(LONG * points)]
            for length in lengths:
                first = rng.integers(0, points - length)
                oxygen[first : first + length] = np.nan
            fixed = {"experiment_id": "big", "series_id": str(series), "replicate": str(replicate)}
            yield pd.DataFrame(fixed | {"time_h": at, "oxygen": oxygen.round(2), "unit": "%air"})


def streaming(model: OxygenModel, asked: argparse.Namespace, folder: Path) -> list[Row]:
    """Wall time and peak memory of the `impute` verb on a big table in each format."""
    model.save(folder / "model", force=True)
    rows = []
    for kind in asked.formats.split(","):
        table, out = folder / f"big.{kind}", folder / f"filled.{kind}"
        with table_writer(table) as write:
            for frame in big_plate(asked.wells, asked.points):
                write(frame)
        words = ["impute", folder / "model", "--data", table, "--out", out, "--draws", STREAM_DRAWS]
        spent = watched("o2diffusion", words, threads=asked.threads)
        peak = spent.peak / 1e9
        megabytes = table.stat().st_size / 1e6
        size = f"{asked.wells} wells x {asked.points} points"
        what = f"{size}, {kind} of {megabytes:.0f} MB, {STREAM_DRAWS} draws"
        rows += [
            Row(f"{what}: peak memory", f"{peak:.2f} GB", f"under {PEAK_GB:g} GB", peak < PEAK_GB),
            Row(f"the same: time ({spent.cpu:.0f} s of processors)", f"{spent.seconds:.0f} s"),
        ]
        table.unlink()
        out.unlink()
    return rows


def environment(threads: int) -> dict[str, str]:
    """This process's, with so many threads."""
    return os.environ | {"OMP_NUM_THREADS": str(threads)}


def fail(text: str) -> None:
    """Leave with exit code 1."""
    print(text, file=sys.stderr)
    raise SystemExit(1)


def write(rows: list[Row], about: str) -> None:
    """The table, to the file and to the terminal."""
    lines = ["# Speed and memory of `o2diffusion impute`", "", about, ""]
    lines += ["| measured | value | bar | met |", "|---|---|---|---|"]
    for row in rows:
        met = "" if row.met is None else "yes" if row.met else "no"
        lines.append(f"| {row.what} | {row.value} | {row.bar} | {met} |")
    (HERE / "o2diffusion_speed.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--csdi", type=Path, default=None, metavar="PYTHON")
    parser.add_argument("--model", type=Path, default=None, metavar="DIR")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--wells", type=int, default=1000)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--formats", default="parquet,csv")
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    if asked.csdi is not None and not os.access(asked.csdi, os.X_OK):
        fail(f"{asked.csdi}: expected the interpreter of an environment with PyPOTS, nothing to run there")
    torch.set_num_threads(asked.threads)
    busy = os.getloadavg()[0]
    model, which = the_model(read_conditions(*small_plate(), notes=[]), asked.model)
    rows, own = filling(model, asked.runs)
    if asked.csdi is not None:
        rows += csdi(asked.csdi, own, asked.threads)
    if asked.wells:
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            rows += streaming(model, asked, Path(folder))
    size = sum(p.numel() for p in model.net.parameters())
    about = (
        f"{which.capitalize()}, {size:,} parameters; {asked.threads} threads of {os.cpu_count()} cores, {processor()}; "
        f"torch {torch.__version__}; load average at the start {busy:.1f}. Wall times; of `impute` the median of "
        f"{asked.runs} runs."
    )
    write(rows, about)
    return 0


if __name__ == "__main__":
    sys.exit(main())
