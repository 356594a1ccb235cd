"""What is true of a simulated plate: responses to media changes, parameters, dose response.

All of it is read off noise-free curves, which are integrated with the same physics. Letters: s conditions, n steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from o2diffusion.design import Plate, stack, steps_of_changes
from o2diffusion.physics import integrate_culture, media_response

if TYPE_CHECKING:
    from o2diffusion.config import SimulationConfig

FINAL_H = 24.0  # the last hours of a plate, of which the final level is the mean
DOSES = np.geomspace(1e-3, 1e4, 29)  # [uM] where the true dose response is read


def dose_truth(
    config: SimulationConfig, plates: list[Plate], steps: int, dt: float
) -> list[dict[str, dict[str, float]]]:
    """By plate and drug: the concentration of half the full effect on mean and final oxygen [uM]; NaN without effect.

    steps of `dt` [h]: those of the plates' own integration.
    """
    if config.concentrations < 2:
        return [{} for _ in plates]
    first = np.arange(1, config.drugs * config.concentrations, config.concentrations)
    ladder = np.append(0.0, DOSES)
    dose = np.tile(ladder, config.drugs)
    wells = np.repeat(first, len(ladder))
    cultures = [
        p.culture.take(wells, concentration=dose, medium=dose * (p.culture.medium[wells] > 0)) for p in plates
    ]
    joined, columns = stack(cultures)
    curves = integrate_culture(joined, steps, dt, steps_of_changes(plates, columns, dt))
    tail = max(round(FINAL_H / dt), 1)
    out = []
    for plate, own in zip(plates, columns, strict=True):
        area = curves[:, own].mean(axis=0).reshape(config.drugs, -1)
        final = curves[-tail:, own].mean(axis=0).reshape(config.drugs, -1)
        out.append(
            {
                plate.names[c]: {"mean_ec50_um": half_effect(area[d]), "final_ec50_um": half_effect(final[d])}
                for d, c in enumerate(first)
            }
        )
    return out


def half_effect(summary: np.ndarray) -> float:
    """Concentration [uM] at half of the full change of a summary (1 + k,) [%], given at 0 and at the k DOSES.

    Linear in log concentration between doses; NaN where the whole change is below 1 %.
    """
    change = float(summary[-1] - summary[0])
    if abs(change) < 1.0:
        return float("nan")
    effect = (summary[1:] - summary[0]) / change
    above = int(np.argmax(effect >= 0.5))
    if above == 0:
        return float(DOSES[0])
    part = (0.5 - effect[above - 1]) / (effect[above] - effect[above - 1])
    return float(DOSES[above - 1] * (DOSES[above] / DOSES[above - 1]) ** part)


PARAMETERS = {  # column of the responses: parameter of the culture
    "ec50_um": "ec50",
    "hill": "hill",
    "kill_per_h": "kill",
    "inhibition": "inhibition",
    "onset_h": "onset_h",
    "stability_h": "stability_h",
    "vmax_per_h": "vmax",
    "km": "km",
    "exchange_per_h": "exchange",
    "fresh": "fresh",
    "disturbance": "disturbance",
    "drug_disturbance": "drug_disturbance",
    "recovery_h": "recovery_h",
    "drug_recovery": "drug_recovery",
}
OF_THE_DRUG = ("ec50_um", "hill", "onset_h", "stability_h")  # without meaning at 0 uM


def responses(
    plate: Plate, series: list[str], grid: np.ndarray, truth: np.ndarray, doses: dict[str, dict[str, float]]
) -> list[dict[str, object]]:
    """A row per condition and media change (one per condition without changes): true response, parameters, summaries.

    grid: (n,) [h], truth: (n, s) [%] as the sensor would show it; `doses` of the plate as `dose_truth` gives them.
    `mean_oxygen` is over the whole time, `final_oxygen` over its last day.
    """
    tail = max(round(FINAL_H / grid[1]), 1)
    mean, final = truth.mean(axis=0), truth[-tail:].mean(axis=0)
    nothing = {"mean_ec50_um": np.nan, "final_ec50_um": np.nan}
    fixed = []
    for i, name in enumerate(plate.names):
        own = {column: float(getattr(plate.culture, key)[i]) for column, key in PARAMETERS.items()}
        if plate.concentration[i] == 0:
            own |= dict.fromkeys(OF_THE_DRUG, np.nan)
        fixed.append({"mean_oxygen": mean[i], "final_oxygen": final[i]} | own | doses.get(name, nothing))
    rows = []
    for k, change in enumerate(plate.changes if len(plate.changes) else [np.nan]):
        until = float(plate.changes[k + 1]) if k + 1 < len(plate.changes) else np.inf
        spike, delay, half = media_response(grid, truth, float(change), until=until)
        rows += [
            {
                "experiment_id": plate.experiment_id,
                "series_id": series[i],
                "drug": name,
                "concentration_um": plate.concentration[i],
                "change_h": float(change),
                "drug_containing": bool(plate.dosed[k]) if len(plate.dosed) else False,
                "spike": spike[i],
                "peak_delay_h": delay[i],
                "half_decay_h": half[i],
            }
            | fixed[i]
            for i, name in enumerate(plate.names)
        ]
    return rows
