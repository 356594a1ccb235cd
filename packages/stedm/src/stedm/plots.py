"""Pictures of a reconstruction: true beside predicted places, coloured, and whether `stedm_sd` is honest.

Every function that draws returns a matplotlib Figure; `save` writes it. Letters: n cells of a section.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from cytosol.figures import BLUE, GREY, ORANGE, save, style
from stedm.canvas import grid, place_axes, place_colours, scatter, short
from stedm.overlay import expression
from stedm.tissue import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from stedm.metrics import Scores
    from stedm.overlay import Laid
    from stedm.tissue import Tissue

MOST = 6  # sections of a figure
UNKNOWN = "arbitrary units"
A_BIN = 25  # cells at least whose errors make one mean
BINS = 10
MOVED = (
    "Predicted places are turned, mirrored if need be, and scaled by one number onto the true ones. "
    "Jaccard@10: the ten nearest cells in truth and in prediction, those in both over those in either (1: the same). "
    "Error: RMS distance from the true place over the section's RMS radius (0: exact, 1: as if all were put in the "
    "middle)."
)
HONEST = (
    "stedm_sd is the RMS distance from the true place that the model expects for a cell. Small dots: cells (triangles: "
    "beyond the axis); large dots: RMS of cells of like stedm_sd. On the dashed line errors are as large as expected, "
    "above it larger."
)
FLAT = "The coordinates are 3-D: the first two axes are drawn."

__all__ = ["Shade", "by_error", "by_gene", "by_sd", "plot_calibration", "plot_methods", "plot_places", "save"]


@dataclass(frozen=True)
class Shade:
    """A number for each cell that becomes its colour: (n,) for each section, and what it is, unit included.

    from_zero: whether the colours begin there, or, as the highest, at the lowest hundredth.
    """

    label: str
    values: Sequence[np.ndarray]
    from_zero: bool = True

    @property
    def limits(self) -> tuple[float, float]:
        """Ends of the colour scale, the same for all sections; the highest hundredth is beyond."""
        joined = np.concatenate(list(self.values))
        low = min(float(joined.min()), 0.0) if self.from_zero else float(np.quantile(joined, 0.01))
        high = float(np.quantile(joined, 0.99))
        return low, high if high > low else max(float(joined.max()), low + 1.0)

    @property
    def beyond(self) -> str:
        """At which ends of the colour scale values lie beyond, in matplotlib's word."""
        below = any(bool((part < self.limits[0]).any()) for part in self.values)
        return "both" if below else "max"


def by_error(laid: Sequence[Laid], unit: str = UNKNOWN) -> Shade:
    """Cells coloured by their distance from the true place. DataError without a truth."""
    return Shade(f"Distance from the true place [{unit}]", [one.error for one in laid])


def by_sd(laid: Sequence[Laid], unit: str = UNKNOWN) -> Shade:
    """Cells coloured by the distance that the model expects. DataError where a section has no sd."""
    return Shade(f"Expected distance, stedm_sd [{unit}]", [_sd_of(one) for one in laid])


def by_gene(tissue: Tissue, gene: str) -> Shade:
    """Cells coloured by a gene's expression. DataError for a gene that is not there."""
    kind = "log1p of counts per 10,000" if tissue.kind == "counts" else "as in the file"
    return Shade(f"{gene} [{kind}]", expression(tissue, gene), from_zero=False)


def plot_places(
    laid: Sequence[Laid],
    shade: Shade | None = None,
    *,
    title: str = "Predicted places",
    unit: str = UNKNOWN,
    calibration: bool = False,
) -> Figure:
    """True places above predicted ones, a column a section; below them, if asked for, `stedm_sd` against the error.

    One section alone has its panels side by side.
    shade: what colours the cells; without it, their true place (one colour where that is not known). At most 6
    sections. Raises DataError for none or more, for sections of which only some have a truth, and for a calibration
    without `stedm_sd` or truth.
    """
    _refuse(laid)
    known = laid[0].truth is not None
    rows = 1 + int(known) + int(calibration)
    notes = [MOVED] * known + [HONEST] * calibration + [FLAT] * (laid[0].predicted.shape[1] == 3)
    with style():
        shape = (1, rows) if len(laid) == 1 else (rows, len(laid))
        figure, axes = grid(*shape, title=title, note=" ".join(notes), bar=shade is not None)
        axes = axes.reshape(rows, len(laid))
        drawn: Any = None
        for k, (one, column) in enumerate(zip(laid, axes.T, strict=True)):
            drawn = _places(list(column[: 1 + int(known)]), one, shade, k, unit)
            if calibration:
                _calibration(column[-1], one, unit, first=k == 0)
        if shade is not None:
            where = list(axes[: 1 + int(known)].flat)
            label = fill(shade.label, 32 * shape[0])  # no longer than the bar is high
            bar = figure.colorbar(drawn, ax=where, extend=shade.beyond, aspect=30, shrink=0.75, label=label)
            bar.outline.set_visible(False)
    return figure


