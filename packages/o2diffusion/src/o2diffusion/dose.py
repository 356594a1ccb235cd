"""Dose-response: a Hill curve for each drug with a credible interval on its EC50, from summaries with draws.

m(c) = bottom + span h(c), h = c^n / (c^n + EC50^n), h(0) = 0: the control is a point of its own (Hill 1910).
The posterior is exact on a grid of (log EC50, log n); bottom and span, in which the curve is linear, are
integrated out in closed form (Bishop 2006, section 3.3). Every draw of the filled curves has its own
posterior, and the mixture of them is the result (multiple imputation, Rubin 1987). Drugs of one experiment
share the mean and spread of span and n, learnt by EM: few doses of one drug say little of its plateau.

Letters: k doses, d draws, g points of the grid, q drugs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from o2diffusion.dose_points import CONTROLS, Points, gather
from o2diffusion.hill import Prior, grid, hill, learn, misfit, posterior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from o2diffusion.summaries import Summaries

SURE = 0.95  # probability from which a response counts as seen
GIVEN = 400  # least posterior draws a drug


@dataclass(frozen=True)
class DoseFit:
    """One drug's posterior: draws (d,) of ec50_um [uM], hill, and top and bottom in the summary's unit.

    `points` what it was fitted to, `r2` of the dose means, `note` what to know of it. relation: "=" EC50 within the
    tested doses, ">" above the highest, "<" below the lowest, "?" too few doses.
    """

    experiment_id: str
    drug: str
    points: Points
    ec50_um: np.ndarray
    hill: np.ndarray
    top: np.ndarray
    bottom: np.ndarray
    r2: float
    relation: str
    note: str

    def curve(self, concentration: np.ndarray) -> np.ndarray:
        """The summary at concentrations (c,) [uM] under each draw: (d, c)."""
        h = hill(np.log(self.ec50_um)[:, None], np.log(self.hill)[:, None], concentration)
        return self.bottom[:, None] + (self.top - self.bottom)[:, None] * h


def dose_response(summaries: Summaries, *, controls: Sequence[str] = CONTROLS, seed: int = 0) -> pd.DataFrame:
    """A row for each experiment and drug (and window): ec50_um with q05, q50, q95 [uM], hill, top, bottom, r2,
    relation, note, n_doses, n_wells, summary, unit.

    Where the EC50 lies outside the tested doses (`relation` ">" or "<") ec50_um is the border of the tested
    range, and the interval is one-sided: q05 (or q95) is a 95 % bound, the other end inf (or 0). See
    `fit_doses` for what is fitted and the ValueError of a table without doses.
    """
    rows = []
    for window, part in summaries.windows():
        fixed = part.keys.iloc[0]
        for fit in fit_doses(part, controls=controls, seed=seed):
            first = {"experiment_id": fit.experiment_id, "drug": fit.drug, "summary": fixed["summary"]}
            rows.append(first | {"window": window} | _row(fit) | {"unit": fixed["unit"]})
    return pd.DataFrame(rows)


def fit_doses(summaries: Summaries, *, controls: Sequence[str] = CONTROLS, seed: int = 0) -> list[DoseFit]:
    """The posterior of each experiment's drugs, in the order of the summaries.

    Every well at 0 uM of the experiment, whatever drug its row names, and every well of a drug called as one
    of `controls`, is the control. A dose's mean has the variance of its replicates, shrunk towards that of
    the experiment's wells at the same dose and drawn from its posterior; its replicates are what the interval
    of the EC50 rests on beside the draws. Raises ValueError where no drug has a positive concentration.
    """
    rng = np.random.default_rng(seed)
    fits = []
    for experiment, points in gather(summaries, controls, rng):
        whole = [p for p in points if p.enough]
        prior = learn(whole)
        fits += [_fit(experiment, p, prior, rng) if p.enough else _too_few(experiment, p) for p in points]
    return fits


def _fit(experiment: str, points: Points, prior: Prior, rng: np.random.Generator) -> DoseFit:
    """Posterior draws of one drug and what they say."""
    log_ec50, log_n, step = grid(points.dose)
    h = hill(log_ec50[:, None], log_n[:, None], points.dose)
    post = posterior(h, log_n, points.mean, points.variance + misfit(prior), prior)
    cumulative = post.probability().cumsum(axis=1)
    each = -(-GIVEN // len(cumulative))
    draw = np.repeat(np.arange(len(cumulative)), each)
    u = rng.random((len(cumulative), each))
    at = np.concatenate([np.searchsorted(c, x) for c, x in zip(cumulative, u, strict=True)]).clip(
        max=len(log_n) - 1
    )
    # a draw of (bottom, span): Cholesky factor of the 2 x 2 precision
    p_bb, p_bs, p_ss = (x[draw, at] for x in (post.p_bb, post.p_bs, post.p_ss))
    z = rng.standard_normal((2, len(at)))
    low = np.sqrt(p_ss - p_bs**2 / p_bb)
    span = post.span[draw, at] + z[1] / low
    bottom = post.bottom[draw, at] + z[0] / np.sqrt(p_bb) - p_bs / p_bb * z[1] / low
    ec50 = np.exp(log_ec50[at] + step * (rng.random(len(at)) - 0.5))
    fit = DoseFit(
        experiment, points.drug, points, ec50, np.exp(log_n[at]), bottom + span, bottom, 0.0, "=", ""
    )
    relation, note = _where(fit)
    return replace(fit, r2=_r2(fit), relation=relation, note=note)


def _r2(fit: DoseFit) -> float:
    """Part of the variance between dose means that the mean curve explains; 0 where they do not differ."""
    y = fit.points.mean.mean(axis=0)
    total = ((y - y.mean()) ** 2).sum()
    rest = ((y - fit.curve(fit.points.dose).mean(axis=0)) ** 2).sum()
    return float(np.clip(1 - rest / total, 0.0, 1.0)) if total > 0 else 0.0


def _where(fit: DoseFit) -> tuple[str, str]:
    """Whether the EC50 lies within the tested doses, and what to say if not."""
    tested = fit.points.dose[fit.points.dose > 0]
    low, high = float(tested[0]), float(tested[-1])
    change = np.diff(fit.curve(np.array([0.0, high])), axis=1)[:, 0]
    seen = max(float((change > 0).mean()), float((change < 0).mean()))
    if float((fit.ec50_um > high).mean()) > 0.5:
        what = "half effect is not reached" if seen >= SURE else "no clear effect"
        return (
            ">",
            f"{what} up to {high:g} uM: EC50 above {np.quantile(fit.ec50_um, 0.05):.3g} uM (5 % quantile)",
        )
    if seen < SURE:
        return ">", f"no clear effect up to {high:g} uM: EC50 not determined"
    if float((fit.ec50_um < low).mean()) > 0.5:
        return (
            "<",
            f"half effect at the lowest dose: EC50 below {np.quantile(fit.ec50_um, 0.95):.3g} uM (95 % quantile)",
        )
    if float(np.quantile(fit.ec50_um, 0.95)) > high:
        return "=", f"interval reaches beyond {high:g} uM: there it rests on a plateau nobody measured"
    return "=", ""


def _too_few(experiment: str, points: Points) -> DoseFit:
    empty = np.zeros(0)
    note = f"{len(points.dose)} concentrations, the control included: expected at least 3"
    return DoseFit(experiment, points.drug, points, empty, empty, empty, empty, 0.0, "?", note)


def _row(fit: DoseFit) -> dict[str, object]:
    """What the table says of one drug."""
    counts: dict[str, object] = {"n_doses": len(fit.points.dose), "n_wells": int(fit.points.wells.sum())}
    if fit.relation == "?":
        names = ("ec50_um", "q05", "q50", "q95", "hill", "top", "bottom", "r2")
        nothing: dict[str, object] = {name: float("nan") for name in names}
        return nothing | {"relation": "?", "note": fit.note} | counts
    q05, q50, q95 = (float(x) for x in np.quantile(fit.ec50_um, [0.05, 0.5, 0.95]))
    tested = fit.points.dose[fit.points.dose > 0]
    best = q50
    if fit.relation == ">":
        best, q95 = float(tested[-1]), float("inf")
    if fit.relation == "<":
        best, q05 = float(tested[0]), 0.0
    shape: dict[str, object] = {
        name: float(np.median(getattr(fit, name))) for name in ("hill", "top", "bottom")
    }
    where: dict[str, object] = {"relation": fit.relation, "note": fit.note}
    ec50: dict[str, object] = {"ec50_um": best, "q05": q05, "q50": q50, "q95": q95}
    return ec50 | shape | {"r2": fit.r2} | where | counts
