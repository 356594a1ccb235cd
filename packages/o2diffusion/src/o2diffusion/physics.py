"""Oxygen in a well or a chamber as ordinary differential equations: the mechanism behind `simulation`.

dC/dt = k (A - C) - V C / (K + C): exchange with air (or flushed water) against Michaelis-Menten consumption.
In a culture V falls with Hill-shaped inhibition and death, starves slowly, and is disturbed by each change
of medium.

Letters: w wells, n time steps. Oxygen in % of air saturation in cultures, in parts of it in chambers.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import lfilter

if TYPE_CHECKING:
    from collections.abc import Mapping

SENSITIVITY = 0.4  # EC50 of the disturbance relative to the drug's other effects
STRESS = 1.1  # ceiling of the logistic recovery: the disturbance first fades slowly, then fast


@dataclass(frozen=True, kw_only=True)
class Drug:
    """What one drug does to a culture; all drugs of one seed and name are the same on every plate."""

    ec50: float  # half effect [uM]
    hill: float  # steepness of all its effects, the exponent of `hill`
    kill: float  # death rate at full effect [1/h]
    inhibition: float  # part of the consumption lost at full effect without death
    onset_h: float  # time from medium to target [h]
    stability_h: float  # time constant of loss in the medium [h]
    disturbance: float  # added part of the consumption that a medium change stops, at full effect
    recovery: float  # factor on the recovery time, at full effect


@dataclass(frozen=True, kw_only=True)
class Culture:
    """Parameters of w wells, each (w,): a drug's values and the well's own."""

    concentration: np.ndarray  # in drug-containing medium [uM]
    medium: np.ndarray  # the same at time 0 [uM]
    ec50: np.ndarray  # [uM]; down to stability_h as of `Drug`
    hill: np.ndarray
    kill: np.ndarray  # [1/h]
    inhibition: np.ndarray
    onset_h: np.ndarray  # [h]
    stability_h: np.ndarray  # [h]
    disturbance: np.ndarray  # part of the consumption that a medium change stops by itself, without drug
    drug_disturbance: np.ndarray  # `Drug.disturbance`
    recovery_h: np.ndarray  # time constant of recovery from a change, without drug [h]
    drug_recovery: np.ndarray  # `Drug.recovery`
    air: np.ndarray  # saturation in the incubator [%]
    exchange: np.ndarray  # k [1/h]
    vmax: np.ndarray  # V [%/h]
    km: np.ndarray  # K [%]
    fresh: np.ndarray  # part of the medium that a change replaces
    nutrient_h: np.ndarray  # time constant of starvation [h]
    oxygen: np.ndarray  # at time 0 [%]

    def take(self, index: np.ndarray, **changes: np.ndarray) -> Culture:
        """The wells at `index` (k,), with some parameters (k,) replaced."""
        picked = {f.name: getattr(self, f.name)[index] for f in fields(self)}
        return replace(self, **{**picked, **changes})


def draw_drug(name: str, seed: int) -> Drug:
    """Parameters of the drug called `name`: a function of (seed, name) alone."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return Drug(
        ec50=float(np.clip(10 ** rng.normal(1.13, 0.2), 0.05, 2000.0)),
        hill=float(np.exp(rng.normal(1.15, 0.3))),
        kill=float(np.exp(rng.uniform(np.log(0.012), np.log(0.06)))),
        inhibition=float(rng.beta(2.0, 2.0)),
        onset_h=float(np.exp(rng.uniform(np.log(2.0), np.log(30.0)))),
        stability_h=float(np.exp(rng.uniform(np.log(60.0), np.log(1000.0)))),
        disturbance=float(rng.uniform(0.0, 0.8)),
        recovery=float(np.exp(rng.normal(0.25, 0.4))),
    )


def smooth_noise(rng: np.random.Generator, n: int, w: int, tau: float) -> np.ndarray:
    """Stationary smooth noise of variance 1 and correlation time `tau` [steps], two AR(1) filters in a row: (n, w)."""
    a = np.exp(-2.0 / max(tau, 1e-3))
    burn = int(min(4 * tau, 400)) + 1
    scale = np.sqrt((1 - a * a) ** 3 / (1 + a * a))
    white = rng.standard_normal((n + burn, w), dtype=np.float32)
    return np.asarray(lfilter([scale], [1.0, -2 * a, a * a], white, axis=0))[burn:]


def oxygen_step(
    oxygen: np.ndarray, air: np.ndarray, exchange: np.ndarray, vmax: np.ndarray, km: np.ndarray, dt: float
) -> np.ndarray:
    """Oxygen (w,) after `dt`: two exponential steps of the quasi-linear equation, the second at the mean oxygen.

    oxygen, air and km (w,) in one unit, exchange (w,) and vmax (w,) per the unit of dt. Positive and stable for every
    dt, exact at the fixed point and for V = 0.
    """
    guess = oxygen
    for _ in range(2):
        rate = exchange + vmax / (km + 0.5 * (oxygen + guess))
        decay = np.exp(-rate * dt)
        guess = oxygen * decay + exchange * air * np.where(
            rate * dt > 1e-9, (1 - decay) / np.maximum(rate, 1e-12), dt
        )
    return guess


