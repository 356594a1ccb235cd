"""What stands between a well and a table: sample times, faults, exclusions, noise, quantisation.

Letters: n samples, w wells, s conditions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from o2diffusion.physics import smooth_noise

AWAY_H, BACK_H = 0.2, 0.25  # a plate leaves the reader before a change and is back after it
WATCHED_H = 5.0  # after a change every sample is taken


@dataclass(kw_only=True)
class Run:
    """One simulated experiment before it becomes rows.

    `series_id`, `drug` and `concentration` [uM] (s,) of the conditions; `time` (n,) [h]; `value` (n, w) in `unit`, NaN
    in a fault; `keep` (n, w) False where the table has no row; `truth` (n, s) the noise-free curves; `wells` (w,) each
    well's condition, `replicate` (w,) from 1; `events` (time [h], kind, drug_containing); `responses`: what is true of
    it, a dict a row (`simulation.Simulation`).
    """

    experiment_id: str
    unit: str
    series_id: list[str]
    drug: list[str]
    concentration: np.ndarray
    wells: np.ndarray
    replicate: np.ndarray
    time: np.ndarray
    value: np.ndarray
    keep: np.ndarray
    truth: np.ndarray
    events: list[tuple[float, str, bool]]
    responses: list[dict[str, object]] = field(default_factory=list)


def replicate_counts(
    rng: np.random.Generator, share: tuple[float, ...], s: int
) -> tuple[np.ndarray, np.ndarray]:
    """Condition (w,) and replicate number (w,), from 1, of every well; `share[k]` of s conditions have k + 1 wells."""
    count = rng.choice(np.arange(1, len(share) + 1), size=s, p=np.asarray(share) / np.sum(share))
    wells = np.repeat(np.arange(s), count)
    return wells, np.arange(len(wells)) - np.repeat(np.cumsum(count) - count, count) + 1


def plate_times(
    rng: np.random.Generator, hours: float, step: float, sparse: float, blind: np.ndarray
) -> np.ndarray:
    """Sample times (n,) of a plate [h]: dense and sparse stretches in turn, always dense just after a change.

    step: of a dense stretch [h]; sparse: share of the others. blind: (m,) times of the changes [h], around which the
    plate is out of the reader.
    """
    times, t, until, slow = [], float(rng.uniform(0, step)), 0.0, 1.0
    while t < hours:
        if t >= until:
            slow = float(rng.uniform(2.0, 4.0)) if rng.random() < sparse else 1.0
            until = t + float(rng.exponential(hours / 30))
        times.append(t)
        ahead = blind[blind > t]
        gap = step * (1.0 if ((t - blind >= 0) & (t - blind < WATCHED_H)).any() else slow)
        gap *= float(np.clip(rng.normal(1.0, 0.04), 0.7, 1.3))
        t = min(t + gap, float(ahead[0]) + BACK_H + float(rng.uniform(0, step))) if ahead.size else t + gap
    at = np.asarray(times)
    busy = ((at[:, None] > blind - AWAY_H) & (at[:, None] < blind + BACK_H)).any(axis=1)
    return at[~busy]


def fault_mask(
    rng: np.random.Generator, time: np.ndarray, w: int, part: float, *, longest: float = 48.0
) -> np.ndarray:
    """Where a well has no signal, True (n, w): faults of up to `longest` [h] that fill `part` of it. time: (n,) [h]."""
    lost = np.zeros((len(time), w), dtype=bool)
    span = float(np.ptp(time))
    if part <= 0 or span <= 0:
        return lost
    low = longest / 24
    mean = (longest - low) / np.log(longest / low)
    count = rng.poisson(part * span / mean, size=w)
    for k in range(int(count.max(initial=0))):
        length = np.exp(rng.uniform(np.log(low), np.log(longest), size=w))
        start = time[0] + rng.uniform(-0.5 * length, span)
        lost |= (k < count) & (time[:, None] >= start) & (time[:, None] < start + length)
    return lost


def exclusion_mask(rng: np.random.Generator, time: np.ndarray, w: int, part: float) -> np.ndarray:
    """Where a well is left out, True (n, w): `part` of the wells, from a time on (or, one in three, until it).

    time: (n,) [h].
    """
    cut = time[0] + rng.uniform(0.3, 0.97, size=w) * np.ptp(time)
    early = rng.random(w) < 0.33
    chosen = rng.random(w) < part
    at = np.where(early, time[0] + time[-1] - cut, cut)
    return chosen & np.where(early, time[:, None] < at, time[:, None] >= at)


def sensor(
    rng: np.random.Generator,
    oxygen: np.ndarray,
    *,
    white: float,
    slow: float,
    tau: float,
    spikes: float,
    quantum: float,
) -> np.ndarray:
    """Oxygen as the sensor gives it, (n, w): noise, rare wild samples, rounding.

    oxygen: (n, w). white, slow: SD of the white and of the correlated noise, in its unit; tau: correlation time
    [samples]; spikes: part of the samples that are wild; quantum: step of the readings, 0: none.
    """
    n, w = oxygen.shape
    out = oxygen + slow * smooth_noise(rng, n, w, tau) + white * rng.standard_normal((n, w))
    if spikes > 0:
        wild = rng.random((n, w)) < spikes
        out = out + wild * white * 12.0 * rng.standard_t(3, size=(n, w)).clip(-6, 6)
    return np.round(out / quantum) * quantum if quantum > 0 else out
