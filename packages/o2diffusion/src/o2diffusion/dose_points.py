"""Dose means with their variances, from summaries of single wells.

Letters: k doses, d draws, w wells.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from o2diffusion.summaries import Summaries

CONTROLS = ("control", "vehicle", "dmso", "untreated")
TRIM = 0.2  # part of the wells cut on each side of a dose's mean: nothing of up to four
BELIEF = 2.0  # degrees of freedom of the variance that wells of one dose share
LEAST = 3  # concentrations of a drug, the control included


@dataclass(frozen=True, eq=False)
class Points:
    """One drug's doses: `dose` (k,) ascending [uM], `mean` and `variance` (d, k) of the wells' mean in each draw.

    `spread` (k,) the mean variance, `wells` (k,) their number, `value` (w,) the wells' mean over draws at `at` (w,)
    [uM]; all but the doses in the summary's unit, variances in its square.
    """

    drug: str
    dose: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    spread: np.ndarray
    wells: np.ndarray
    value: np.ndarray
    at: np.ndarray

    @property
    def enough(self) -> bool:
        """Whether a curve can be asked for."""
        return len(self.dose) >= LEAST


@dataclass(frozen=True)
class _Dose:
    """Wells of one dose: values (w, d) and their squared standard error in each draw (d,)."""

    values: np.ndarray

    @property
    def cut(self) -> int:
        """Wells trimmed on each side."""
        return int(TRIM * len(self.values))

    def mean(self) -> np.ndarray:
        """Trimmed mean in each draw: (d,)."""
        ordered = np.sort(self.values, axis=0)
        return ordered[self.cut : len(ordered) - self.cut].mean(axis=0)

    def squares(self) -> tuple[np.ndarray, int]:
        """Winsorised sum of squares (d,) and its degrees of freedom (Yuen 1974)."""
        ordered, g, w = np.sort(self.values, axis=0), self.cut, len(self.values)
        clipped = np.clip(ordered, ordered[g], ordered[w - 1 - g])
        return ((clipped - clipped.mean(axis=0)) ** 2).sum(axis=0), w - 2 * g - 1

    def of_the_mean(self, squares: np.ndarray, freedom: float) -> np.ndarray:
        """Squared standard error of the mean from a (pooled) sum of squares over degrees of freedom."""
        return squares / freedom / max(len(self.values) - 2 * self.cut, 1)


def gather(
    summaries: Summaries, controls: Sequence[str], rng: np.random.Generator
) -> list[tuple[str, list[Points]]]:
    """The drugs of each experiment with their dose means; `controls`: drugs that are none, by name.

    Raises ValueError where no row has a drug and a positive concentration.
    """
    names = {name.casefold() for name in controls}
    drug, dose = summaries.keys["drug"], summaries.keys["concentration_um"].to_numpy(dtype=float)
    named = np.array([isinstance(d, str) and d.strip().casefold() in names for d in drug], dtype=bool)
    control = (dose == 0) | named
    treated = np.array([isinstance(d, str) for d in drug]) & (dose > 0) & ~named
    if not treated.any():
        msg = "dose response: expected rows with a drug and a concentration_um > 0, got none"
        raise ValueError(msg)
    out = []
    for experiment, rows in summaries.keys.groupby("experiment_id", sort=False).indices.items():
        zero = summaries.draws[rows[control[rows]]]
        doses: dict[str, dict[float, _Dose]] = defaultdict(dict)
        mine = rows[treated[rows]]
        for (name, c), index in (
            summaries.keys.iloc[mine].groupby(["drug", "concentration_um"], sort=True).indices.items()
        ):
            doses[str(name)][float(c)] = _Dose(summaries.draws[mine[index]])
        order = dict.fromkeys(str(d) for d in drug.iloc[mine])
        if doses:
            out.append((str(experiment), _points({d: doses[d] for d in order}, zero, rng)))
    return out


def _points(drugs: dict[str, dict[float, _Dose]], zero: np.ndarray, rng: np.random.Generator) -> list[Points]:
    """Each drug's doses, the shared control first."""
    if len(zero):
        drugs = {name: {0.0: _Dose(zero)} | own for name, own in drugs.items()}
    shared = _shared_variance(drugs)
    out = []
    for name, own in drugs.items():
        dose = np.array(list(own))
        mean = np.stack([x.mean() for x in own.values()], axis=1)
        spread, variance = [], []
        for c, x in own.items():
            squares, freedom = x.squares()
            both = squares + BELIEF * shared[c], freedom + BELIEF
            spread.append(x.of_the_mean(*both).mean())
            # a draw of the variance: scaled inverse chi-squared (Gelman et al. 2013, section 2.6)
            variance.append(x.of_the_mean(both[0], 1.0) / rng.chisquare(both[1], size=len(squares)))
        wells = np.array([len(x.values) for x in own.values()])
        value = np.concatenate([x.values.mean(axis=1) for x in own.values()])
        out.append(
            Points(
                name,
                dose,
                mean,
                np.stack(variance, axis=1),
                np.array(spread),
                wells,
                value,
                np.repeat(dose, wells),
            )
        )
    return out


def _shared_variance(drugs: dict[str, dict[float, _Dose]]) -> dict[float, float]:
    """Variance of wells at each dose: pooled over the drugs, held by that over all doses."""
    total: dict[float, float] = defaultdict(float)
    freedom: dict[float, float] = defaultdict(float)
    for number, own in enumerate(drugs.values()):
        for c, x in own.items():
            squares, f = x.squares()
            if c > 0 or number == 0:  # the control is the same wells for every drug
                total[c] += float(squares.mean())
                freedom[c] += f
    every = sum(freedom.values())
    overall = sum(total.values()) / every if every else 0.0
    if overall <= 0:  # no replicates anywhere: the scatter of dose means must do
        means = np.concatenate([[x.mean().mean() for x in own.values()] for own in drugs.values()])
        overall = max((0.05 * float(np.ptp(means))) ** 2, 1e-12 * max(1.0, float(np.abs(means).max())) ** 2)
    return {c: (total[c] + BELIEF * overall) / (freedom[c] + BELIEF) for c in total}
