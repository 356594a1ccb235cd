"""The design of simulated plates: drugs by concentrations, media changes, tissue, replicate wells.

The constants were set so that the statistics of a default plate meet those of real ones (the tests hold
them). Letters: w wells, s conditions, m changes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from o2diffusion.physics import Culture, Drug, draw_drug

if TYPE_CHECKING:
    from o2diffusion.config import SimulationConfig

MAX_STEP_H = 0.2  # of the integration
UNREST = 0.45  # how unequally replicates differ from condition to condition (SD of the logarithm)
CONTROL_SPREAD = 2.0  # control wells lie on the plate's rim and differ more
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

    @property
    def series_id(self) -> list[str]:
        """Name of each condition (s,): plate, drug, concentration; controls are numbered."""
        return [
            f"{self.experiment_id}.{name}.{dose:.4g}" if dose > 0 else f"{self.experiment_id}.control.{i:03d}"
            for i, (name, dose) in enumerate(zip(self.names, self.concentration, strict=True))
        ]

    @property
    def events(self) -> list[tuple[float, str, bool]]:
        """Time [h], kind and whether it brings the drug; a plate without changes has its drug from the start."""
        out = [(float(t), "media_change", bool(d)) for t, d in zip(self.changes, self.dosed, strict=True)]
        first = [t for t, _, dosed in out if dosed][:1] if out else [0.0]
        return sorted(out + [(t, "drug_start", True) for t in first])


def step_length(config: SimulationConfig) -> float:
    """Length of an integration step [h]: a whole number of them is a sampling step."""
    return config.step_h / np.ceil(config.step_h / MAX_STEP_H)


def schedule(config: SimulationConfig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Times of the media changes (m,) [h], whole integration steps, and whether each brings the drug (m,) bool.

    The drug comes with the first change or, in three plates of ten, with the second.
    """
    if config.change_times_h:
        times = np.sort(np.asarray(config.change_times_h, dtype=float))
    else:
        gaps = np.maximum(1.0 + config.interval_spread * rng.standard_normal(config.changes + 1), 0.3)
        times = np.cumsum(gaps)[:-1] / gaps.sum() * config.hours
        times = np.round(times / step_length(config)) * step_length(config)
    dosed = rng.random(len(times)) >= config.drug_free
    if len(times):
        first = int(rng.random() < 0.3 and len(times) > 1)
        dosed[:first], dosed[first] = False, True
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
        culture=_culture(rng, drugs, concentration, present=not len(times)),
        offset=float(rng.normal(-7.3, 0.5)),
        unrest=np.exp(UNREST * rng.standard_normal(len(names))),
    )


def _culture(
    rng: np.random.Generator, drugs: list[Drug], concentration: np.ndarray, *, present: bool
) -> Culture:
    """Noise-free cultures (s,) of one plate: the plate's own tissue and handling, each condition's drug."""
    one = np.ones(len(drugs))
    air, exchange = rng.normal(89.5, 0.7), np.exp(rng.normal(np.log(0.23), 0.15))

    def of(name: str) -> np.ndarray:
        return np.array([getattr(d, name) for d in drugs], dtype=float)

    return Culture(
        concentration=concentration,
        medium=concentration * present,
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


def unrest(plate: Plate, wells: np.ndarray) -> np.ndarray:
    """How much the replicates of each well's condition `wells` (w,) differ, (w,): controls more than dosed wells."""
    return np.where(plate.concentration == 0, CONTROL_SPREAD, 1.0)[wells] * plate.unrest[wells]


def replicate_wells(plate: Plate, wells: np.ndarray, rng: np.random.Generator, spread: float) -> Culture:
    """The own culture of each well of condition `wells` (w,): lognormal factors on what differs between replicates.

    spread: factor on the logarithms' SD.
    """
    control = unrest(plate, wells) * spread
    base = plate.culture.take(wells)

    def vary(value: np.ndarray, sd: float) -> np.ndarray:
        return value * np.exp(sd * control * rng.standard_normal(len(wells)))

    return plate.culture.take(
        wells,
        vmax=vary(base.vmax, 0.06),
        exchange=vary(base.exchange, 0.05),
        ec50=vary(base.ec50, 0.18),
        kill=vary(base.kill, 0.4),
        fresh=np.minimum(vary(base.fresh, 0.05), 0.95),
        disturbance=np.minimum(vary(base.disturbance, 0.08), 0.95),
        recovery_h=vary(base.recovery_h, 0.12),
        onset_h=vary(base.onset_h, 0.15),
        oxygen=vary(base.oxygen, 0.2),
        inhibition=np.minimum(vary(base.inhibition, 0.08), 1),
    )


def steps_of_changes(
    plates: list[Plate], wells: list[np.ndarray], dt: float
) -> dict[int, list[tuple[np.ndarray, bool]]]:
    """Media changes by integration step of `dt` [h]: the columns (w,) of the wells they reach, and whether dosed."""
    out: dict[int, list[tuple[np.ndarray, bool]]] = {}
    for plate, columns in zip(plates, wells, strict=True):
        for at, dosed in zip(plate.changes, plate.dosed, strict=True):
            out.setdefault(round(float(at) / dt), []).append((columns, bool(dosed)))
    return out


def stack(cultures: list[Culture]) -> tuple[Culture, list[np.ndarray]]:
    """Cultures of several plates as one, and each plate's columns (w,) in it."""
    joined = Culture(
        **{k: np.concatenate([getattr(c, k) for c in cultures]) for k in (f.name for f in fields(Culture))}
    )
    ends = np.cumsum([0, *(len(c.ec50) for c in cultures)])
    return joined, [np.arange(a, b) for a, b in pairwise(ends)]
