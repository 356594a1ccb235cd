"""Simulated chambers: closed respirometry, intermittent flow, repeated measurement cycles with injections.

Runs last minutes to hours. Time is counted in parts of the run, oxygen in parts of air saturation, so that
one integration serves all runs; units come at the end. Letters: w wells, s conditions, m integration steps,
n samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from o2diffusion.measurement import Run, fault_mask, replicate_counts, sensor
from o2diffusion.physics import integrate_chamber, smooth_noise

if TYPE_CHECKING:
    from o2diffusion.config import SimulationConfig

PROTOCOLS = ("respirometry", "intermittent", "cycles")
STEPS = 1200  # integration steps a run
ODD = 0.03  # part of the wells that behave unlike their replicates
GROUP = 40  # runs integrated together
REPLICATE_SHARE = (0.15, 0.30, 0.30, 0.25)  # of conditions with 1, 2, 3, 4 animals or wells
UNITS = {"mg/L": 8.0, "%air": 100.0, "mmHg": 155.0, "kPa": 20.6, "umol/L": 250.0}  # at air saturation


@dataclass(frozen=True, kw_only=True)
class Chambers:
    """One run's design; the last s columns of the arrays are the noise-free conditions, the others its wells.

    Oxygen in parts of air saturation, time in parts of the run.
    """

    experiment_id: str
    hours: float  # of the run [h]
    names: list[str]  # (s,)
    wells: np.ndarray  # (w,) condition of each
    replicate: np.ndarray  # (w,) number of each well within its condition, from 1
    start: np.ndarray  # (w + s,) oxygen
    exchange: np.ndarray  # (m, w + s) per run
    vmax: np.ndarray  # (m, w + s) per run
    km: np.ndarray  # (w + s,) oxygen of half the consumption
    time: np.ndarray  # (n,) sample times, parts of the run
    artefact: np.ndarray  # (n, w + s) what the sensor adds: settling, offsets, temperature
    events: list[tuple[float, str]]  # part of the run, kind
    rate: np.ndarray  # (s,) true consumption at the start, per run


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A log-uniform number in [low, high]."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _deviate(rng: np.random.Generator, w: int, s: int, sd: float) -> np.ndarray:
    """Replicate deviations (w + s,): normal for wells, zero for the noise-free conditions."""
    return np.append(sd * rng.standard_normal(w), np.zeros(s))


def _activity(rng: np.random.Generator, spread: float, wells: np.ndarray, s: int) -> np.ndarray:
    """Consumption relative to its plateau over a run, (m, w + s): settling in, getting going, growth,
    restlessness.
    """
    t = ((np.arange(STEPS) + 0.5) / STEPS)[:, None]
    w, all_of = len(wells), np.append(wells, np.arange(s))
    shape = np.ones((STEPS, w + s))
    if rng.random() < 0.55:
        middle = (
            rng.uniform(-0.1, 0.8)
            + 0.06 * rng.standard_normal(s)[all_of]
            + _deviate(rng, w, s, 0.08 * spread)
        )
        low = np.clip(rng.uniform(-0.1, 0.9) + _deviate(rng, w, s, 0.1 * spread), -0.2, 1.0)
        width = rng.uniform(0.03, 0.3)
        shape = low + (1 - low) / (1 + np.exp(-(t - middle) / width))
    if rng.random() < 0.35:
        settle = np.maximum(rng.normal(0.2, 0.5) * (1 + _deviate(rng, w, s, 0.4 * spread)), -0.6)
        shape = shape * (1 + settle / (1 + (t / _log_uniform(rng, 0.02, 0.4)) ** 2))
    restless = rng.choice([0.0, rng.uniform(0, 0.15), rng.uniform(0.1, 0.5)], p=[0.3, 0.45, 0.25]) * spread
    wave = restless * smooth_noise(rng, STEPS, w, STEPS * _log_uniform(rng, 0.02, 0.3))
    return shape * np.exp(np.concatenate([wave, np.zeros((STEPS, s))], axis=1))


def _artefact(
    rng: np.random.Generator, time: np.ndarray, wells: np.ndarray, s: int, spread: float
) -> np.ndarray:
    """What the sensor adds, (n, w + s): an offset, settling at the start, temperature, slow drift."""
    w = len(wells)
    at = time[:, None]
    out = np.zeros((len(time), w + s)) + _deviate(rng, w, s, spread * _log_uniform(rng, 0.001, 0.03))
    if rng.random() < 0.6:
        size = rng.normal(0, 0.04) * (1 + _deviate(rng, w, s, 0.5 * spread)) + _deviate(
            rng, w, s, 0.008 * spread
        )
        tau = _log_uniform(rng, 0.004, 0.3) * np.exp(_deviate(rng, w, s, 0.4 * spread))
        out = out - size * tau / (at + tau)
    if rng.random() < 0.4:
        phase, periods = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 12)
        out = out + _log_uniform(rng, 0.0003, 0.006) * np.sin(2 * np.pi * periods * at + phase)
    slope = _deviate(rng, w, s, spread * _log_uniform(rng, 0.0005, 0.01))
    return out + slope * at


def _respirometry(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Closed chambers (a few with a steady flow): exchange, drop, sample times, event times."""
    n = int(_log_uniform(rng, 200, 3000))
    flow = rng.random() < 0.15
    exchange = np.full(STEPS, rng.uniform(3, 20) if flow else _log_uniform(rng, 1e-3, 0.06))
    drop = _log_uniform(rng, 0.02, 0.3) * exchange[0] if flow else _log_uniform(rng, 0.02, 1.1)
    time = np.linspace(0, 1, n)
    if rng.random() < 0.15:
        time = np.sort(np.clip(time + rng.uniform(-0.5, 0.5, n) / n * rng.uniform(0, 3), 0, 1))
    return {"exchange": exchange, "drop": np.asarray(drop), "time": np.unique(time), "events": np.empty(0)}


