"""Panels for oxygen curves, and colours that colour-blind readers can tell apart."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from cytosol import figures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito (2008), dark ones first
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
OWN: dict[str, Any] = {
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "legend.fontsize": 10.5,
    "lines.linewidth": 1.4,
}
UNITS = {"%air": "% air saturation", "%O2": "% O2", "umol/L": "µmol/L"}
MOST = 12  # panels of a figure
LETTER, WIDE_LETTER = 0.085, 0.125  # width of a legend's letter and of a title's [inch], on the generous side


def style() -> AbstractContextManager[None]:
    """The house style, and what curves want of it."""
    return figures.style(**OWN)


def panels(
    count: int, *, title: str, columns: int = 3, size: tuple[float, float] = (4.3, 2.9), sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels of `size` inches each, in rows of `columns`; its layout avoids overlap."""
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = -(-count // columns)
    width = max(columns * size[0], 6.4)
    figure = Figure(figsize=(width, rows * size[1] + 1.1), layout="constrained", dpi=130)
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=sharey).flat)
    for extra in axes[count:]:
        extra.remove()
    figure.suptitle(fill(title, int(width / WIDE_LETTER)), x=0.01, ha="left")
    return figure, axes[:count]


def legend_below(figure: Figure, axes: Axes, columns: int = 6) -> None:
    """The labelled things of one panel as a legend of the whole figure, under it, in columns that fit its width."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        fitting = int(figure.get_figwidth() / (0.65 + LETTER * max(len(label) for label in labels)))
        columns = max(1, min(columns, fitting, len(handles)))
        figure.legend(handles, labels, loc="outside lower left", ncols=columns)


def beyond(axes: Axes, at: float, low: float, high: float, *, colour: str, across: bool = False) -> None:
    """Arrow heads at the ends of an axis that an interval goes beyond; call it once the limits are set.

    The interval is of y, at the place `at` of x; `across`, it is of x, and `at` is a share of the panel's height.
    """
    first, last = axes.get_xlim() if across else axes.get_ylim()
    where = axes.get_xaxis_transform() if across else axes.transData
    for end, out, marks in ((first, low < first, "<v"), (last, high > last, ">^")):
        if out:
            place = (end, at) if across else (at, end)
            head = marks[0 if across else 1]
            axes.plot(
                *([x] for x in place),
                marker=head,
                color=colour,
                ms=7,
                transform=where,
                scalex=False,
                scaley=False,
                clip_on=False,
                zorder=5,
            )


def short(name: str) -> str:
    """A name that fits over a panel, cut in its middle: ids and doses differ at their ends."""
    return name if len(name) <= 36 else f"{name[:16]}…{name[-19:]}"


def refuse_none(shown: Sequence[object], what: str) -> None:
    """Raise ValueError where there is nothing of `what` to draw."""
    if not shown:
        msg = f"plot: expected at least one of {what}, got none"
        raise ValueError(msg)


def oxygen_label(unit: str | None, what: str = "Oxygen") -> str:
    """`Oxygen [% air saturation]`; a rate's unit keeps its `/h`."""
    if unit is None:
        return what
    stem, per = (unit[:-2], "/h") if unit.endswith("/h") else (unit, "")
    return f"{what} [{UNITS.get(stem, stem)}{per}]"


def dose_axis(axes: Axes, doses: Sequence[float]) -> np.ndarray:
    """A logarithmic axis of concentrations with 0 at its left end: positions (k,) of the k doses [uM]."""
    tested = np.array(sorted({d for d in doses if d > 0}))
    if not tested.size:
        axes.set_xticks([0.0], ["0"])
        return np.zeros(len(doses))
    step = float(np.median(np.diff(np.log10(tested)))) if tested.size > 1 else 0.5
    zero = float(np.log10(tested[0])) - 1.6 * step
    shown = tested[:: max(1, -(-tested.size // 4))] if tested.size > 4 else tested
    shown = np.unique(
        np.append(shown[:-1] if len(shown) > 1 and shown[-1] * 2.5 > tested[-1] else shown, tested[-1])
    )
    there = [zero] if 0 in doses else []
    axes.set_xticks(
        [*there, *np.log10(shown)],
        [*(["0"] if there else []), *(f"{d:.2g}" if d < 1 else f"{d:.3g}" for d in shown)],
    )
    axes.set_xlabel("Concentration [µM]")
    with np.errstate(divide="ignore"):
        return np.where(np.asarray(doses) > 0, np.log10(np.asarray(doses, dtype=float)), zero)