def hill(concentration: np.ndarray, ec50: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Part of the full effect at a concentration [uM] (Hill 1910), next to 0 at 0: three (w,), ec50 [uM] -> (w,)."""
    return 1.0 / (1.0 + (ec50 / np.maximum(concentration, 1e-12)) ** slope)


def integrate_culture(
    wells: Culture,
    steps: int,
    dt: float,
    changes: Mapping[int, list[tuple[np.ndarray, bool]]],
    activity: np.ndarray | None = None,
) -> np.ndarray:
    """Oxygen of w wells [%] at every step of `dt` [h]: (steps + 1, w) float32.

    changes: step -> [(wells (k,), drug_containing)]. activity: (m, w) factors on the consumption, each held
    for steps / m steps.
    """
    now = _State(wells)
    to_target, to_loss = np.exp(-dt / wells.onset_h), np.exp(-dt / wells.stability_h)
    to_starve = dt / wells.nutrient_h
    out = np.empty((steps + 1, len(now.oxygen)), dtype=np.float32)
    out[0] = now.oxygen
    for i in range(steps):
        for index, dosed in changes.get(i, ()):
            now.change_medium(wells, index, dosed=dosed)
        effect = hill(now.inside, wells.ec50, wells.hill)
        calm = np.exp(-STRESS * dt / (wells.recovery_h * (1.0 + (wells.drug_recovery - 1.0) * effect)))
        now.medium *= to_loss
        now.inside = now.medium + (now.inside - now.medium) * to_target
        now.alive *= 1.0 - np.minimum(wells.kill * effect * dt, 0.5)
        now.food *= 1.0 - to_starve * now.alive
        before = now.stress
        odds = before / (STRESS - before) * calm  # exact for ds/dt = -s (STRESS - s) / recovery
        now.stress = STRESS * odds / (1.0 + odds)
        working = 1.0 - 0.5 * (before + now.stress)
        appetite = 1.1 * now.food / (0.1 + now.food)
        v = wells.vmax * now.alive * (1.0 - wells.inhibition * effect) * working * appetite
        if activity is not None:
            v *= activity[i * len(activity) // steps]
        now.oxygen = oxygen_step(now.oxygen, wells.air, wells.exchange, v, wells.km, dt)
        out[i + 1] = now.oxygen
    return out


class _State:
    """What changes in w wells: oxygen, drug in the medium and at its target, live part, nutrient, disturbance."""

    def __init__(self, wells: Culture) -> None:
        self.oxygen = wells.oxygen.astype(float)
        self.medium = wells.medium.astype(float)
        self.inside = np.zeros_like(self.oxygen)
        self.alive = np.ones_like(self.oxygen)
        self.food = np.ones_like(self.oxygen)
        self.stress = np.zeros_like(self.oxygen)

    def change_medium(self, wells: Culture, index: np.ndarray, *, dosed: bool) -> None:
        """Replace part of the medium of the wells at `index` by fresh, air-saturated one: it disturbs them."""
        fresh = wells.fresh[index]
        new = wells.concentration[index] if dosed else 0.0
        self.medium[index] += fresh * (new - self.medium[index])
        self.oxygen[index] += fresh * (wells.air[index] - self.oxygen[index])
        self.food[index] += fresh * (1.0 - self.food[index])
        sensitive = hill(self.medium[index], SENSITIVITY * wells.ec50[index], wells.hill[index])
        shock = wells.disturbance[index] + wells.drug_disturbance[index] * sensitive
        self.stress[index] += np.minimum(shock, 0.98) * (1.0 - self.stress[index])


def integrate_chamber(
    oxygen: np.ndarray, air: np.ndarray, exchange: np.ndarray, vmax: np.ndarray, km: np.ndarray, dt: float
) -> np.ndarray:
    """Oxygen in w chambers at every step of `dt`: (n + 1, w).

    oxygen, air and km (w,) in one unit; exchange and vmax (n, w) per the unit of dt, one of them (1, w) where it holds.
    """
    n = max(len(exchange), len(vmax))
    out = np.empty((n + 1, len(oxygen)))
    out[0] = oxygen
    for i in range(n):
        out[i + 1] = oxygen_step(out[i], air, exchange[i % len(exchange)], vmax[i % len(vmax)], km, dt)
    return out


def media_response(
    time: np.ndarray, oxygen: np.ndarray, change: float, *, until: float = np.inf
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spike height, time of the peak after the change [h], half-decay [h] of each curve: three (w,).

    time: (n,) [h], oxygen: (n, w) without NaN. Spike: peak of the next 15 h minus mean of the 10 h before.
    Half-decay: from the peak until the curve, linear between samples, falls to the middle of the two; NaN
    where it does not before `until`. All NaN where a stretch has no sample.
    """
    before = (time >= change - 10.0) & (time < change)
    after = (time >= change) & (time < change + 15.0)
    if not before.any() or not after.any():
        nothing = np.full(oxygen.shape[1], np.nan)
        return nothing, nothing, nothing
    level = oxygen[before].mean(axis=0)
    peak, at = oxygen[after].max(axis=0), time[after][oxygen[after].argmax(axis=0)]
    spike = peak - level
    middle = level + 0.5 * spike
    low = (oxygen <= middle) & (time[:, None] > at) & (time[:, None] < until)
    index, column = np.maximum(low.argmax(axis=0), 1), np.arange(oxygen.shape[1])
    above, below = oxygen[index - 1, column], oxygen[index, column]
    part = np.clip((above - middle) / np.maximum(above - below, 1e-12), 0.0, 1.0)
    crossing = time[index - 1] + part * (time[index] - time[index - 1])
    return spike, at - change, np.where(low.any(axis=0) & (spike > 0), crossing - at, np.nan)
