"""Pictures of what the parts of a model say: a panel for each table that `explain` has made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cytosol.figures import BLUE, GREY, ORANGE, style
from virtualcell import canvas
from virtualcell.canvas import bars, name_dots, short, without_prefix
from virtualcell.faults import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Panel = Callable[[Axes], None]

SHOWN = 12  # rows of a panel
NOTE = "What a part says counts as far as its gate is open (first panel; 0 is shut, as in a fresh model)."


def plot_explained(tables: Mapping[str, pd.DataFrame], *, title: str = "What the parts say") -> Figure:
    """All panels that these tables give: gates, pathways, compartments, noise, times, resources, memory, scales.

    Raises DataError where there is no table that can be drawn.
    """
    panels = []
    if "parts" in tables:
        gates = _column(tables["parts"], "gate")
        panels.append(("How open each gate is", lambda ax: draw_bars(ax, gates, "mean |gate|")))
    panels += panels_of(tables)
    if not panels:
        refuse("plot: expected tables of `explain`, there is none that can be drawn")
    return drawn(panels, title=title, note=NOTE, panel=(4.6, 3.4))


def drawn(
    panels: Sequence[tuple[str, Panel]], *, title: str, note: str, panel: tuple[float, float]
) -> Figure:
    """A figure of these panels, each with its own title."""
    with style():
        figure, axes = canvas.panels(len(panels), title=title, note=note, panel=panel)
        for ax, (name, draw) in zip(axes, panels, strict=True):
            draw(ax)
            ax.set_title(name)
    return figure


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    return pd.Series(table[name].to_numpy(dtype=float), index=table.index)


def panels_of(tables: Mapping[str, pd.DataFrame]) -> list[tuple[str, Panel]]:
    """Pathways, compartments, scales, noise, times, resources, memory: those that the tables tell of."""
    found: list[tuple[str, Panel]] = []
    for name, what in (("pathways", "pathways"), ("compartments", "compartments"), ("groups", "scales")):
        if name in tables and "attention" in tables[name]:
            own = _column(tables[name], "attention")
            found.append((f"Attention to {what}", lambda ax, own=own: draw_bars(ax, own, "share")))
    genes = tables.get("genes")
    for part, x, y in (("stochastic", "intrinsic", "extrinsic"), ("temporal", "fast", "slow")):
        if genes is not None and f"{part}.{x}" in genes:
            what = "Noise of genes" if part == "stochastic" else "Responses of genes"
            pair = _column(genes, f"{part}.{x}"), _column(genes, f"{part}.{y}")
            found.append((what, lambda ax, pair=pair, x=x, y=y: _pair(ax, *pair, x, y)))
    cells = tables.get("cells")
    for start, what, label in (
        ("resources.", "State of the stores after the call", "mean over cells (1: full)"),
        ("memory.epigenetic", "Epigenetic states", "mean chance over cells"),
    ):
        own = [] if cells is None else [c for c in cells if str(c).startswith(start)]
        own = [c for c in own if str(c).partition(".")[2] not in ("spent", "burnt", "satisfied")]
        if cells is not None and own:
            mean = pd.Series({str(c).partition(".")[2]: float(cells[c].to_numpy().mean()) for c in own})
            found.append((what, lambda ax, mean=mean, label=label: draw_bars(ax, mean, label, ordered=False)))
    if "slots" in tables:
        found.append(
            ("Use of memory slots", lambda ax: _slots(ax, tables["slots"]["attention"].to_numpy(dtype=float)))
        )
    return found


def draw_bars(ax: Axes, values: pd.Series, label: str, *, ordered: bool = True) -> None:
    """The largest values of a table as bars."""
    own = values.sort_values(ascending=False, kind="stable") if ordered else values
    own = own.iloc[:SHOWN]
    bars(ax, without_prefix([str(name) for name in own.index]), own.to_numpy(dtype=float), label=label)


def _pair(ax: Axes, across: pd.Series, up: pd.Series, x: str, y: str) -> None:
    """Genes by two sizes; those of largest sum are named."""
    a, b = across.to_numpy(dtype=float), up.to_numpy(dtype=float)
    ax.scatter(a, b, s=9, color=BLUE, alpha=0.5, lw=0)
    top = np.argsort(-(a + b), kind="stable")[:5]
    ax.scatter(a[top], b[top], s=16, color=ORANGE, lw=0)
    ax.margins(0.12)
    name_dots(ax, a[top], b[top], [short(str(across.index[i]), 14) for i in top])
    ax.set(xlabel=x, ylabel=y)


def _slots(ax: Axes, attention: np.ndarray) -> None:
    """Attention to slots, most used first, beside that of all alike."""
    own = np.sort(attention)[::-1]
    ax.plot(np.arange(1, len(own) + 1), own, color=BLUE)
    ax.axhline(1 / len(own), color=GREY, ls="--", lw=1.0)
    ax.set(xlabel="slot, most used first", ylabel="mean attention", ylim=(0, None))
