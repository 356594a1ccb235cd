"""The picture of `diagnose`: scale, size of F and neighbours by noise level, each beside what it must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from cytosol.figures import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

PANELS = (
    (
        "Scale of the estimate",
        "RMS radius / true",
        {"scale_r": "refiner", "scale_r_skip": "skip connection alone"},
    ),
    (
        "Size of what is learned",
        "RMS(F predicted) / RMS(F target)",
        {"fx_ratio": "all of F", "fx_ratio_own": "beyond the generator"},
    ),
    (
        "Neighbours after one step",
        "Jaccard@10",
        {
            "jaccard10": "refiner",
            "jaccard10_silent": "refiner with F = 0",
            "jaccard10_skip": "noisy structure",
        },
    ),
)
COLOURS = (BLUE, ORANGE, GREY)


def draw(table: pd.DataFrame, file: Path) -> None:
    """Three panels over the noise levels; the generator's Jaccard@10 as a line. Without a refiner, that line alone."""
    part = table[table["probe"] == "by_sigma"]
    health = table[table["probe"] == "generator_health"].set_index("quantity")["value"]
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for axes, (title, label, lines) in zip(figure.subplots(1, 3), PANELS, strict=True):
        for (quantity, name), colour in zip(lines.items(), COLOURS, strict=False):
            one = part[part["quantity"] == quantity]
            middle = (one["low"] * one["high"]) ** 0.5
            axes.plot(middle, one["value"], "o-", color=colour, label=name)
        if title.startswith("Neighbours"):
            axes.axhline(health["jaccard10"], color="black", linestyle=":", label="generator")
            axes.set_ylim(bottom=0)
        else:
            axes.axhline(1.0, color="black", linestyle=":", linewidth=1)
            axes.set_ylim(0, max(1.2, axes.get_ylim()[1]))
        axes.set(title=title, xlabel="noise level / sigma_data", ylabel=label)
        if len(part):
            axes.set_xscale("log")
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)
