"""Does the model answer media changes differently for different drugs? A permutation test, not a look.

Letters: n draws, g drugs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from o2diffusion.media import MediaChangeSchedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from o2diffusion.oxygen_model import OxygenModel

CHANGES_H = (48.0, 120.0)  # dosing, and the change that is read
HOURS = 168.0
BEFORE_H, PEAK_H, AFTER_H = 10.0, 15.0, (10.0, 20.0)


def _response(time: np.ndarray, curves: np.ndarray, at: float) -> tuple[np.ndarray, np.ndarray]:
    """Spike height and the share of it left 10 to 20 h later, for each draw: (n, t, r) -> (n,), (n,)."""
    mean = curves.mean(axis=2)
    before = mean[:, (time >= at - BEFORE_H) & (time < at)].mean(axis=1)
    peak = mean[:, (time >= at) & (time < at + PEAK_H)].max(axis=1)
    late = mean[:, (time >= at + AFTER_H[0]) & (time < at + AFTER_H[1])].mean(axis=1)
    height = peak - before
    return height, (late - before) / np.where(np.abs(height) > 1e-9, height, np.nan)


def _f_statistic(value: np.ndarray, group: np.ndarray) -> float:
    """Between-group over within-group variance of one number."""
    groups = [value[group == g] for g in np.unique(group)]
    between = sum(len(v) * (v.mean() - value.mean()) ** 2 for v in groups) / (len(groups) - 1)
    within = sum(((v - v.mean()) ** 2).sum() for v in groups) / (len(value) - len(groups))
    return float(between / max(within, 1e-12))


def validate_drug_specific_media_responses(
    model: OxygenModel,
    test_drugs: Sequence[str],
    *,
    concentrations_um: Sequence[float] = (0.1, 1.0, 10.0),
    draws: int = 32,
    permutations: int = 999,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Responses by drug and concentration, and a permutation test that the drugs differ.

    Returns (responses: drug, concentration_um, spike_magnitude [oxygen unit] with its SD over the draws spike_sd,
    remaining [share of it 10 to 20 h later]; test: concentration_um, f, p_value, distinct at 5 % after the correction
    of Holm 1979). Under the null hypothesis the drug's name says nothing of the spike, so names are shuffled over
    draws. Raises ValueError with fewer than two drugs or draws, and for a drug that the model has not met.
    """
    from o2diffusion.generating import generate_curves

    if len(test_drugs) < 2:
        msg = f"test_drugs: expected at least two drugs to compare, got {len(test_drugs)}"
        raise ValueError(msg)
    if draws < 2 or permutations < 1:
        msg = f"expected at least 2 draws and 1 permutation for a test, got {draws} and {permutations}"
        raise ValueError(msg)
    schedule = MediaChangeSchedule(CHANGES_H)
    scale = next(iter(model.facts.scales.values()))
    rng = np.random.default_rng(seed)
    rows, tests = [], []
    for concentration in concentrations_um:
        spikes = []
        for number, drug in enumerate(test_drugs):
            time, curves = generate_curves(
                model.net,
                model.facts.identify(drug, concentration),
                schedule,
                scale=scale,
                hours=HOURS,
                draws=draws,
                seed=seed + number,
            )
            height, remaining = _response(time, curves, CHANGES_H[-1])
            rows.append((drug, concentration, height.mean(), height.std(ddof=1), np.nanmean(remaining)))
            spikes.append(height)
        value, group = np.concatenate(spikes), np.repeat(np.arange(len(test_drugs)), draws)
        f = _f_statistic(value, group)
        null = [_f_statistic(value, rng.permutation(group)) for _ in range(permutations)]
        tests.append((concentration, f, (1 + sum(x >= f for x in null)) / (permutations + 1)))
    columns = ["drug", "concentration_um", "spike_magnitude", "spike_sd", "remaining"]
    test = pd.DataFrame(tests, columns=["concentration_um", "f", "p_value"])
    rank = test["p_value"].rank(method="first")
    adjusted = (test["p_value"] * (len(test) + 1 - rank)).iloc[np.argsort(rank)].cummax().sort_index()
    return pd.DataFrame(rows, columns=columns), test.assign(distinct=adjusted <= 0.05)
