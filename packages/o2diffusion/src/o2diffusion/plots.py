"""Pictures for people who grow tissue: filled curves, media-change profiles, dose-response.

Every function returns a matplotlib Figure; `canvas.save` writes it. Letters: n times, r replicates, d draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from o2diffusion.canvas import COLOURS, GREY, MOST, dose_axis, legend_below, oxygen_label, panels, save, style
from o2diffusion.check_plots import plot_calibration, plot_generated
from o2diffusion.conditions import Condition
from o2diffusion.media import PROFILE, media_effect
from o2diffusion.profiles import DECAY, HEIGHT
from o2diffusion.summaries import complete

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from o2diffusion.dose import DoseFit
    from o2diffusion.imputing import Filled

BANDS = ((0.05, 0.95, 0.22), (0.25, 0.75, 0.38))  # quantiles and opacity
NAMES = {"area": "Mean oxygen", "final_level": "Final oxygen", "consumption_rate": "Oxygen consumption"}
AFTER_H = 22.0

__all__ = ["plot_calibration", "plot_curves", "plot_doses", "plot_generated", "plot_profiles", "save"]


def plot_curves(filled: Sequence[Filled | Condition], *, title: str | None = None) -> Figure:
    """Curves of each condition with what was filled: median dashed, 50 % and 90 % bands; events as lines.

    At most 12 conditions, the first ones. Raises ValueError where there are none.
    """
    shown = list(filled)[:MOST]
    _some(shown, "conditions")
    conditions = [one if isinstance(one, Condition) else one.condition for one in shown]
    gaps = any(not isinstance(one, Condition) and one.draws.size for one in shown)
    title = title or ("Oxygen curves, with what was filled in" if gaps else "Oxygen curves")
    if len(filled) > MOST:
        title += f" (the first {MOST} of {len(filled)} conditions)"
    one_unit = len({c.unit for c in conditions}) == 1
    with style():
        figure, axes = panels(len(shown), title=title, sharey=one_unit)
        for k, (ax, one, condition) in enumerate(zip(axes, shown, conditions, strict=True)):
            _curves(ax, condition, complete(one))
            ax.set_title(_short(_name(condition)))
            columns = min(3, len(shown))
            if k % columns == 0 or not one_unit:
                ax.set_ylabel(oxygen_label(condition.unit))
            if k >= len(shown) - columns:
                ax.set_xlabel("Time [h]")
        most = max(range(len(axes)), key=lambda k: len(axes[k].get_legend_handles_labels()[1]))
        legend_below(figure, axes[most], 4)
    return figure


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


def plot_profiles(table: pd.DataFrame, *, drugs: Sequence[str] | None = None) -> Figure:
    """Media-change responses of `profiles.profile` (or `model_profiles`): shape by drug, height and half-decay.

    A panel for each drug (at most 10, the first ones unless `drugs` says) with the response at each
    concentration, then spike height and half-decay against concentration, with 90 % intervals where the table
    has them; rows at 0 uM belong to every drug. Raises ValueError where no row has a drug.
    """
    import matplotlib as mpl

    rows = sorted(table.to_dict("records"), key=lambda row: _dose_of(row))
    zero = [row for row in rows if _dose_of(row) == 0]
    named = list(
        dict.fromkeys(row["drug"] for row in table.to_dict("records") if isinstance(row["drug"], str))
    )
    treated = [d for d in named if any(row["drug"] == d and _dose_of(row) != 0 for row in rows)]
    chosen = list(drugs) if drugs is not None else treated or named
    shown = chosen[: MOST - 2]
    _some(shown, "drugs in the table of profiles")
    title = "Response to a media change"
    if len(chosen) > len(shown):
        title += f" (the first {len(shown)} of {len(chosen)} drugs)"
    own = {d: [*(r for r in zero if r["drug"] != d), *(r for r in rows if r["drug"] == d)] for d in shown}
    unit = rows[0]["unit"]
    doses = sorted({_dose_of(row) for row in rows})
    with style():
        shades = mpl.colormaps["viridis_r"](np.linspace(0.08, 1.0, max(len(doses), 2)))
        colour = dict(zip(doses, shades, strict=False))
        figure, axes = panels(len(shown) + 2, title=title)
        for ax, name in zip(axes[:2], (HEIGHT, DECAY), strict=True):
            at = dict(zip(doses, dose_axis(ax, doses), strict=True))
            for k, drug in enumerate(shown):
                _against_dose(ax, own[drug], name, at, k, drug)
            _limit(ax, [float(row[name]) for drug in shown for row in own[drug]])
        axes[0].set(title="Height of the spike", ylabel=oxygen_label(unit, "Height"))
        axes[1].set(title="Half-decay of the spike", ylabel="Time to half the height [h]")
        for ax, drug in zip(axes[2:], shown, strict=True):
            _responses(ax, own[drug], colour)
            ax.set(xlabel="Time since the change [h]", ylabel=oxygen_label(unit, "Rise in oxygen"))
            ax.set_title(_short(drug))
        low, high = zip(*(ax.get_ylim() for ax in axes[2:]), strict=True)
        for ax in axes[2:]:
            ax.set_ylim(min(low), max(high))
        _legend_of_doses(axes[2], colour)
        legend_below(figure, axes[0], 5)
    return figure


def _limit(ax: Axes, values: Sequence[float]) -> None:
    """Limits that show 0 and every value; an interval that reaches further is cut."""
    known = np.array(values)[np.isfinite(values)]
    if known.size:
        room = 0.35 * max(float(np.ptp(np.append(known, 0.0))), 1e-9)
        ax.set_ylim(min(known.min() - room, 0.0) if known.min() < 0 else 0.0, max(known.max(), 0.0) + room)


def _short(name: str) -> str:
    """A name that fits over a panel."""
    return name if len(name) <= 38 else name[:37] + "…"


def _dose_of(row: dict[Hashable, Any]) -> float:
    """Concentration of a row [uM]; one that is not given counts as 0."""
    dose = row["concentration_um"]
    return 0.0 if dose is None or np.isnan(dose) else float(dose)


def _responses(ax: Axes, own: Sequence[dict[Hashable, Any]], colour: dict[float, np.ndarray]) -> None:
    """Response curves of one drug, a line a concentration."""
    time = torch.linspace(0, AFTER_H, 300, dtype=torch.float64)
    for row in own:
        names = [*PROFILE, *(["recovery_shape"] if "recovery_shape" in row else [])]
        values = {name: torch.tensor([float(row[name])], dtype=torch.float64) for name in names}
        curve = media_effect(time[None], values)[0].numpy()
        t, y = np.concatenate([[-2.0, 0.0], time.numpy()]), np.concatenate([[0.0, 0.0], curve])
        ax.plot(t, y, color=colour[_dose_of(row)], lw=1.5)
    ax.axhline(0, color=GREY, lw=0.6, zorder=0)


def _legend_of_doses(ax: Axes, colour: dict[float, np.ndarray]) -> None:
    """At most five concentrations, darkest last, inside the first panel."""
    doses = list(colour)
    picked = [
        doses[i] for i in sorted(set(np.linspace(0, len(doses) - 1, min(5, len(doses))).round().astype(int)))
    ]
    lines = [ax.plot([], [], color=colour[d], lw=2)[0] for d in picked]
    names = [f"{d:.3g} µM" for d in picked]
    ax.legend(lines, names, loc="upper right", fontsize=9, handlelength=1.2, labelspacing=0.2)


def _against_dose(
    ax: Axes, own: Sequence[dict[Hashable, Any]], name: str, at: dict[float, float], k: int, drug: str
) -> None:
    """One number of the k-th drug's profile against concentration; controls are one point, their median."""
    points: dict[float, list[tuple[float, float, float]]] = {}
    for row in own:
        value, low, high = (float(row.get(key, np.nan)) for key in (name, f"{name}_q05", f"{name}_q95"))
        if np.isfinite(value):
            points.setdefault(_dose_of(row), []).append((value, low, high))
    if not points:
        return
    value, low, high = np.array([np.median(three, axis=0) for three in points.values()]).T
    x = np.array([at[dose] for dose in points]) + 0.02 * k
    colour = COLOURS[k % len(COLOURS)]
    ax.plot(x, value, "-" if k < len(COLOURS) else "--", marker="o", ms=3.5, color=colour, label=drug)
    ax.vlines(x, low, high, color=colour, lw=0.9, alpha=0.6)


