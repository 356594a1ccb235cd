"""A grid of panels with a title above and small print below; colours that colour-blind readers can tell apart."""

from __future__ import annotations

from itertools import pairwise
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from cytosol.figures import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LETTER, SMALL_LETTER = 0.13, 0.08  # width of a title's and of a note's letter [inch], on the generous side
# Okabe & Ito (2008), the darkest and the palest left out, then the same lightened
COLOURS = (
    BLUE,
    ORANGE,
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#7A5195",
    "#8C8C8C",
    "#4C9F9F",
    "#B8865B",
)
MOST = len(COLOURS)


def grid(
    rows: int, columns: int, *, title: str, note: str = "", panel: tuple[float, float] = (3.6, 3.4)
) -> tuple[Figure, np.ndarray]:
    """A figure and its Axes (rows, columns); panel: width and height of one [inch]."""
    from matplotlib.figure import Figure

    width = max(columns * panel[0] + 0.6, 6.4)
    head, text = fill(title, int(width / LETTER)), fill(note, int(width / SMALL_LETTER))
    lines = 0.28 * (head.count("\n") + 1) + 0.18 * (text.count("\n") + 2)  # [inch]
    figure = Figure(figsize=(width, rows * (panel[1] + 0.5) + lines), layout="constrained", dpi=130)
    figure.get_layout_engine().set(h_pad=0.08, hspace=0.05, w_pad=0.08)  # type: ignore[union-attr]
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.suptitle(head, x=0.01, ha="left")
    if note:
        figure.supxlabel(text, x=0.01, ha="left", fontsize=9.5, color=GREY)
    return figure, axes


def columns_of(count: int) -> int:
    """How many of so many panels stand side by side."""
    return 2 if count == 4 else min(3, count)


def panels(
    count: int, *, title: str, note: str = "", panel: tuple[float, float] = (3.6, 3.4)
) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels in as many rows as they need, and their Axes."""
    columns = columns_of(count)
    figure, axes = grid(-(-count // columns), columns, title=title, note=note, panel=panel)
    for ax in list(axes.flat)[count:]:
        ax.remove()
    return figure, list(axes.flat)[:count]


def bars(axes: Axes, names: list[str], values: np.ndarray, *, label: str) -> None:
    """Horizontal bars of values (m,), the first on top, names at their left and values at their ends."""
    at = np.arange(len(names))[::-1]
    drawn = axes.barh(at, values, color=BLUE, height=0.72)
    axes.set_yticks(at, [short(name) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.bar_label(drawn, [f"{value:.3g}" for value in values], padding=3, fontsize=9)
    low, high = min(float(values.min(initial=0)), 0.0), max(float(values.max(initial=0)), 1e-9)
    axes.set_xlim(low * 1.25, high * 1.25)
    axes.set_xlabel(label)


def name_dots(ax: Axes, x: np.ndarray, y: np.ndarray, names: list[str]) -> None:
    """Names beside dots at x and y (m,), joined by thin lines, no two on each other; the axes have their limits."""
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    step, move = 0.055 * (high - low), 0.11 * (right - left)
    height, order = np.array(y, dtype=float), np.argsort(y)
    for below, above in pairwise(order):
        height[above] = max(height[above], height[below] + step)
    height[order[-1:]] = np.minimum(height[order[-1:]], high - 0.5 * step)
    for above, below in pairwise(order[::-1]):
        height[below] = min(height[below], height[above] - step)
    lead = {"arrowstyle": "-", "color": GREY, "lw": 0.6, "shrinkA": 0, "shrinkB": 1}
    for a, b, h, name in zip(x, y, height, names, strict=True):
        inwards = a > (left + right) / 2
        at = a - move if inwards else a + move
        side = "right" if inwards else "left"
        ax.annotate(name, (a, b), (at, h), ha=side, va="center", fontsize=8, arrowprops=lead)


def without_prefix(names: list[str]) -> list[str]:
    """Names without the words before `_` that all of them begin with."""
    common = names[0].split("_")[:-1] if len(names) > 1 else []
    while common and not all(name.startswith("_".join(common) + "_") for name in names):
        common = common[:-1]
    return [name[len("_".join(common)) + 1 :] for name in names] if common else names


def short(name: str, most: int = 26) -> str:
    """A name that fits beside a panel."""
    return name if len(name) <= most else name[: most - 1] + "…"
