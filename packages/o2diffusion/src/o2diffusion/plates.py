"""Simulated plates: drugs by concentrations, media changes, replicate wells; physics from `physics`.

The constants, as those of `design`, were set so that the statistics of default plates meet those of real
ones. Letters: w wells, s conditions, n samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from o2diffusion.design import Plate, design, replicate_wells, stack, step_length, steps_of_changes, unrest
from o2diffusion.measurement import Run, exclusion_mask, fault_mask, plate_times, replicate_counts, sensor
from o2diffusion.physics import integrate_culture, smooth_noise
from o2diffusion.truth import dose_truth, responses

if TYPE_CHECKING:
    from o2diffusion.config import SimulationConfig

MAX_WELLS = 6000  # integrated at once
ACTIVITY = 0.08  # wandering of a well's consumption (SD of its logarithm), correlated over ACTIVITY_H
ACTIVITY_H = 12.0
OUTAGE, LOST = 0.02, 0.02  # parts of a plate's time and of its samples that no well has
OFFSET = 1.2  # SD of a well's sensor offset [%]
REPLICATE_SHARE = (0.0, 0.08, 0.30, 0.62)  # of conditions with 1, 2, 3, 4 wells


def simulate_plates(config: SimulationConfig, rng: np.random.Generator, ids: list[str]) -> list[Run]:
    """Plates called `ids`, integrated together in groups of at most about MAX_WELLS wells."""
    size = max(1, MAX_WELLS // (config.drugs * config.concentrations * 4))
    out = []
    for i in range(0, len(ids), size):
        out += _group(config, rng, [design(config, rng, name) for name in ids[i : i + size]])
    return out


def _group(config: SimulationConfig, rng: np.random.Generator, plates: list[Plate]) -> list[Run]:
    """Integrate wells, noise-free conditions and dose ladders of some plates, then measure each plate."""
    dt = step_length(config)
    steps = int(np.ceil(config.hours / dt))
    layout = [replicate_counts(rng, config.replicate_share or REPLICATE_SHARE, len(p.names)) for p in plates]
    own = [
        replicate_wells(p, wells, rng, config.spread) for p, (wells, _) in zip(plates, layout, strict=True)
    ]
    wells, columns = stack(own)
    wander = smooth_noise(rng, int(np.ceil(config.hours)), len(wells.ec50), ACTIVITY_H)
    size = np.concatenate([unrest(p, index) for p, (index, _) in zip(plates, layout, strict=True)])
    activity = np.exp(ACTIVITY * config.spread * size * wander)
    measured = integrate_culture(wells, steps, dt, steps_of_changes(plates, columns, dt), activity)
    exact, exact_columns = stack([p.culture for p in plates])
    truth = integrate_culture(exact, steps, dt, steps_of_changes(plates, exact_columns, dt))
    doses = dose_truth(config, plates, steps, dt)
    out = []
    for i, plate in enumerate(plates):
        curves = Curves(dt * np.arange(steps + 1), measured[:, columns[i]], truth[:, exact_columns[i]])
        run = _measure(config, rng, plate, layout[i], curves)
        run.responses = responses(plate, run.series_id, curves.grid, curves.truth + plate.offset, doses[i])
        out.append(run)
    return out


@dataclass(frozen=True)
class Curves:
    """Integrated curves of one plate [%]: times `grid` (n,) [h], wells `measured` (n, w), conditions `truth` (n, s)."""

    grid: np.ndarray
    measured: np.ndarray
    truth: np.ndarray

    def read(self, curves: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Curves (n, w) at `time` (m,) [h], linear between integration steps: (m, w)."""
        at = np.clip(time / self.grid[1], 0, len(self.grid) - 1.000001)
        low = at.astype(int)
        part = (at - low)[:, None]
        return curves[low] * (1 - part) + curves[low + 1] * part


def _measure(
    config: SimulationConfig,
    rng: np.random.Generator,
    plate: Plate,
    layout: tuple[np.ndarray, np.ndarray],
    curves: Curves,
) -> Run:
    """Sample, disturb and thin one plate's curves."""
    wells, replicate = layout
    time = plate_times(rng, config.hours, config.step_h, config.sparse, plate.changes)
    value = curves.read(curves.measured, time) + plate.offset + _drift(config, rng, plate, wells, time)
    noise = config.noise
    value = sensor(
        rng, value, white=0.45 * noise, slow=0.7 * noise, tau=4.0, spikes=0.001 * noise, quantum=0.01
    )
    value[fault_mask(rng, time, len(wells), config.faults)] = np.nan
    return Run(
        experiment_id=plate.experiment_id,
        unit="%air",
        series_id=plate.series_id,
        drug=plate.names,
        concentration=plate.concentration,
        wells=wells,
        replicate=replicate,
        time=time,
        value=value,
        keep=_kept(config, rng, time, len(wells)),
        truth=curves.read(curves.truth, time) + plate.offset,
        events=plate.events,
    )


def _drift(
    config: SimulationConfig, rng: np.random.Generator, plate: Plate, wells: np.ndarray, time: np.ndarray
) -> np.ndarray:
    """What each well's sensor adds slowly, (n, w): an offset, a trend, wandering of its own and of the plate."""
    n, w = len(time), len(wells)
    trend = 0.8 * rng.standard_normal(w) * (time[:, None] / config.hours - 0.5)
    own = 0.9 * smooth_noise(rng, n, w, 50.0 / config.step_h)
    plate_wide = 0.4 * smooth_noise(rng, n, 1, 40.0 / config.step_h)
    offset = OFFSET * config.spread * rng.standard_normal(w)
    return offset + config.noise * unrest(plate, wells) * (trend + own + plate_wide)


def _kept(config: SimulationConfig, rng: np.random.Generator, time: np.ndarray, w: int) -> np.ndarray:
    """Which samples the table has, (n, w): not those of excluded wells, plate outages and single losses."""
    n = len(time)
    out = ~exclusion_mask(rng, time, w, config.excluded)
    if config.faults > 0:
        out &= ~fault_mask(rng, time, 1, OUTAGE, longest=24.0)
        out &= (rng.random((n, 1)) >= LOST) & (rng.random((n, w)) >= LOST / 2)
    return out