def _places(axes: Sequence[Axes], one: Laid, shade: Shade | None, k: int, unit: str) -> Any:
    """The panels of a section: true places, if known, above predicted ones."""
    if shade is not None:
        colours, limits = shade.values[k], shade.limits
    else:
        colours, limits = BLUE if one.truth is None else place_colours(one.truth), None
    sets = [one.predicted] if one.truth is None else [one.truth, one.predicted]
    drawn = None
    for row, (ax, points) in enumerate(zip(axes, sets, strict=True)):
        drawn = scatter(ax, points, colours, limits=limits)
        at = ax.get_subplotspec()
        left, bottom = at is None or at.is_first_col(), row == len(sets) - 1 or at is None or at.is_last_row()
        place_axes(ax, np.concatenate(sets), unit, left=left, bottom=bottom)
    name = short(one.label)
    if one.truth is not None:
        axes[0].set_title(f"{name}: true places\n{len(one.section):,} cells")
    axes[-1].set_title(_told(f"{name}: predicted places", one.scores, len(one.section)))
    return drawn


def _told(name: str, scores: Scores | None, cells: int) -> str:
    """The title of a panel of predicted places; measures of a section too small for them are a dash."""
    if scores is None:
        return f"{name}\n{cells:,} cells"
    chance = "" if np.isnan(scores.floor) else f" (chance {scores.floor:.2g})"
    return f"{name}\nJaccard@10 {_number(scores.jaccard10)}{chance}\nerror {_number(scores.rmse)}"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def plot_calibration(
    laid: Sequence[Laid], *, title: str = "Is stedm_sd honest?", unit: str = UNKNOWN
) -> Figure:
    """Expected against real distance from the true place, a panel a section: cells, and means of cells of like sd.

    At most 6 sections. Raises DataError for none or more, without a truth, without `stedm_sd`.
    """
    _refuse(laid)
    with style():
        figure, axes = grid(1, len(laid), title=title, note=HONEST)
        for k, (one, ax) in enumerate(zip(laid, axes[0], strict=True)):
            _calibration(ax, one, unit, first=k == 0)
    return figure


def binned(sd: np.ndarray, error: np.ndarray) -> np.ndarray:
    """RMS sd and RMS error of cells of like sd, (bins, 2): at most 10 bins of equally many cells, 25 or more each."""
    parts = np.array_split(np.argsort(sd, kind="stable"), int(np.clip(len(sd) // A_BIN, 1, BINS)))
    return np.array([[np.sqrt((x[part] ** 2).mean()) for x in (sd, error)] for part in parts])


def _calibration(axes: Axes, one: Laid, unit: str, *, first: bool) -> None:
    """One panel: each cell, means of cells of like sd, the line of honesty; what lies beyond is at the edge."""
    sd, error = _sd_of(one), one.error
    most = 1.05 * max(float(np.quantile(error, 0.98)), float(sd.max()), 1e-9)
    beyond = error > most
    axes.plot([0, most], [0, most], color=GREY, ls="--", lw=1.2)
    size = float(np.clip(1500 / max(len(sd), 1), 0.5, 8))
    axes.scatter(
        sd[~beyond],
        error[~beyond],
        s=size,
        color=BLUE,
        alpha=0.35,
        lw=0,
        rasterized=len(sd) > 3000,
    )
    if beyond.any():  # an empty artist that is not clipped takes the whole figure for its own
        at = np.full(beyond.sum(), most)
        axes.plot(sd[beyond], at, "^", color=BLUE, alpha=0.5, ms=4, mew=0, clip_on=False)
    means = binned(sd, error)
    axes.plot(*means.T, "o", color=ORANGE, ms=6, mec="white", mew=0.6)
    axes.set(xlim=(0, most), ylim=(0, most), aspect="equal", xlabel=f"Expected distance [{unit}]")
    ratio = "-" if one.scores is None else _number(one.scores.sd_ratio)
    axes.set_title(f"{short(one.label)}: expected error\nRMS error / RMS sd {ratio} (1: honest)")
    if first:
        axes.set_ylabel(f"Distance from true place\n[{unit}]")


def plot_methods(
    truth: np.ndarray,
    methods: Mapping[str, tuple[np.ndarray, Scores]],
    *,
    title: str = "The same cells, placed by several methods",
    unit: str = UNKNOWN,
) -> Figure:
    """True places (n, d) and those of several methods, (n, d) moved onto them, coloured by true place; with scores.

    The same cells in the same order.
    """
    colours = place_colours(truth)
    sets = {"True places": (truth, None), **methods}
    columns = min(3, len(sets))
    rows = -(-len(sets) // columns)
    joined = np.concatenate([points for points, _ in sets.values()])
    with style():
        note = f"Colour: the true place. {MOVED}" + f" {FLAT}" * (truth.shape[1] == 3)
        figure, axes = grid(rows, columns, title=title, note=note)
        for k, (ax, (name, (points, scores))) in enumerate(zip(axes.flat, sets.items(), strict=False)):
            scatter(ax, points, colours)
            place_axes(ax, joined, unit, left=k % columns == 0, bottom=k >= len(sets) - columns)
            ax.set_title(_told(name, scores, len(truth)))
        for ax in list(axes.flat)[len(sets) :]:
            ax.remove()
    return figure


def _sd_of(one: Laid) -> np.ndarray:
    """The sd of a section's cells, (n,). DataError where it is not known."""
    if one.sd is None:
        msg = f"section {one.label}: expected obs['stedm_sd'], got none"
        raise DataError(msg)
    return one.sd


def _refuse(laid: Sequence[Laid]) -> None:
    """Refuse no sections, more than fit, and sections of which only some have a truth."""
    if not 1 <= len(laid) <= MOST:
        msg = f"plot: expected 1 to {MOST} sections, got {len(laid)}"
        raise DataError(msg)
    if len({one.truth is None for one in laid}) > 1:
        msg = "plot: expected all sections with true places, or none"
        raise DataError(msg)
