"""Pictures for people who grow tissue: filled curves and dose-response.

Every function returns a matplotlib Figure; `canvas.save` writes it. Letters: n times, r replicates, d draws.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from cytosol.figures import GREY, save
from o2diffusion.canvas import (
    COLOURS,
    MOST,
    beyond,
    dose_axis,
    legend_below,
    oxygen_label,
    panels,
    refuse_none,
    short,
    style,
)
from o2diffusion.check_plots import plot_calibration, plot_generated
from o2diffusion.conditions import Condition
from o2diffusion.profile_plots import plot_profiles
from o2diffusion.summaries import complete

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from o2diffusion.dose import DoseFit
    from o2diffusion.imputing import Filled

BANDS = ((0.05, 0.95, 0.22), (0.25, 0.75, 0.38))  # quantiles and opacity
NAMES = {"area": "Mean oxygen", "final_level": "Final oxygen", "consumption_rate": "Oxygen consumption"}

__all__ = ["plot_calibration", "plot_curves", "plot_doses", "plot_generated", "plot_profiles", "save"]


def plot_curves(filled: Sequence[Filled | Condition], *, title: str | None = None) -> Figure:
    """Curves of each condition with what was filled: median dashed, 50 % and 90 % bands; events as lines.

    At most 12 conditions, the first ones. title: of the figure. Raises ValueError where there are none.
    """
    shown = list(filled)[:MOST]
    refuse_none(shown, "conditions")
    conditions = [one if isinstance(one, Condition) else one.condition for one in shown]
    gaps = any(not isinstance(one, Condition) and one.draws.size for one in shown)
    title = title or ("Oxygen curves, with what was filled in" if gaps else "Oxygen curves")
    if len(filled) > MOST:
        title += f" (the first {MOST} of {len(filled)} conditions)"
    one_unit = len({c.unit for c in conditions}) == 1
    columns = 2 if len(shown) == 4 else min(3, len(shown))
    with style():
        figure, axes = panels(len(shown), title=title, columns=columns, sharey=one_unit)
        for k, (ax, one, condition, name) in enumerate(
            zip(axes, shown, conditions, _names(conditions), strict=True)
        ):
            _curves(ax, condition, complete(one))
            ax.set_title(short(name))
            if k % columns == 0 or not one_unit:
                ax.set_ylabel(oxygen_label(condition.unit))
            if k >= len(shown) - columns:
                ax.set_xlabel("Time [h]")
        most = max(range(len(axes)), key=lambda k: len(axes[k].get_legend_handles_labels()[1]))
        legend_below(figure, axes[most], 4)
    return figure


def _names(conditions: Sequence[Condition]) -> list[str]:
    """A name for each panel; several that would be called alike are told apart by what differs.

    By their series, then their experiment, then their replicates (a series that was split).
    """
    names = [_name(c) for c in conditions]
    keys = (
        [c.series_id for c in conditions],
        [c.experiment_id for c in conditions],
        [" ".join(c.replicates) for c in conditions],
    )
    for own in keys:
        alike = defaultdict(set)
        for name, value in zip(names, own, strict=True):
            alike[name].add(value)
        names = [f"{n}, {v}" if len(alike[n]) > 1 else n for n, v in zip(names, own, strict=True)]
    return names


def _name(condition: Condition) -> str:
    """Drug and concentration of a condition, or the name of its series."""
    if condition.drug is None or condition.concentration_um is None:
        return condition.series_id if condition.drug is None else condition.drug
    if condition.concentration_um == 0:
        return f"{condition.drug}, 0 µM"
    return f"{condition.drug}, {condition.concentration_um:.3g} µM"


def _curves(ax: Axes, condition: Condition, curves: np.ndarray) -> None:
    """One condition: curves (d, n, r), and its events."""
    seen, time = np.isfinite(condition.oxygen), condition.time_h
    for k in range(curves.shape[2]):
        colour = COLOURS[k % len(COLOURS)]
        known = np.isfinite(curves[:, :, k]).all(axis=0)
        t, y, own = time[known], curves[:, known, k], seen[known, k]
        if not t.size:
            continue
        middle = np.median(y, axis=0)
        ax.plot(t, np.where(own, middle, np.nan), color=colour, label=f"replicate {k + 1}", lw=1.2)
        for i, j in _runs(~own):
            near = slice(max(i - 1, 0), j + 1)  # up to the measured neighbours, where the bands close
            ax.plot(t[near], middle[near], color=colour, ls=(0, (2.5, 1.5)), lw=1.1)
            for low, high, alpha in BANDS:
                edges = np.quantile(y[:, near], [low, high], axis=0)
                ax.fill_between(t[near], edges[0], edges[1], color=colour, alpha=alpha, lw=0)
    _events(ax, condition)
    if not seen[np.isfinite(curves).all(axis=0)].all():
        ax.plot([], [], color=GREY, ls=(0, (2.5, 1.5)), label="filled in (median)")
        for low, high, alpha in BANDS[::-1]:
            ax.fill_between(
                [], [], [], color=GREY, alpha=alpha + 0.1, lw=0, label=f"{round(100 * (high - low))} % band"
            )


def _runs(flag: np.ndarray) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each run of True: bool (n,)."""
    edge = np.flatnonzero(np.diff(np.concatenate([[False], flag, [False]]).astype(int)))
    return [(int(i), int(j)) for i, j in zip(edge[::2], edge[1::2], strict=True)]


