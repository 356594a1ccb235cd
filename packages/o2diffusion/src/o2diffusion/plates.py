"""Simulated plates: drugs by concentrations, media changes, replicate wells; physics from `physics`.

The constants below were set so that the statistics of a default plate meet those of real ones (see the tests).
Letters: w wells, s conditions, n samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from o2diffusion.measurement import Run, exclusion_mask, fault_mask, plate_times, replicate_counts, sensor
from o2diffusion.physics import Culture, Drug, draw_drug, integrate_culture, media_response, smooth_noise

if TYPE_CHECKING:
    from o2diffusion.config import SimulationConfig

SUBSTEPS = 5  # integration steps a sample
DOSES = np.geomspace(1e-3, 1e4, 29)  # [uM] where the true dose response is read
NO_DRUG = Drug(
    ec50=1e6,
    hill=1.0,
    kill=0.0,
    inhibition=0.0,
    onset_h=10.0,
    stability_h=1000.0,
    disturbance=0.0,
    recovery=1.0,
)
MAX_WELLS = 6000  # integrated at once
REPLICATE_SHARE = (0.0, 0.08, 0.30, 0.62)  # of conditions with 1, 2, 3, 4 wells


@dataclass(frozen=True, kw_only=True)
class Plate:
    """One plate's design: conditions, schedule, and the noise-free culture of each condition."""

    experiment_id: str
    names: list[str]  # (s,) drug of each condition, "control" at 0 uM
    drugs: list[Drug]  # (s,)
    concentration: np.ndarray  # (s,) [uM]
    changes: np.ndarray  # (m,) [h]
    dosed: np.ndarray  # (m,) bool
    culture: Culture  # of the s conditions
    offset: float  # of the sensor [%]
    unrest: np.ndarray  # (s,) factor on the differences between replicates


