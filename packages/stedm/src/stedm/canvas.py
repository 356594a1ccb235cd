"""A grid of panels for cells and their places, and colours that colour-blind readers can tell apart."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from cytosol.figures import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 3.3  # [inch] width and height of a panel
LETTER, SMALL_LETTER = 0.125, 0.082  # width of a title's and of a note's letter [inch], on the generous side
# Corners of the colour code of a place: blue to orange across, dark to light upwards; both differences remain to
# readers who cannot tell red from green. The corners are vivid because a tissue seldom reaches them.
CORNERS = {(0, 0): "#001E96", (0, 1): "#2FB4FF", (1, 0): "#B42800", (1, 1): "#FFC400"}
EDGE = 0.05  # share of the cells on each side of an axis that get its end colours


def grid(
    rows: int, columns: int, *, title: str, note: str = "", bar: bool = False
) -> tuple[Figure, np.ndarray]:
    """A figure of panels (rows, columns), its title above and a note of small print below; nothing overlaps.

    bar: leave room for a colour bar at the right.
    """
    from matplotlib.figure import Figure

    width = max(columns * PANEL + 0.9 + 1.3 * bar, 6.4)
    head, text = fill(title, int(width / LETTER)), fill(note, int(width / SMALL_LETTER))
    lines = 0.28 * (head.count("\n") + 1) + 0.18 * (text.count("\n") + 2)  # [inch]
    figure = Figure(figsize=(width, rows * (PANEL + 1.2) + lines), layout="constrained", dpi=130)
    figure.get_layout_engine().set(h_pad=0.1, hspace=0.04)  # type: ignore[union-attr]
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.suptitle(head, x=0.01, ha="left")
    if note:
        figure.supxlabel(text, x=0.01, ha="left", fontsize=9.5, color=GREY)
    return figure, axes


def scatter(
    axes: Axes, points: np.ndarray, colours: np.ndarray | str, *, limits: tuple[float, float] | None = None
) -> Any:
    """Cells (n, d) by their first two axes, in numbers or colours (n,) or (n, 3), or in one colour.

    limits: what the ends of the colour scale stand for. The cells are drawn in random order: drawn in the order of
    the file, or by value, those drawn last would hide the others.
    """
    order = np.random.default_rng(0).permutation(len(points))
    if isinstance(colours, str):
        given: dict[str, Any] = {"color": colours}
    elif colours.ndim == 2:
        given = {"color": colours[order]}
    else:
        low, high = limits or (None, None)
        given = {"c": colours[order], "cmap": "viridis", "vmin": low, "vmax": high}
    return axes.scatter(
        points[order, 0],
        points[order, 1],
        s=float(np.clip(9000 / max(len(points), 1), 0.6, 28)),
        linewidths=0,
        rasterized=len(points) > 3000,  # one dot an object would make a PDF of many megabytes
        **given,
    )


def frame(points: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits of x and y that hold all points (n, d), equally wide."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    size = float((high - low).max())
    centre, half = (low + high) / 2, 0.54 * size if size > 0 else 1.0
    return (centre[0] - half, centre[0] + half), (centre[1] - half, centre[1] + half)


def place_axes(axes: Axes, points: np.ndarray, unit: str, *, left: bool, bottom: bool) -> None:
    """Equal axes that hold these points (n, d), labelled with the unit on the outer panels."""
    from matplotlib.ticker import MaxNLocator

    x, y = frame(points)
    axes.set(xlim=x, ylim=y, aspect="equal")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if bottom:
        axes.set_xlabel(f"x [{unit}]")
    if left:
        axes.set_ylabel(f"y [{unit}]")


def place_colours(points: np.ndarray) -> np.ndarray:
    """A colour (n, 3) for each place (n, d), by its first two axes: neighbours look alike, far cells do not."""
    from matplotlib.colors import to_rgb

    low, high = np.quantile(points[:, :2], [EDGE, 1 - EDGE], axis=0)
    size = high - low
    u, v = np.clip((points[:, :2] - low) / np.where(size > 0, size, 1.0), 0.0, 1.0).T[..., None]
    corner = {at: _oklab(np.array(to_rgb(colour))) for at, colour in CORNERS.items()}
    below = (1 - u) * corner[0, 0] + u * corner[1, 0]
    above = (1 - u) * corner[0, 1] + u * corner[1, 1]
    return _rgb((1 - v) * below + v * above)


# Oklab (Ottosson 2020): a space in which the mean of two colours looks like their mean.
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OPPONENTS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _oklab(rgb: np.ndarray) -> np.ndarray:
    """(..., 3) sRGB in [0, 1] to Oklab."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _CONES.T) @ _OPPONENTS.T


def _rgb(lab: np.ndarray) -> np.ndarray:
    """(..., 3) Oklab to sRGB, clipped into [0, 1]."""
    linear = ((lab @ np.linalg.inv(_OPPONENTS).T) ** 3) @ np.linalg.inv(_CONES).T
    linear = np.clip(linear, 0.0, 1.0)
    return np.clip(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055), 0, 1)


def short(name: str, most: int = 20) -> str:
    """A name that fits over a panel."""
    return name if len(name) <= most else name[: most - 1] + "…"