def _events(ax: Axes, condition: Condition) -> None:
    """Events within the curve's time as vertical lines, named once in the legend."""
    named: set[str] = set()
    for at, kind in zip(condition.events.time_h, condition.events.kind, strict=True):
        if condition.time_h[0] <= at <= condition.time_h[-1]:
            label = "" if kind in named else kind.replace("_", " ")
            dash = "-" if kind == "media_change" else ":"
            ax.axvline(float(at), color=GREY, lw=1.6, ls=dash, alpha=0.35, zorder=0, label=label)
            named.add(kind)


def plot_doses(fits: Sequence[DoseFit], *, summary: str = "area", unit: str | None = None) -> Figure:
    """Hill curves of `dose.fit_doses` with their 90 % band, wells as dots, EC50 as a line with its interval.

    At most 12 drugs, the first ones. `summary` and its `unit` name the axis. Raises ValueError where none has a fit.
    """
    shown = [f for f in fits if f.relation != "?"][:MOST]
    refuse_none(shown, "dose-response fits")
    what = NAMES.get(summary, summary)
    one = len({fit.experiment_id for fit in shown}) == 1
    title = f"Dose-response of {what.lower()}"
    if len(fits) > len(shown):
        title += f" ({len(shown)} of {len(fits)} drugs)"
    with style():
        figure, axes = panels(len(shown), title=title, sharey=True)
        for k, (ax, fit) in enumerate(zip(axes, shown, strict=True)):
            _dose(ax, fit, fit.drug if one else f"{fit.drug}, {fit.experiment_id}")
            if k % min(3, len(shown)) == 0:
                ax.set_ylabel(oxygen_label(unit, what))
        found = [ax for ax, fit in zip(axes, shown, strict=True) if fit.relation == "="]
        legend_below(figure, (found or axes)[0])
    return figure


def _dose(ax: Axes, fit: DoseFit, name: str) -> None:
    """One drug, called `name`: wells, curve with band, EC50."""
    dose = fit.points.dose
    at = dict(zip(dose, dose_axis(ax, list(dose)), strict=True))
    left, right = np.log10(dose[dose > 0][0]), np.log10(dose[-1])
    line = np.linspace(left - 0.35, right + 0.2, 200)
    low, middle, high = np.quantile(fit.curve(10**line), [0.05, 0.5, 0.95], axis=0)
    ax.fill_between(line, low, high, color=COLOURS[0], alpha=0.22, lw=0, label="90 % band")
    ax.plot(line, middle, color=COLOURS[0], lw=2, label="Hill curve")
    if dose[0] == 0:
        edges = np.quantile(fit.bottom, [0.05, 0.5, 0.95])
        control = at[0.0] + np.array([-0.13, 0.13])
        ax.fill_between(control, edges[0], edges[2], color=COLOURS[0], alpha=0.22, lw=0)
        ax.plot(control, [edges[1], edges[1]], color=COLOURS[0], lw=2)
    jitter = np.random.default_rng(0).uniform(-0.06, 0.06, len(fit.points.at))
    x = np.array([at[c] for c in fit.points.at]) + jitter
    ax.plot(x, fit.points.value, "o", ms=3.5, color="black", alpha=0.55, mew=0, label="wells")
    q05, q50, q95 = np.quantile(fit.ec50_um, [0.05, 0.5, 0.95])
    if fit.relation == "=":
        interval = np.log10([q05, q95])
        ax.axvspan(
            *np.clip(interval, None, line[-1]),
            color=COLOURS[1],
            alpha=0.16,
            lw=0,
            label="EC50, 90 % interval",
        )
        ax.axvline(np.log10(q50), color=COLOURS[1], lw=1.6, label="EC50")
        said = f"EC50 {q50:.2g} µM ({q05:.2g} to {q95:.2g})"
    else:
        said = f"EC50 {fit.relation} {dose[-1] if fit.relation == '>' else dose[dose > 0][0]:.3g} µM"
    ax.set_title(f"{short(name)}\n{said}", fontsize=10.5)
    ax.set_xlim(min(at.values()) - 0.15, line[-1])
    if fit.relation == "=":
        beyond(ax, 0.04, *interval, colour=COLOURS[1], across=True)
