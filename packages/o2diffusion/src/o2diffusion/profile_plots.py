"""Pictures of responses to media changes and other events: their shape by drug, height and half-decay by dose.

A row is a row of the table of `profiles.profile` or `profiles.model_profiles`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cytosol.figures import GREY
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
from o2diffusion.media import PROFILE, media_effect
from o2diffusion.profiles import DECAY, HEIGHT

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Row = dict[Hashable, Any]

AFTER_H = 22.0  # what is drawn of a model's response, which no record ends
BEFORE = 1 / 11  # of that time, drawn before the event
NO_DRUG = "no drug"
WORDS = {
    "media_change": "a media change",
    "flush": "a flush",
    "injection": "an injection",
    "drug_start": "a drug start",
}


def plot_profiles(table: pd.DataFrame, *, drugs: Sequence[str] | None = None) -> Figure:
    """Responses of `profiles.profile` (or `model_profiles`): shape by drug, height and half-decay.

    A panel for each drug (at most 10, the first ones unless `drugs` says) with the response at each
    concentration, as long as it was measured, then spike height and half-decay against concentration, or by drug where
    no row has one, with 90 % intervals where the table has them; rows at 0 uM belong to every drug. Raises ValueError
    for an empty table or a drug that it does not have.
    """
    rows = sorted(table.to_dict("records"), key=lambda row: -1.0 if _dose(row) is None else _dose(row) or 0.0)
    zero = [row for row in rows if _dose(row) == 0]
    named = list(dict.fromkeys(_drug(row) for row in table.to_dict("records")))
    treated = [d for d in named if any(_drug(row) == d and _dose(row) != 0 for row in rows)]
    chosen = list(drugs) if drugs is not None else treated or named
    strange = [d for d in chosen if d not in named]
    if strange:
        msg = f"plot: expected drugs of the table of profiles ({', '.join(named[:5])}), got {strange[0]!r}"
        raise ValueError(msg)
    shown = chosen[: MOST - 2]
    refuse_none(shown, "profiles in the table")
    own = {d: [*(r for r in zero if _drug(r) != d), *(r for r in rows if _drug(r) == d)] for d in shown}
    with style():
        figure, axes = panels(len(shown) + 2, title=_title(rows, len(shown), len(chosen)))
        for ax, name, none in zip(axes[:2], (HEIGHT, DECAY), ("not measured", "no rise halves"), strict=True):
            _numbers(ax, own, name)
            _say_empty(ax, f"{none}\nin the time that was measured")
        axes[0].set(title="Height of the spike", ylabel=oxygen_label(rows[0]["unit"], "Height"))
        axes[1].set(title="Half-decay of the spike", ylabel="Time to half the height [h]")
        _shapes(axes[2:], own, oxygen_label(rows[0]["unit"], "Rise in oxygen"))
        legend_below(figure, axes[0], 5)
    return figure


def _title(rows: Sequence[Row], shown: int, all_of_them: int) -> str:
    """What the responses are to, and how many of them are shown."""
    kinds = dict.fromkeys(kind for row in rows for kind in str(row.get("event", "")).split(", "))
    title = f"Response to {' or '.join(WORDS.get(kind, 'an event') for kind in kinds)}"
    return title + (f" (the first {shown} of {all_of_them} drugs)" if all_of_them > shown else "")


def _drug(row: Row) -> str:
    """The drug of a row, or that there is none."""
    return row["drug"] if isinstance(row["drug"], str) else NO_DRUG


def _dose(row: Row) -> float | None:
    """Concentration of a row [uM], None where it is not given."""
    dose = row["concentration_um"]
    return None if dose is None or np.isnan(dose) else float(dose)


def _numbers(ax: Axes, own: dict[str, list[Row]], name: str) -> None:
    """One number of the profiles of each drug: against concentration, or side by side where none is given."""
    doses = sorted({dose for rows in own.values() for row in rows if (dose := _dose(row)) is not None})
    at: dict[float | None, float] = dict(zip(doses, dose_axis(ax, doses), strict=True))
    missing = any(_dose(row) is None for rows in own.values() for row in rows)
    if not doses:
        ax.set_xticks([])
    elif missing:
        at[None] = min(at.values()) - 0.5
        ax.set_xticks(
            [at[None], *ax.get_xticks()], ["not\ngiven", *(t.get_text() for t in ax.get_xticklabels())]
        )
    found: list[tuple[np.ndarray, np.ndarray, str]] = []
    for k, (drug, rows) in enumerate(own.items()):
        places, values = _points(rows, name, at if doses else {None: float(k)})
        if len(places):
            places = places + 0.02 * k
            colour, line = COLOURS[k % len(COLOURS)], "-" if k < len(COLOURS) else "--"
            ax.plot(places, values[0], line, marker="o", ms=3.5, color=colour, label=drug)
            ax.vlines(places, values[1], values[2], color=colour, lw=0.9, alpha=0.6)
            found.append((places, values, colour))
    if found:
        _limit(ax, *np.concatenate([values for _, values, _ in found], axis=1))
    for places, values, colour in found:
        for x, low, high in zip(places, values[1], values[2], strict=True):
            beyond(ax, x, low, high, colour=colour)


def _points(rows: Sequence[Row], name: str, at: dict[float | None, float]) -> tuple[np.ndarray, np.ndarray]:
    """Places (m,), and value, lower and upper limit (3, m) there; rows of one dose (controls) are one, their median."""
    points: dict[float | None, list[list[float]]] = {}
    for row in rows:
        values = [float(row.get(key, np.nan)) for key in (name, f"{name}_q05", f"{name}_q95")]
        if np.isfinite(values[0]):
            points.setdefault(_dose(row), []).append(values)
    middle = [np.median(several, axis=0) for several in points.values()]
    return np.array([at[dose] for dose in points]), np.reshape(middle, (-1, 3)).T


def _limit(ax: Axes, value: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Limits that show 0, every value, and intervals (m,) unless they dwarf the values: then `beyond` marks them."""
    bottom, top = min(value.min(), 0.0), max(value.max(), 0.0)
    room = max(top - bottom, 1e-9)
    bottom = max(np.nanmin([bottom, *low]), bottom - room)
    top = min(np.nanmax([top, *high]), top + room)
    ax.set_ylim(bottom - 0.06 * room if bottom < 0 else 0.0, top + 0.06 * room)