def plot_doses(fits: Sequence[DoseFit], *, summary: str = "area", unit: str | None = None) -> Figure:
    """Hill curves of `dose.fit_doses` with their 90 % band, wells as dots, EC50 as a line with its interval.

    At most 12 drugs, the first ones. Raises ValueError where there are none.
    """
    shown = [f for f in fits if f.relation != "?"][:MOST]
    _some(shown, "dose-response fits")
    what = NAMES.get(summary, summary)
    title = f"Dose-response of {what.lower()}"
    if len(fits) > len(shown):
        title += f" ({len(shown)} of {len(fits)} drugs)"
    with style():
        figure, axes = panels(len(shown), title=title, sharey=True)
        for k, (ax, fit) in enumerate(zip(axes, shown, strict=True)):
            _dose(ax, fit)
            if k % min(3, len(shown)) == 0:
                ax.set_ylabel(oxygen_label(unit, what))
        found = [ax for ax, fit in zip(axes, shown, strict=True) if fit.relation == "="]
        legend_below(figure, (found or axes)[0])
    return figure


def _dose(ax: Axes, fit: DoseFit) -> None:
    """One drug: wells, curve with band, EC50."""
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
        right = min(np.log10(q95), line[-1])
        ax.axvspan(np.log10(q05), right, color=COLOURS[1], alpha=0.16, lw=0, label="EC50, 90 % interval")
        ax.axvline(np.log10(q50), color=COLOURS[1], lw=1.6, label="EC50")
        said = f"EC50 {q50:.2g} µM ({q05:.2g} to {q95:.2g})"
    else:
        said = f"EC50 {fit.relation} {dose[-1] if fit.relation == '>' else dose[dose > 0][0]:.3g} µM"
    ax.set_title(f"{_short(fit.drug)}\n{said}", fontsize=10.5)
    ax.set_xlim(min(at.values()) - 0.15, line[-1])


def _some(shown: Sequence[object], what: str) -> None:
    if not shown:
        msg = f"plot: expected at least one of {what}, got none"
        raise ValueError(msg)
