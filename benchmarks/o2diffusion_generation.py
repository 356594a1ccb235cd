"""Generated replicates beside held-out simulated ones: correlation, spike height, half-decay.

    uv run python benchmarks/o2diffusion_generation.py [--steps N]

Trains by the default recipe on simulated plates with known drugs, generates every condition of other plates with the
same drugs (same schedule, same number of replicates) and compares distributions by Kolmogorov-Smirnov distance, both
sides read on the same grid. Writes o2diffusion_generation.md and .png.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import ks_2samp

from o2diffusion.conditions import Condition, read_conditions
from o2diffusion.config import Config, SimulationConfig
from o2diffusion.fitting import train
from o2diffusion.generating import blank_grid, draw_whole
from o2diffusion.grid import to_grid
from o2diffusion.media import MediaChangeSchedule
from o2diffusion.physics import media_response
from o2diffusion.pool import item
from o2diffusion.simulation import simulate

if TYPE_CHECKING:
    from o2diffusion.oxygen_model import OxygenModel

HERE = Path(__file__).parent
DRAWS = 4  # of each condition
SMALL = 5.0  # [% air saturation] a smaller spike has no half-decay to speak of
PLATES = SimulationConfig(protocol="plate", experiments=3, drugs=8, concentrations=8)


def plates(seed: int) -> list[Condition]:
    """Plates of the same eight drugs; the seed changes everything else."""
    made = simulate(PLATES, seed=seed)
    return read_conditions(made.table, made.events, notes=[])


def readings(
    time_h: np.ndarray, value: np.ndarray, changes: np.ndarray, end: float
) -> dict[str, list[float]]:
    """Pairwise correlations, and spike height and half-decay of every replicate at every change of one condition."""
    out: dict[str, list[float]] = {"correlation": [], "spike": [], "half_decay_h": []}
    r = value.shape[1]
    for i in range(r):
        for j in range(i):
            both = np.isfinite(value[:, i]) & np.isfinite(value[:, j])
            if both.sum() > 20:
                out["correlation"].append(float(np.corrcoef(value[both, i], value[both, j])[0, 1]))
    for k in range(r):
        seen = np.isfinite(value[:, k])
        for change, until in zip(changes, [*changes[1:], end], strict=True):
            found = media_response(time_h[seen], value[seen, k, None], change, until=until)
            spike, _, half = (float(x[0]) for x in found)
            out["spike"] += [spike] if np.isfinite(spike) else []
            out["half_decay_h"] += [half] if np.isfinite(half) and spike > SMALL else []
    return out


def collect(model: OxygenModel, held: list[Condition], seed: int) -> tuple[dict, dict]:
    """Readings of held-out conditions and of generated ones, hidden where the held-out ones hold no sample."""
    real: dict[str, list[float]] = {"correlation": [], "spike": [], "half_decay_h": []}
    made: dict[str, list[float]] = {k: [] for k in real}
    scale = next(iter(model.facts.scales.values()))
    items, grids = [], []
    for condition in held:
        changes = condition.events.time_h[[k == "media_change" for k in condition.events.kind]]
        hours = float(condition.time_h[-1])
        blank = blank_grid(
            hours, condition.oxygen.shape[1], MediaChangeSchedule(changes), cells=model.net.config.cells
        )
        who = model.facts.who(condition)
        hidden = np.ones(blank.value.shape, dtype=bool)
        items.append(item(blank, hidden, fallback=scale, drug=who[0], concentration=who[1]))
        grids.append((to_grid(condition, model.net.config.cells, start=0.0, end=hours), changes, hours))
    made_up = draw_whole(model.net, items, DRAWS, generator=torch.Generator().manual_seed(seed))
    for curves, (grid, changes, hours) in zip(made_up, grids, strict=True):
        drawn = [(made, np.where(grid.observed, curve, np.nan)) for curve in curves]
        for bag, value in [(real, grid.value), *drawn]:
            for name, values in readings(grid.centre, value, changes, hours).items():
                bag[name] += values
    return real, made


def main() -> int:
    """Train, generate, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--steps", type=int, default=None, help="optimizer steps; the default recipe's without it"
    )
    parser.add_argument("--out", type=Path, default=None, help="keep the trained model here")
    asked = parser.parse_args()
    config = Config()
    if asked.steps:
        config = replace(config, trainer=replace(config.trainer, max_steps=asked.steps))
    start = time.time()
    model = train(plates(101), config=config, seed=0, out=asked.out)
    minutes = (time.time() - start) / 60
    real, made = collect(model, plates(202), seed=5)
    lines = [
        "# Generated replicates beside held-out simulated ones",
        "",
        f"Default recipe, {minutes:.1f} min of training ({torch.get_num_threads()} threads).",
        "",
        "| statistic | n held out | n generated | median held out | median generated | KS distance |",
        "|---|---|---|---|---|---|",
    ]
    for name in real:
        a, b = np.array(real[name]), np.array(made[name])
        distance = ks_2samp(a, b).statistic
        lines.append(
            f"| {name} | {len(a)} | {len(b)} | {np.median(a):.3f} | {np.median(b):.3f} | {distance:.3f} |"
        )
    (HERE / "o2diffusion_generation.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    draw(real, made)
    return 0


def draw(real: dict, made: dict) -> None:
    """Cumulative shares of the three statistics, held out against generated."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    labels = {"correlation": "correlation of two replicates", "spike": "spike height [% air saturation]"}
    labels["half_decay_h"] = "half-decay [h]"
    for axis, name in zip(figure.subplots(1, 3), labels, strict=True):
        for values, label, colour in (
            (real[name], "held out", "#000000"),
            (made[name], "generated", "#D55E00"),
        ):
            x = np.sort(values)
            axis.plot(x, np.arange(1, len(x) + 1) / len(x), color=colour, label=label)
        axis.set_xlabel(labels[name])
        axis.set_ylabel("share of replicates below")
        axis.legend()
    figure.savefig(HERE / "o2diffusion_generation.png", dpi=110)


if __name__ == "__main__":
    sys.exit(main())
