"""The picture of why a perturbation is predicted so: top genes by stage, what is leant on, what parts say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cytosol.figures import BLUE, GREY, ORANGE
from virtualcell.canvas import COLOURS, short
from virtualcell.explain_plots import draw_bars, drawn, panels_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from virtualcell.explain_plots import Panel

GENES, SHOWN = 14, 10  # genes of a panel; contexts or kin of one
TERMS = 3  # terms of a sum that have a panel of their own
NO_CHANGE = ("control", "kept", "after", "answer")  # columns of `changes` that are not drawn as stages
NOTE = (
    "Change: of the mean of log1p of counts per 10,000, against untouched cells. Genes of largest predicted change. "
    "Weights sum to one; those of the regression may be negative."
)


def plot_response(tables: Mapping[str, pd.DataFrame], *, title: str = "Why it is predicted so") -> Figure:
    """All panels of the tables of `explain_response`."""
    by = "term" if set(tables["terms"].index) <= set(tables["changes"].columns) else "stage"
    panels: list[tuple[str, Panel]] = [(f"Change by {by}", lambda ax: _changes(ax, tables["changes"]))]
    for term in list(tables["terms"].index)[:TERMS]:
        it = short(str(term), 16)
        if "contexts" in tables and (own := tables["contexts"].query("term == @term")).shape[0]:
            panels.append((f"Contexts that {it} leans on", lambda ax, own=own: _contexts(ax, own)))
        if "kin" in tables and (own := tables["kin"].query("term == @term")).shape[0]:
            panels.append((f"Kin that {it} leans on", lambda ax, own=own: _kin(ax, own)))
    if "parts" in tables:
        effect = pd.Series(tables["parts"]["effect"].to_numpy(dtype=float), index=tables["parts"].index)
        panels.append(("What each part moves", lambda ax: _effects(ax, effect)))
    told = dict(tables)
    if "states" in told:
        told["cells"] = told["states"][["mean"]].T
    return drawn([*panels, *panels_of(told)], title=title, note=NOTE, panel=(4.8, 4.2))


def _changes(ax: Axes, changes: pd.DataFrame) -> None:
    """A row a gene: where each stage puts its change, the answer last and largest."""
    top = changes.iloc[:GENES]
    stages = [str(column) for column in top.columns if column not in NO_CHANGE]
    at = np.arange(len(top))[::-1]
    drawn_of = top[[*stages, "answer"]].to_numpy(dtype=float)
    ax.hlines(at, drawn_of.min(axis=1), drawn_of.max(axis=1), color=GREY, lw=0.6, alpha=0.6)
    ax.axvline(0, color=GREY, lw=0.8)
    shades = [BLUE, *COLOURS[2:]]
    marks = "os^vD"
    for i, stage in enumerate(stages):
        x = top[stage].to_numpy(dtype=float)
        colour, mark = shades[i % len(shades)], marks[i % len(marks)]
        ax.scatter(
            x, at, s=20, marker=mark, facecolors="none", edgecolors=colour, lw=1.1, label=short(stage, 16)
        )
    ax.scatter(top["answer"].to_numpy(dtype=float), at, s=26, color=ORANGE, lw=0, label="answer", zorder=3)
    ax.set_yticks(at, [short(str(gene), 14) for gene in top.index])
    ax.tick_params(axis="y", length=0, labelsize=9)
    ax.set_xlabel("change of mean log expression")
    ax.locator_params(axis="x", nbins=6)
    _legend(ax)


def _legend(ax: Axes) -> None:
    """Below the panel, where no dot is."""
    ax.legend(
        fontsize=8.5,
        ncols=3,
        loc="upper center",
        bbox_to_anchor=(0.45, -0.16),
        handletextpad=0.2,
        columnspacing=0.9,
    )


def _contexts(ax: Axes, contexts: pd.DataFrame) -> None:
    """Weights of contexts in the two simple predictions, a pair of bars each."""
    own = contexts.iloc[:SHOWN]
    at = np.arange(len(own))[::-1]
    for word, colour, up in (("similar", BLUE, 0.19), ("ridge", ORANGE, -0.19)):
        weights = own[word].to_numpy(dtype=float)
        bars = ax.barh(at + up, weights, height=0.36, color=colour, label=word)
        ax.bar_label(bars, [f"{weight:.2f}" for weight in weights], padding=3, fontsize=8.5)
    ax.set_yticks(at, [short(str(name)) for name in own["context"]])
    ax.tick_params(axis="y", length=0)
    ax.axvline(0, color=GREY, lw=0.8)
    ax.margins(x=0.15)
    rest = len(contexts) - len(own)
    ax.set_xlabel("weight" + (f"; {rest} more contexts" if rest else ""))
    _legend(ax)


def _kin(ax: Axes, kin: pd.DataFrame) -> None:
    """Weights of the known perturbations, with their likeness in the name."""
    own = kin.iloc[:SHOWN]
    names = [
        f"{short(str(n), 14)} ({x:.2f})" for n, x in zip(own["perturbation"], own["likeness"], strict=True)
    ]
    rest = len(kin) - len(own)
    label = "weight (likeness in brackets)" + (f"; {rest} more" if rest else "")
    draw_bars(ax, pd.Series(own["weight"].to_numpy(dtype=float), index=pd.Index(names)), label, ordered=False)


def _effects(ax: Axes, effect: pd.Series) -> None:
    """By how much the network's answer differs with a part's gate shut."""
    draw_bars(ax, effect, "change of the network's answer (RMS)")
    ax.locator_params(axis="x", nbins=4)
