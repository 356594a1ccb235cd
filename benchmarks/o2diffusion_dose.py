"""EC50 from simulated plates, complete and with a quarter of the data removed, against the noise-free truth.

    uv run python benchmarks/o2diffusion_dose.py [--plates 3] [--seed 101] [--model DIR] [--out table.md]

Removed: one well in ten whole, and in every other well a block of a sixth of the time. `filled` imputes what is
missing (a trained model, else the shared Gaussian process of the package) and hands all draws to `dose_response`;
`naive` joins the samples that are left by straight lines, averages the wells of a dose and fits four parameters by
least squares, with the interval that its covariance gives.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.optimize import OptimizeWarning, curve_fit

from o2diffusion import baselines
from o2diffusion.conditions import read_conditions
from o2diffusion.config import SimulationConfig
from o2diffusion.dose import dose_response
from o2diffusion.grid import scale_of, to_grid
from o2diffusion.imputing import Filled
from o2diffusion.simulation import simulate
from o2diffusion.summaries import summarise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from o2diffusion.conditions import Condition
    from o2diffusion.summaries import Summaries

TRUTH = {"area": "mean_ec50_um", "final_level": "final_ec50_um"}
WHOLE, BLOCK = 0.10, 1 / 6
DRAWS, CELLS = 60, 96


def thin(condition: Condition, rng: np.random.Generator) -> Condition:
    """The condition without whole wells and blocks; what is not there is wanted in the wells that stay."""
    time, oxygen = condition.time_h, condition.oxygen.copy()
    r = oxygen.shape[1]
    lost = rng.random(r) < WHOLE
    lost[rng.integers(r)] = False
    for k in range(r):
        start = rng.uniform(time[0], time[-1] - BLOCK * (time[-1] - time[0]))
        hidden = (time >= start) & (time < start + BLOCK * (time[-1] - time[0]))
        oxygen[lost[k] | hidden, k] = np.nan
    stay = ~lost
    labels = tuple(np.asarray(condition.replicates)[stay])
    kept = oxygen[:, stay]
    return replace(condition, oxygen=kept, replicates=labels, wanted=np.isnan(kept))


def gp_filled(condition: Condition, rng: np.random.Generator) -> Filled:
    """Joint draws of the shared Gaussian process on cells, read at the wanted samples."""
    grid = to_grid(condition, CELLS)
    level, scale = scale_of(grid.value, grid.observed, (0.0, 1.0))
    belief = baselines.gaussian_process((grid.value - level) / scale, grid.time, joint=True)
    covariance = belief.covariance + 1e-6 * np.eye(len(belief.mean))
    z = rng.standard_normal((DRAWS, len(belief.mean))) @ np.linalg.cholesky(covariance).T + belief.mean
    cells = (level + scale * z).reshape(DRAWS, *grid.value.shape)
    row, column = np.nonzero(condition.wanted)
    draws = np.empty((DRAWS, len(row)))
    for k in np.unique(column):
        mine = column == k
        at = condition.time_h[row[mine]]
        draws[:, mine] = [np.interp(at, grid.time[:, k], curve) for curve in cells[:, :, k]]
    return Filled(condition, row, column, draws)


def naive(summaries: Summaries) -> pd.DataFrame:
    """Four parameters by least squares on the means of each dose; inf where the fit fails."""
    table = summaries.table()
    rows = []
    for experiment, plate in table.groupby("experiment_id"):
        control = plate.loc[plate["concentration_um"] == 0, "mean"].mean()
        for drug, own in plate[plate["concentration_um"] > 0].groupby("drug"):
            means = own.groupby("concentration_um")["mean"].mean()
            dose, y = np.append(1e-3, means.index), np.append(control, means)

            def curve(x: np.ndarray, bottom: float, top: float, log_ec50: float, log_n: float) -> np.ndarray:
                return bottom + (top - bottom) / (1 + np.exp(-np.exp(log_n) * (np.log(x) - log_ec50)))

            with warnings.catch_warnings():
                warnings.simplefilter("ignore", (OptimizeWarning, RuntimeWarning))
                try:
                    best, covariance = curve_fit(
                        curve, dose, y, p0=[y[0], y[-1], np.log(dose[-2]), 0.7], maxfev=4000
                    )
                    centre, error = best[2], 1.645 * np.sqrt(covariance[2, 2])
                except RuntimeError:
                    centre, error = np.inf, 0.0
            low, mid, high = np.exp(np.clip([centre - error, centre, centre + error], -50, 50))
            rows.append((experiment, drug, mid, low, mid, high))
    return pd.DataFrame(rows, columns=["experiment_id", "drug", "ec50_um", "q05", "q50", "q95"])


def scores(fits: pd.DataFrame, truth: pd.DataFrame, column: str, tested: float) -> dict[str, float]:
    """Median relative error where the true EC50 was tested, and coverage of the 90 % interval over all drugs."""
    both = fits.merge(truth, on=["experiment_id", "drug"])
    actual = both[column]
    inside = actual <= tested
    return {
        "median_relative_error": float((both["q50"] / actual - 1)[inside].abs().median()),
        "coverage90": float(((both["q05"] <= actual) & (actual <= both["q95"])).mean()),
        "median_log10_width": float(np.log10(both["q95"] / both["q05"].clip(lower=1e-12)).median()),
        "n": len(both),
    }


def table_of(conditions: Iterable[Condition]) -> pd.DataFrame:
    """Conditions as the long table: rows that are wanted are empty."""
    parts = []
    for c in conditions:
        row, column = np.nonzero(np.isfinite(c.oxygen) | c.wanted)
        fixed = {"experiment_id": c.experiment_id, "series_id": c.series_id, "drug": c.drug, "unit": c.unit}
        cells = {
            "replicate": np.asarray(c.replicates)[column],
            "time_h": c.time_h[row],
            "oxygen": c.oxygen[row, column],
        }
        parts.append(pd.DataFrame(fixed | {"concentration_um": c.concentration_um} | cells))
    return pd.concat(parts, ignore_index=True)


def fill(conditions: list[Condition], events: pd.DataFrame, directory: str | None, seed: int) -> list[Filled]:
    """The wanted samples drawn by a trained model, or by the Gaussian process."""
    if directory is None:
        return [gp_filled(c, np.random.default_rng([seed, i])) for i, c in enumerate(conditions)]
    from o2diffusion import load

    return list(
        load(directory).impute_iter(table_of(conditions), events, draws=DRAWS, seed=seed, unknown_drug=True)
    )


def markdown(table: pd.DataFrame, words: str) -> str:
    """The table as Markdown."""
    lines = [words, "", "| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += [
        "| " + " | ".join(f"{x:.3g}" if isinstance(x, float) else str(x) for x in row) + " |"
        for row in table.to_numpy(object)
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plates", type=int, default=3)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--model")
    parser.add_argument("--out")
    args = parser.parse_args()
    config = SimulationConfig(experiments=args.plates)
    simulation = simulate(config, seed=args.seed)
    whole = read_conditions(simulation.table, simulation.events, notes=[])
    rng = np.random.default_rng(args.seed)
    thinned = [thin(c, rng) for c in whole]
    filled = {
        "complete": fill(
            [replace(c, wanted=np.isnan(c.oxygen)) for c in whole], simulation.events, args.model, args.seed
        ),
        "incomplete": fill(thinned, simulation.events, args.model, args.seed),
    }
    truth = (
        simulation.responses.dropna(subset=["mean_ec50_um"])
        .groupby(["experiment_id", "drug"], as_index=False)
        .first()
    )
    rows = []
    for kind, column in TRUTH.items():
        for data, plain in (("complete", whole), ("incomplete", thinned)):
            ours = dose_response(summarise(filled[data], kind))
            no_fill = dose_response(summarise(plain, kind, min_covered=0.0))
            simple = naive(summarise(plain, kind, min_covered=0.0))
            for method, fits in (("filled", ours), ("not filled", no_fill), ("naive", simple)):
                row = {"summary": kind, "data": data, "method": method}
                rows.append(row | scores(fits, truth, column, config.max_concentration_um))
    table = pd.DataFrame(rows)
    print(table.round(3).to_string(index=False))
    if args.out:
        method = f"the model in {Path(args.model).name}" if args.model else "the shared Gaussian process"
        words = (
            f"EC50 on {args.plates} simulated plates (seed {args.seed}); filled by {method}, {DRAWS} draws."
        )
        Path(args.out).write_text(markdown(table, f"# Dose-response\n\n{words}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