def _say_empty(ax: Axes, text: str) -> None:
    """Words in a panel that has nothing to show."""
    if not ax.has_data():
        ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY)
        ax.set(xticks=[], yticks=[], xlabel="")


def _shapes(axes: Sequence[Axes], own: dict[str, list[Row]], label: str) -> None:
    """A panel a drug with its responses, a line a concentration; all panels of one scale."""
    import matplotlib as mpl

    doses = sorted({dose for rows in own.values() for row in rows if (dose := _dose(row)) is not None})
    shades = mpl.colormaps["viridis_r"](np.linspace(0.08, 1.0, max(len(doses), 2)))
    colour: dict[float | None, Any] = dict(zip(doses, shades, strict=False))
    if any(_dose(row) is None for rows in own.values() for row in rows):
        colour[None] = COLOURS[1] if doses else COLOURS[0]
    for ax, (drug, rows) in zip(axes, own.items(), strict=True):
        for row in rows:
            time, curve = _response(row)
            if len(time):
                ax.plot(time, curve, color=colour[_dose(row)], lw=1.5)
        _say_empty(ax, "not measured")
        ax.axhline(0, color=GREY, lw=0.6, zorder=0)
        ax.set(xlabel="Time since the event [h]", ylabel=label, title=short(drug))
    low, high = zip(*(ax.get_ylim() for ax in axes), strict=True)
    for ax in axes:
        ax.set_ylim(min(low), max(high))
    if doses:
        _legend_of_doses(axes[0], colour)


def _response(row: Row) -> tuple[np.ndarray, np.ndarray]:
    """Times [h] and rise of one response, from its first to its last sample; nothing where it is not known."""
    names = [*PROFILE, *(["recovery_shape"] if "recovery_shape" in row else [])]
    start, end = (float(row.get(key, np.nan)) for key in ("from_h", "to_h"))
    start, end = (0.0, AFTER_H) if np.isnan(end) else (start, end)
    time = torch.linspace(start, end, 300, dtype=torch.float64)
    values = {name: torch.tensor([float(row[name])], dtype=torch.float64) for name in names}
    curve = media_effect(time[None], values)[0].numpy()
    if not np.isfinite(curve).all():
        return np.zeros(0), np.zeros(0)
    return np.concatenate([[-BEFORE * end, 0.0], time.numpy()]), np.concatenate([[0.0, 0.0], curve])


def _legend_of_doses(ax: Axes, colour: dict[float | None, Any]) -> None:
    """At most five concentrations, darkest last, inside the first panel."""
    doses = list(colour)
    picked = [
        doses[i] for i in sorted(set(np.linspace(0, len(doses) - 1, min(5, len(doses))).round().astype(int)))
    ]
    lines = [ax.plot([], [], color=colour[d], lw=2)[0] for d in picked]
    names = ["not given" if d is None else f"{d:.3g} µM" for d in picked]
    ax.legend(lines, names, loc="upper right", fontsize=9, handlelength=1.2, labelspacing=0.2)