def _intermittent(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Closed phases with flushes between."""
    n, flushes = int(_log_uniform(rng, 200, 3000)), int(rng.integers(1, 8))
    gaps = 1 + 0.1 * rng.standard_normal(flushes + 1).clip(-2, 2)
    start = np.cumsum(gaps)[:-1] / gaps.sum()
    length = rng.uniform(0.06, 0.3) / (flushes + 1)
    t = (np.arange(STEPS) + 0.5) / STEPS
    open_now = ((t[:, None] >= start) & (t[:, None] < start + length)).any(axis=1)
    exchange = np.where(open_now, -np.log(rng.uniform(0.02, 0.25)) / length, _log_uniform(rng, 1e-3, 0.05))
    drop = _log_uniform(rng, 0.03, 0.5) * (flushes + 1)
    return {"exchange": exchange, "drop": np.asarray(drop), "time": np.linspace(0, 1, n), "events": start}


def _cycles(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Measurement cycles: open (mixing, unseen), then closed (sampled); injections at the start of some
    cycles.
    """
    cycles, ticks = int(rng.integers(6, 19)), int(rng.integers(6, 25))
    gap = rng.uniform(0.2, 0.55)
    t = (np.arange(STEPS) + 0.5) / STEPS
    open_now = (t * cycles) % 1.0 < gap
    exchange = np.where(
        open_now, -np.log(rng.uniform(0.03, 0.4)) / gap * cycles, rng.uniform(0, 0.3) * cycles
    )
    ticks_at = gap + (1 - gap) * (np.arange(ticks) + 0.3) / ticks
    time = ((np.arange(cycles)[:, None] + ticks_at) / cycles).ravel()
    count = int(rng.integers(1, min(5, cycles - 1)))
    at = np.sort(rng.choice(np.arange(1, cycles), size=count, replace=False))
    drop = _log_uniform(rng, 0.01, 0.25) / (1 - gap) * cycles
    return {"exchange": exchange, "drop": np.asarray(drop), "time": time, "events": at / cycles}


def _injections(rng: np.random.Generator, at: np.ndarray, s: int) -> np.ndarray:
    """Factor on the consumption of each condition after each injection: (m, s); uncouplers raise it, poisons
    stop it.
    """
    t = (np.arange(STEPS) + 0.5) / STEPS
    factor = np.ones((STEPS, s))
    for start in at:
        kind = rng.choice(
            [rng.uniform(1.2, 4.0), rng.uniform(0.05, 0.5), rng.uniform(0.8, 1.2)], p=[0.4, 0.45, 0.15]
        )
        each = kind ** rng.uniform(0.6, 1.2, size=s)
        onset = np.clip((t - start) / _log_uniform(rng, 0.005, 0.05), 0, 1)[:, None]
        factor = factor * (1 + (each - 1) * onset)
    return factor


def _design(
    config: SimulationConfig, rng: np.random.Generator, protocol: str, experiment_id: str
) -> Chambers:
    """One run of a protocol: species or treatments with their replicates, and a blank."""
    plan = {"respirometry": _respirometry, "intermittent": _intermittent, "cycles": _cycles}[protocol](rng)
    names = [f"{config.drug_prefix}{d:03d}" for d in range(int(rng.integers(1, min(config.drugs, 8) + 1)))]
    blank = rng.random() < 0.6
    names = [*names, "control"] if blank else names
    s = len(names)
    wells, replicate = replicate_counts(rng, config.replicate_share or REPLICATE_SHARE, s)
    w, all_of = len(wells), np.append(wells, np.arange(s))
    # wells of one cell line are more alike than animals
    spread = config.spread * (_log_uniform(rng, 0.1, 1.0) if protocol == "cycles" else 1.0)
    rate = plan["drop"] * np.exp(rng.uniform(0, 0.7) * rng.standard_normal(s))
    if blank:
        rate[-1] *= rng.uniform(0, 0.1) if rng.random() < 0.65 else rng.uniform(0.2, 1.2)
    own = np.exp(_deviate(rng, w, s, spread * rng.uniform(0.05, 0.5)))
    own[:w] *= np.where(rng.random(w) < ODD, np.exp(config.spread * rng.standard_normal(w)), 1.0)
    v = rate[all_of] * own * _activity(rng, spread, wells, s)
    if protocol == "cycles":
        v = v * _injections(rng, plan["events"], s)[:, all_of]
    exchange = plan["exchange"][:, None] * np.exp(_deviate(rng, w, s, 0.1 * spread))
    kind = {"intermittent": "flush", "cycles": "injection"}.get(protocol, "")
    return Chambers(
        experiment_id=experiment_id,
        hours=_log_uniform(rng, 0.5, 12.0),
        names=names,
        wells=wells,
        replicate=replicate,
        start=1 - rng.uniform(0, 0.06) + _deviate(rng, w, s, rng.uniform(0, 0.015) * spread),
        exchange=exchange,
        vmax=v,
        km=np.full(w + s, _log_uniform(rng, 0.004, 0.12)),
        time=plan["time"],
        artefact=_artefact(rng, plan["time"], wells, s, spread),
        events=[(float(e), kind) for e in plan["events"]],
        rate=rate,
    )


def simulate_chambers(
    config: SimulationConfig, rng: np.random.Generator, protocol: str, ids: list[str]
) -> list[Run]:
    """Runs called `ids` of one protocol among `PROTOCOLS`, integrated together in groups of at most `GROUP`."""
    out = []
    for i in range(0, len(ids), GROUP):
        group = [_design(config, rng, protocol, name) for name in ids[i : i + GROUP]]
        start, km = np.concatenate([g.start for g in group]), np.concatenate([g.km for g in group])
        exchange = np.concatenate([g.exchange for g in group], axis=1)
        vmax = np.concatenate([g.vmax for g in group], axis=1)
        curves = integrate_chamber(start, np.ones_like(start), exchange, vmax, km, 1.0 / STEPS)
        ends = np.cumsum([len(g.start) for g in group])[:-1]
        out += [
            _measure(config, rng, g, c) for g, c in zip(group, np.split(curves, ends, axis=1), strict=True)
        ]
    return out


def _measure(config: SimulationConfig, rng: np.random.Generator, design: Chambers, curves: np.ndarray) -> Run:
    """Sample, disturb and scale one run's curves."""
    at = np.clip(design.time * STEPS, 0, STEPS - 1e-6)
    low, part = at.astype(int), (at % 1.0)[:, None]
    seen = curves[low] * (1 - part) + curves[low + 1] * part + design.artefact
    w, n = len(design.wells), len(design.time)
    unit = str(rng.choice(list(UNITS), p=[0.35, 0.25, 0.2, 0.1, 0.1]))
    scale = UNITS[unit] * rng.uniform(0.93, 1.07)
    smooth = rng.random() < 0.1  # some loggers average before they write
    value = sensor(
        rng,
        seen[:, :w],
        white=0.0 if smooth else config.noise * _log_uniform(rng, 2e-4, 4e-3),
        slow=0.0 if smooth else config.noise * _log_uniform(rng, 5e-5, 1.5e-3),
        tau=_log_uniform(rng, 1, n / 8),
        spikes=0.0,
        quantum=float(rng.choice([0.0, 5e-4, 1.25e-3, 4e-3], p=[0.35, 0.2, 0.35, 0.1])),
    )
    time = design.time * design.hours
    value[fault_mask(rng, time, w, 0.2 * config.faults, longest=0.15 * design.hours)] = np.nan
    series = [f"{design.experiment_id}.{name}" for name in design.names]
    rows = [
        {
            "experiment_id": design.experiment_id,
            "series_id": sid,
            "drug": name,
            "rate_per_h": r * scale / design.hours,
            "km": float(design.km[0]) * scale,
        }
        for sid, name, r in zip(series, design.names, design.rate, strict=True)
    ]
    return Run(
        experiment_id=design.experiment_id,
        unit=unit,
        series_id=series,
        drug=design.names,
        concentration=np.full(len(series), np.nan),
        wells=design.wells,
        replicate=design.replicate,
        time=time,
        value=value * scale,
        keep=np.ones((n, w), dtype=bool),
        truth=seen[:, w:] * scale,
        events=[(e * design.hours, kind, False) for e, kind in design.events],
        responses=rows,
    )
