"""Pictures that check a model: are its bands honest, are its generated replicates like measured ones?

Letters: m values, d draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytosol.figures import GREY
from o2diffusion.canvas import COLOURS, legend_below, oxygen_label, panels, refuse_none, style
from o2diffusion.likeness import curve_statistics, ks_distance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from o2diffusion.conditions import Condition

GENERATED = "Generated curves beside measured ones (distance 0: alike, 1: nothing in common)"
NEEDS = {
    "correlation": "two replicates of one condition",
    "spike_height": "media changes (--events, --generated-events) with samples around them",
    "half_decay_h": "media changes (--events, --generated-events) with a spike that halves",
}
BINS = 20
LEVELS = np.linspace(0.05, 0.95, 19)


def pit(draws: np.ndarray, truth: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Where each truth (m,) falls among its draws (d, m), 0 to 1: uniform where the draws are honest: (m,).

    Ties and the room between ranks are spread at random (Gneiting et al. 2007, section 3.1). Raises ValueError for
    other shapes.
    """
    if draws.shape[1:] != truth.shape:
        msg = f"pit: expected draws (d, m) and truth (m,), got {draws.shape} and {truth.shape}"
        raise ValueError(msg)
    u = np.random.default_rng(seed).random(len(truth))
    below, equal = (draws < truth).sum(axis=0), (draws == truth).sum(axis=0)
    return (below + u * (equal + 1)) / (len(draws) + 1)


def coverage(values: np.ndarray, levels: np.ndarray = LEVELS) -> np.ndarray:
    """Share of PIT values (m,) within the central interval of each level (k,): (k,)."""
    return (np.abs(values[:, None] - 0.5) <= 0.5 * levels).mean(axis=0)


def plot_calibration(draws: np.ndarray, truth: np.ndarray, *, title: str = "Are the bands honest?") -> Figure:
    """Coverage of central intervals and the PIT histogram, for draws (d, m) of values that are known (m,).

    Raises ValueError without a finite truth.
    """
    known = np.isfinite(truth)
    if not known.any():
        msg = "plot: expected at least one known value to compare with, got none"
        raise ValueError(msg)
    values = pit(draws[:, known], truth[known])
    with style():
        figure, (left, right) = panels(2, title=title, size=(5.0, 4.2))
        left.plot([0, 100], [0, 100], color=GREY, ls="--", lw=1, label="honest bands")
        left.plot(100 * LEVELS, 100 * coverage(values), "o-", ms=4, color=COLOURS[0], label="these bands")
        left.set(
            xlabel="Band should hold [% of values]",
            ylabel="Band does hold [% of values]",
            title=f"90 % band holds {100 * coverage(values, np.array([0.9]))[0]:.0f} %",
            xlim=(0, 100),
            ylim=(0, 100),
            aspect="equal",
        )
        left.legend(loc="upper left")
        right.hist(values, bins=BINS, range=(0, 1), density=True, color=COLOURS[0], alpha=0.75, rwidth=0.92)
        right.axhline(1.0, color=GREY, ls="--", lw=1)
        right.set(
            xlabel="Rank of the true value among the draws (0 lowest)",
            ylabel="Frequency (1 = honest)",
            title="Even: honest. Hump: too wide. U: too narrow",
            xlim=(0, 1),
        )
        right.set_title(right.get_title(loc="left"), loc="left", fontsize=10.5)
    return figure


def plot_generated(
    measured: Sequence[Condition],
    generated: Sequence[Condition],
    *,
    title: str | None = None,
    notes: list[str] | None = None,
) -> Figure:
    """Distributions of replicate correlation, spike height and half-decay of measured and generated curves.

    What one of the two does not have is left out and said in `notes`; ValueError where nothing is left.
    """
    real, made = curve_statistics(measured), curve_statistics(generated)
    unit = measured[0].unit if measured else None
    labels = {
        "correlation": ("Likeness of replicates", "Correlation of two replicates"),
        "spike_height": ("Spike at a media change", oxygen_label(unit, "Height")),
        "half_decay_h": ("Its decay", "Time to half the height [h]"),
    }
    for name, need in NEEDS.items():
        lacking = [who for who, has in (("measured", real), ("generated", made)) if not len(has[name])]
        if lacking:
            del labels[name]
            if notes is not None:
                notes.append(
                    f"{name} is not drawn: the {' and '.join(lacking)} curves have none, it needs {need}"
                )
    refuse_none(list(labels), f"{', '.join(NEEDS)} of both measured and generated curves")
    with style():
        figure, axes = panels(len(labels), title=title or GENERATED, size=(4.3, 3.6))
        for ax, (name, (head, label)) in zip(axes, labels.items(), strict=True):
            ax.ecdf(real[name], color=COLOURS[0], lw=2, label="measured")
            ax.ecdf(made[name], color=COLOURS[1], lw=2, label="generated")
            ax.set_title(f"{head}: distance {ks_distance(real[name], made[name]):.2f}")
            ax.set_xlabel(f"{label}\n({len(real[name])} measured, {len(made[name])} generated)")
            both = np.concatenate([real[name], made[name]])
            low, high = np.quantile(both, [0.005, 0.995])
            ax.set_xlim(low - 0.05 * (high - low) - 1e-9, high + 0.05 * (high - low) + 1e-9)
        axes[0].set_ylabel("Share of values below")
        legend_below(figure, axes[0])
    return figure
