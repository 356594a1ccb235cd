"""Simulated experiments as tables, with the truth beside them.

`simulate` draws experiments (plates of drugs, closed chambers, measurement cycles), integrates their physics
and returns the package's data format. The same configuration and seed give the same tables.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from o2diffusion.chambers import PROTOCOLS, simulate_chambers
from o2diffusion.plates import simulate_plates

if TYPE_CHECKING:
    from o2diffusion.config import SimulationConfig
    from o2diffusion.measurement import Run

MIXTURE = {"plate": 0.40, "respirometry": 0.30, "intermittent": 0.10, "cycles": 0.20}


@dataclass(frozen=True)
class Simulation:
    """What `simulate` returns: four tables; times in hours, concentrations in uM, oxygen in the run's unit.

    table: experiment_id, series_id, replicate, drug, concentration_um, time_h, oxygen (NaN in a fault), unit.
    events: experiment_id, time_h, kind (media_change, drug_start, flush, injection), drug_containing.
    truth: series_id, time_h, oxygen_true: the condition's curve without replicate effects, drift and noise.
    responses: a row per condition and media change of a plate: spike [%], peak_delay_h, half_decay_h of the
    true curve (`physics.media_response`); the parameters of the mechanism; mean_oxygen and final_oxygen
    (last day) and the concentrations of half effect on them, mean_ec50_um and final_ec50_um. Of chambers a
    row per condition: rate_per_h (consumption, in the run's unit) and km.
    """

    table: pd.DataFrame
    events: pd.DataFrame
    truth: pd.DataFrame
    responses: pd.DataFrame


def simulate(config: SimulationConfig, *, seed: int) -> Simulation:
    """Experiments of the configured protocol, as tables with their truth."""
    return tables(simulate_runs(config, seed=seed))


def simulate_runs(config: SimulationConfig, *, seed: int) -> list[Run]:
    """The same experiments as arrays, without tables: the fast way into training."""
    rng = np.random.default_rng(seed)
    if config.vary:
        return [
            run
            for i in range(config.experiments)
            for run in _runs(varied(config, rng, i), rng, seed, first=i)
        ]
    return _runs(config, rng, seed)


def varied(config: SimulationConfig, rng: np.random.Generator, number: int) -> SimulationConfig:
    """The configuration of one experiment among many that differ, drugs included.

    Half the plates keep the configured duration, half the configured step; schedules have one to eight changes.
    """
    hours = float(config.hours if rng.random() < 0.5 else config.hours * np.exp(rng.uniform(-2.0, 0.1)))
    step = float(config.step_h if rng.random() < 0.5 else config.step_h * np.exp(rng.uniform(-1.3, 0.8)))
    return replace(
        config,
        experiments=1,
        vary=False,
        hours=hours,
        step_h=min(step, hours / 100),
        changes=int(rng.integers(1, 9)),
        interval_spread=float(rng.uniform(0.05, 0.8)),
        noise=config.noise * float(np.exp(rng.normal(0.0, 0.4))),
        spread=config.spread * float(np.exp(rng.normal(0.0, 0.3))),
        drug_prefix=f"{config.drug_prefix}{number:04d}.",
    )


def _runs(config: SimulationConfig, rng: np.random.Generator, seed: int, first: int = 0) -> list[Run]:
    """Experiments of one configuration, numbered from `first`."""
    if config.protocol == "mixed":
        kinds = rng.choice(list(MIXTURE), size=config.experiments, p=list(MIXTURE.values()))
    else:
        kinds = np.full(config.experiments, config.protocol)
    ids = [f"{kind}.{seed}.{i:04d}" for i, kind in enumerate(kinds, first)]
    by_kind = {kind: [name for name, k in zip(ids, kinds, strict=True) if k == kind] for kind in MIXTURE}
    runs = simulate_plates(config, rng, by_kind["plate"]) if by_kind["plate"] else []
    for kind in PROTOCOLS:
        if by_kind[kind]:
            runs += simulate_chambers(config, rng, kind, by_kind[kind])
    return sorted(runs, key=lambda run: run.experiment_id.rsplit(".", 1)[1])


def _rows(run: Run) -> dict[str, np.ndarray]:
    """One run's rows in the order series, replicate, time."""
    kept = run.keep.T
    well, sample = np.nonzero(kept)
    series = run.wells[well]
    return {
        "experiment_id": np.full(len(well), run.experiment_id, dtype=object),
        "series_id": np.asarray(run.series_id, dtype=object)[series],
        "replicate": run.replicate[well],
        "drug": np.asarray(run.drug, dtype=object)[series],
        "concentration_um": run.concentration[series],
        "time_h": run.time[sample],
        "oxygen": run.value.T[kept],
        "unit": np.full(len(well), run.unit, dtype=object),
    }


def tables(runs: list[Run]) -> Simulation:
    """Runs (at least one) as the four tables of `Simulation`."""
    parts = [_rows(run) for run in runs]
    table = pd.DataFrame({k: np.concatenate([p[k] for p in parts]) for k in parts[0]})
    events = pd.DataFrame(
        [(run.experiment_id, *event) for run in runs for event in run.events],
        columns=["experiment_id", "time_h", "kind", "drug_containing"],
    )
    truth = pd.DataFrame(
        {
            "series_id": np.concatenate(
                [np.repeat(np.asarray(r.series_id, dtype=object), len(r.time)) for r in runs]
            ),
            "time_h": np.concatenate([np.tile(r.time, len(r.series_id)) for r in runs]),
            "oxygen_true": np.concatenate([r.truth.T.ravel() for r in runs]),
        }
    )
    responses = pd.DataFrame([row for run in runs for row in run.responses])
    return Simulation(table, events, truth, responses)
