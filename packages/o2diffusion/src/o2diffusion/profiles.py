"""The response to media changes by drug and concentration: read off curves, or off a trained network.

Both give the four numbers of the plan (spike_magnitude, recovery_tau, adaptation_tau, secondary_magnitude) and
the two that are seen by eye: height and half-decay of the spike. Units: the table's oxygen, hours.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from scipy.stats import norm
from scipy.stats import t as student

from o2diffusion.after import HORIZON
from o2diffusion.media import PROFILE, response_metrics
from o2diffusion.responses import HIGH, LOW, fit_profile
from o2diffusion.windows import AFTER_H, BEFORE_H, REFERENCE_H, MediaResponseDataset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from o2diffusion.conditions import Condition
    from o2diffusion.oxygen_model import OxygenModel
    from o2diffusion.responses import ResponseFit
    from o2diffusion.windows import MediaWindow

HEIGHT, DECAY = "spike_height", "half_decay_h"
COVERAGE = 0.9
TAUS = ("recovery_tau", "adaptation_tau")
ENOUGH = 8  # samples after the changes: fewer do not tell a response of five numbers
HORIZON_H = HORIZON * AFTER_H  # the peak is sought within it
PLACE = {name: i for i, name in enumerate(PROFILE)}


def profile(
    conditions: Iterable[Condition],
    *,
    before_h: float = BEFORE_H,
    after_h: float = AFTER_H,
    reference_h: float = REFERENCE_H,
    kinds: Sequence[str] = ("media_change",),
    draws: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """A row for each drug and concentration (and unit of oxygen): the response its media changes share.

    Columns: drug, concentration_um, n_windows, n_wells; spike_height (peak of the next 15 h minus mean of the
    10 h before), half_decay_h (NaN where the spike does not halve in the window), spike_magnitude,
    secondary_magnitude [unit of oxygen], recovery_tau, adaptation_tau [h], each with `_q05` and `_q95`;
    recovery_shape (see `responses`), from_h, to_h (first and last sample after a change [h]; nothing is read beyond),
    unit, event (the kinds), note (what was too short or too little).
    Times: `before_h` [h] before a change to `after_h` [h] after it. Intervals are NaN with a single curve, all numbers
    with fewer than 8 samples after the changes. Raises ValueError where no condition has an event of `kinds` with
    samples around it.
    """
    conditions = list(conditions)
    windows = MediaResponseDataset(
        conditions, before_h=before_h, after_h=after_h, reference_h=reference_h, kinds=kinds
    )
    groups: dict[tuple[str | None, float | None, str | None], list[MediaWindow]] = {}
    for window in windows.windows:
        groups.setdefault((window.drug, window.concentration_um, window.unit), []).append(window)
    if not groups:
        raise ValueError(_none(conditions, kinds, windows.dropped))
    rows = []
    for (drug, concentration, unit), own in groups.items():
        fit = fit_profile(own, after_h=after_h, draws=draws, coverage=COVERAGE, seed=seed)
        rows.append(
            _identity(drug, concentration)
            | _numbers(fit)
            | {"unit": unit, "event": ", ".join(kinds), "note": _note(fit, after_h)}
        )
    return pd.DataFrame(rows).sort_values(["drug", "concentration_um"], kind="stable", ignore_index=True)


def _none(conditions: Iterable[Condition], kinds: Sequence[str], dropped: int) -> str:
    """Why there is nothing to measure, and what to do."""
    there = Counter(kind for c in conditions for kind in c.events.kind)
    asked = f"profile: expected events of kind {' or '.join(kinds)}"
    if dropped:
        return f"{asked} with samples before and after, got {dropped} without them; are both clocks in hours?"
    if not there:
        return f"{asked}, got no events; give the events table (--events)"
    count = ", ".join(f"{n} x {kind}" for kind, n in there.items())
    return f"{asked}, got {count}; choose them with kinds (--event-kind {next(iter(there))})"


def _identity(drug: str | None, concentration: float | None) -> dict[str, object]:
    return {"drug": drug, "concentration_um": np.nan if concentration is None else concentration}


def _numbers(fit: ResponseFit) -> dict[str, object]:
    """A fit's numbers with their intervals; those of time constants are symmetric in the logarithm."""
    row: dict[str, object] = {"n_windows": fit.n_windows, "n_wells": fit.n_wells}
    for name, value, interval in (
        (HEIGHT, fit.height, fit.height_interval),
        (DECAY, fit.half_decay_h, fit.half_decay_interval),
    ):
        row |= {name: value, f"{name}_q05": interval[0], f"{name}_q95": interval[1]}
    tail = (1 + COVERAGE) / 2
    width = float(student.ppf(tail, fit.n_wells - 1)) if fit.n_wells > 1 else float(norm.ppf(tail))
    for name in PROFILE:
        value, error = fit.profile[name], width * fit.standard_error[name]
        if name in TAUS:  # nothing is known beyond where a time constant was sought
            shortest, longest = fit.measured_h[1] * np.exp((LOW[PLACE[name]], HIGH[PLACE[name]]))
            low, high = np.clip(
                value * np.exp(np.clip([-error / value, error / value], -50, 50)), shortest, longest
            )
        else:
            low, high = value - error, value + error
        row |= {name: value, f"{name}_q05": float(low), f"{name}_q95": float(high)}
    row["recovery_shape"] = fit.profile["recovery_shape"]
    if fit.n_samples < ENOUGH:
        row |= {name: np.nan for name in row if not name.startswith("n_")}
    return row | dict(zip(("from_h", "to_h"), fit.measured_h, strict=True))