def schedule(config: SimulationConfig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Times of the media changes (m,) [h] and whether each brings the drug (m,) bool."""
    if config.change_times_h:
        times = np.sort(np.asarray(config.change_times_h, dtype=float))
    else:
        gaps = np.maximum(1.0 + config.interval_spread * rng.standard_normal(config.changes + 1), 0.3)
        times = np.cumsum(gaps)[:-1] / gaps.sum() * config.hours
    dosed = rng.random(len(times)) >= config.drug_free
    first = min(int(rng.random() < 0.3), len(times) - 1)
    dosed[:first] = False
    if len(times):
        dosed[first] = True
    return times, dosed


def design(config: SimulationConfig, rng: np.random.Generator, experiment_id: str) -> Plate:
    """A plate of `drugs` x `concentrations` conditions; the lowest concentration of each drug is the control."""
    ladder = config.max_concentration_um / config.dilution ** np.arange(config.concentrations - 1)
    names, drugs, dose = [], [], []
    for d in range(config.drugs):
        name = f"{config.drug_prefix}{d:03d}"
        drug = draw_drug(name, config.drug_seed)
        names += ["control"] + [name] * len(ladder)
        drugs += [NO_DRUG] + [drug] * len(ladder)
        dose += [0.0, *ladder[::-1]]
    concentration = np.asarray(dose)
    times, dosed = schedule(config, rng)
    return Plate(
        experiment_id=experiment_id,
        names=names,
        drugs=drugs,
        concentration=concentration,
        changes=times,
        dosed=dosed,
        culture=_culture(rng, drugs, concentration),
        offset=float(rng.normal(-7.3, 0.5)),
        unrest=np.exp(UNREST * rng.standard_normal(len(names))),
    )


def _culture(rng: np.random.Generator, drugs: list[Drug], concentration: np.ndarray) -> Culture:
    """Noise-free cultures (s,) of one plate: the plate's own tissue and handling, each condition's drug."""
    one = np.ones(len(drugs))
    air, exchange = rng.normal(89.5, 0.7), np.exp(rng.normal(np.log(0.26), 0.15))

    def of(name: str) -> np.ndarray:
        return np.array([getattr(d, name) for d in drugs], dtype=float)

    return Culture(
        concentration=concentration,
        ec50=of("ec50"),
        hill=of("hill"),
        kill=of("kill"),
        inhibition=of("inhibition"),
        onset_h=of("onset_h"),
        stability_h=of("stability_h"),
        drug_disturbance=of("disturbance"),
        drug_recovery=of("recovery"),
        disturbance=one * rng.uniform(0.35, 0.6),
        recovery_h=one * np.exp(rng.uniform(np.log(0.8), np.log(2.0))),
        air=one * air,
        exchange=one * exchange,
        vmax=one * exchange * air * rng.uniform(1.3, 1.6),
        km=one * rng.uniform(0.7, 1.6),
        fresh=one * rng.uniform(0.50, 0.62),
        nutrient_h=one * rng.uniform(150, 500),
        oxygen=one * air * rng.uniform(0.03, 0.5),
    )


def _unrest(plate: Plate, wells: np.ndarray) -> np.ndarray:
    """How much the replicates of each well's condition differ, (w,): controls more than dosed wells."""
    return np.where(plate.concentration == 0, CONTROL_SPREAD, 1.0)[wells] * plate.unrest[wells]


def _replicates(plate: Plate, wells: np.ndarray, rng: np.random.Generator, spread: float) -> Culture:
    """Each well's own culture: lognormal factors on what differs between replicates."""
    control = _unrest(plate, wells) * spread
    base = plate.culture.take(wells)

    def vary(value: np.ndarray, sd: float) -> np.ndarray:
        return value * np.exp(sd * control * rng.standard_normal(len(wells)))

    return plate.culture.take(
        wells,
        vmax=vary(base.vmax, 0.06),
        exchange=vary(base.exchange, 0.05),
        ec50=vary(base.ec50, 0.2),
        kill=vary(base.kill, 0.35),
        fresh=np.minimum(vary(base.fresh, 0.05), 0.95),
        disturbance=np.minimum(vary(base.disturbance, 0.08), 0.95),
        recovery_h=vary(base.recovery_h, 0.12),
        onset_h=vary(base.onset_h, 0.15),
        oxygen=vary(base.oxygen, 0.2),
        inhibition=np.minimum(vary(base.inhibition, 0.08), 1),
    )


UNREST = 0.45  # spread of that factor between conditions (SD of its logarithm)
CONTROL_SPREAD = 2.0  # control wells lie on the plate's rim


def _events(
    plates: list[Plate], wells: list[np.ndarray], dt: float
) -> dict[int, list[tuple[np.ndarray, bool]]]:
    """Media changes by integration step, with the columns of the wells they reach."""
    out: dict[int, list[tuple[np.ndarray, bool]]] = {}
    for plate, columns in zip(plates, wells, strict=True):
        for at, dosed in zip(plate.changes, plate.dosed, strict=True):
            out.setdefault(round(float(at) / dt), []).append((columns, bool(dosed)))
    return out


def _stack(cultures: list[Culture]) -> tuple[Culture, list[np.ndarray]]:
    """Cultures of several plates as one, and each plate's columns in it."""
    joined = Culture(**{k: np.concatenate([getattr(c, k) for c in cultures]) for k in vars(cultures[0])})
    ends = np.cumsum([0] + [len(c.ec50) for c in cultures])
    return joined, [np.arange(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]


def simulate_plates(config: SimulationConfig, rng: np.random.Generator, ids: list[str]) -> list[Run]:
    """Plates called `ids`, integrated together in groups of at most about MAX_WELLS wells."""
    size = max(1, MAX_WELLS // (config.drugs * config.concentrations * 4))
    out = []
    for i in range(0, len(ids), size):
        out += _group(config, rng, [design(config, rng, name) for name in ids[i : i + size]])
    return out


def _group(config: SimulationConfig, rng: np.random.Generator, plates: list[Plate]) -> list[Run]:
    """Integrate wells, noise-free conditions and dose ladders of some plates, then measure each plate."""
    dt = config.step_h / SUBSTEPS
    steps = int(np.ceil(config.hours / dt))
    layout = [replicate_counts(rng, config.replicate_share or REPLICATE_SHARE, len(p.names)) for p in plates]
    own = [_replicates(p, wells, rng, config.spread) for p, (wells, _) in zip(plates, layout, strict=True)]
    wells, columns = _stack(own)
    coarse = steps // SUBSTEPS + 1
    jitter = ACTIVITY * config.spread * smooth_noise(rng, coarse, len(wells.ec50), 12.0 / config.step_h)
    unrest = np.concatenate([_unrest(p, index) for p, (index, _) in zip(plates, layout, strict=True)])
    activity = np.exp(jitter * unrest)
    measured = integrate_culture(wells, steps, dt, _events(plates, columns, dt), activity)
    exact, exact_columns = _stack([p.culture for p in plates])
    truth = integrate_culture(exact, steps, dt, _events(plates, exact_columns, dt))
    grid = np.arange(steps + 1) * dt
    ladders = _dose_truth(config, plates, steps, dt)
    return [
        _measure(
            config, rng, p, layout[i], grid, measured[:, columns[i]], truth[:, exact_columns[i]], ladders[i]
        )
        for i, p in enumerate(plates)
    ]


ACTIVITY = 0.08


def _read(grid: np.ndarray, curves: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Curves (m, w) at `time` (n,), linear between integration steps: (n, w)."""
    at = np.clip(time / (grid[1] - grid[0]), 0, len(grid) - 1.000001)
    low = at.astype(int)
    part = (at - low)[:, None]
    return curves[low] * (1 - part) + curves[low + 1] * part


def _measure(
    config: SimulationConfig,
    rng: np.random.Generator,
    plate: Plate,
    layout: tuple[np.ndarray, np.ndarray],
    grid: np.ndarray,
    measured: np.ndarray,
    truth: np.ndarray,
    ladder: dict[str, dict[str, float]],
) -> Run:
    """Sample, disturb and thin one plate's curves."""
    wells, replicate = layout
    time = plate_times(rng, config.hours, config.step_h, config.sparse, plate.changes)
    n, w = len(time), len(wells)
    control = _unrest(plate, wells)
    drift = (time[:, None] / config.hours - 0.5) * rng.normal(0, 0.8, size=w)
    drift = drift + 0.9 * smooth_noise(rng, n, w, 50.0 / config.step_h) + 0.4 * smooth_noise(rng, n, 1, 40.0)
    offset = plate.offset + 1.2 * config.spread * rng.standard_normal(w)
    value = sensor(
        rng,
        _read(grid, measured, time) + offset + config.noise * control * drift,
        white=0.45 * config.noise,
        slow=0.7 * config.noise,
        tau=4.0,
        spikes=0.001 * config.noise,
        quantum=0.01,
    )
    value[fault_mask(rng, time, w, config.faults)] = np.nan
    keep = ~exclusion_mask(rng, time, w, config.excluded)
    keep &= (rng.random((n, 1)) > 0.02) & (rng.random((n, w)) > 0.01)
    outage = fault_mask(rng, time, 1, 0.02, longest=24.0)
    keep &= ~outage
    events = [(float(t), "media_change", bool(d)) for t, d in zip(plate.changes, plate.dosed, strict=True)]
    first = [t for t, _, d in events if d][:1]
    events += [(t, "drug_start", True) for t in first]
    series = [
        f"{plate.experiment_id}.{name}.{dose:.3g}" if dose > 0 else f"{plate.experiment_id}.control.{i:03d}"
        for i, (name, dose) in enumerate(zip(plate.names, plate.concentration, strict=True))
    ]
    run = Run(
        experiment_id=plate.experiment_id,
        unit="%air",
        series_id=series,
        drug=plate.names,
        concentration=plate.concentration,
        wells=wells,
        replicate=replicate,
        time=time,
        value=value,
        keep=keep,
        truth=_read(grid, truth, time) + plate.offset,
        events=sorted(events),
    )
    run.responses = _responses(plate, series, grid, truth + plate.offset, ladder)
    return run


def _dose_truth(
    config: SimulationConfig, plates: list[Plate], steps: int, dt: float
) -> list[dict[str, dict[str, float]]]:
    """By plate and drug: the concentration of half the full effect on the area and on the final level [uM]."""
    first = np.arange(1, config.drugs * config.concentrations, config.concentrations)
    if config.concentrations < 2:
        return [{} for _ in plates]
    ladder = np.append(0.0, DOSES)
    cultures = [
        p.culture.take(np.repeat(first, len(ladder)), concentration=np.tile(ladder, config.drugs))
        for p in plates
    ]
    joined, columns = _stack(cultures)
    curves = integrate_culture(joined, steps, dt, _events(plates, columns, dt))
    tail = max(round(24.0 / dt), 1)
    out = []
    for plate, own in zip(plates, columns, strict=True):
        area, final = (
            x.reshape(config.drugs, len(ladder))
            for x in (curves[:, own].mean(0), curves[-tail:, own].mean(0))
        )
        out.append(
            {
                plate.names[c]: {"area_ec50_um": _half(area[d]), "final_ec50_um": _half(final[d])}
                for d, c in enumerate(first)
            }
        )
    return out


def _half(summary: np.ndarray) -> float:
    """Concentration [uM] at half of the full change of a summary over (0, DOSES); NaN where nothing changes."""
    effect = (
        (summary[1:] - summary[0]) / (summary[-1] - summary[0]) if abs(summary[-1] - summary[0]) > 1 else None
    )
    if effect is None:
        return float("nan")
    above = int(np.argmax(effect >= 0.5))
    if above == 0:
        return float(DOSES[0])
    part = (0.5 - effect[above - 1]) / (effect[above] - effect[above - 1])
    return float(DOSES[above - 1] * (DOSES[above] / DOSES[above - 1]) ** part)


def _responses(
    plate: Plate, series: list[str], grid: np.ndarray, truth: np.ndarray, ladder: dict[str, dict[str, float]]
) -> list[dict[str, object]]:
    """A row per condition and media change: true response, true parameters, true summaries."""
    tail = max(round(24.0 / (grid[1] - grid[0])), 1)
    area, final = truth.mean(axis=0), truth[-tail:].mean(axis=0)
    culture, rows = plate.culture, []
    for k, change in enumerate(plate.changes):
        until = float(plate.changes[k + 1]) if k + 1 < len(plate.changes) else np.inf
        spike, delay, half = media_response(grid, truth, float(change), until=until)
        for i, name in enumerate(plate.names):
            rows.append(
                {
                    "experiment_id": plate.experiment_id,
                    "series_id": series[i],
                    "drug": name,
                    "concentration_um": plate.concentration[i],
                    "change_h": float(change),
                    "drug_containing": bool(plate.dosed[k]),
                    "spike": spike[i],
                    "peak_delay_h": delay[i],
                    "half_decay_h": half[i],
                    "mean_oxygen": area[i],
                    "final_oxygen": final[i],
                    "ec50_um": culture.ec50[i] if plate.concentration[i] > 0 else np.nan,
                    "hill": culture.hill[i],
                    "kill_per_h": culture.kill[i],
                    "inhibition": culture.inhibition[i],
                    "onset_h": culture.onset_h[i],
                    "vmax_per_h": culture.vmax[i],
                    "km": culture.km[i],
                    "exchange_per_h": culture.exchange[i],
                    "fresh": culture.fresh[i],
                    "disturbance": culture.disturbance[i],
                    "drug_disturbance": culture.drug_disturbance[i],
                    "recovery_h": culture.recovery_h[i],
                    "drug_recovery": culture.drug_recovery[i],
                    **ladder.get(name, {"area_ec50_um": np.nan, "final_ec50_um": np.nan}),
                }
            )
    return rows