def _note(fit: ResponseFit, after_h: float) -> str:
    """What is special about a row's numbers, or why they are not there."""
    end = fit.measured_h[1]
    if fit.n_samples < ENOUGH:
        return f"{fit.n_samples} samples after the event, at least {ENOUGH} needed: not measured"
    said = []
    if end < HORIZON_H < after_h:
        said.append(f"measured for {end:.3g} h after the event: nothing is read beyond")
    if fit.capped:
        said.append("the fit goes far above all samples: height is the highest, no interval, no half-decay")
    elif not np.isfinite(fit.half_decay_h):
        said.append(f"no rise that halves within {end:.3g} h: no half-decay")
    if fit.n_windows * fit.n_wells == 1:
        said.append("a single curve: no intervals")
    return "; ".join(said)


@torch.no_grad()
def model_profile(
    model: OxygenModel, drug: str | None, concentration_um: float | None, *, unknown_drug: bool = False
) -> pd.DataFrame:
    """One row: what a trained model believes of the response, in the same columns without intervals.

    Raises ValueError for a drug the model has not met (unless `unknown_drug`: the learned average).
    """
    index, dose = model.facts.identify(drug, concentration_um, unknown=unknown_drug)
    net = model.net
    device = net.media_dynamics.oxygen_scale.device
    concentration = torch.tensor([dose], dtype=torch.float32, device=device)
    embedding = net.drug_encoder(torch.tensor([index], device=device), concentration)
    found = net.media_dynamics.get_media_response_profile(embedding, concentration)
    height, decay = response_metrics(found)
    row = _identity(drug, concentration_um) | {HEIGHT: float(height), DECAY: float(decay)}
    row |= {name: float(found[name]) for name in PROFILE}
    unit = next(iter(model.facts.units), None)
    return pd.DataFrame([row | {"unit": unit, "event": "media_change"}])


def model_profiles(
    model: OxygenModel,
    drugs: Sequence[str] | None = None,
    concentrations_um: Sequence[float] | None = None,
    *,
    unknown_drug: bool = False,
) -> pd.DataFrame:
    """`model_profile` of every drug at every concentration [uM], by default all that the model was trained on.

    Raises ValueError as it does.
    """
    drugs = model.facts.drugs if drugs is None else drugs
    doses = model.facts.concentrations if concentrations_um is None else concentrations_um
    pairs = [(d, c) for d in (drugs or (None,)) for c in (doses or (None,))]
    rows = [model_profile(model, d, c, unknown_drug=unknown_drug) for d, c in pairs]
    return pd.concat(rows, ignore_index=True)
