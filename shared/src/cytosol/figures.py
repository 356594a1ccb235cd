"""One style for every library's figures, without global state, and how a figure is written.

matplotlib is no requirement of the core: a library that draws asks for it. It is imported when a figure is made, and
pyplot never: nothing outlives the figure.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6B6B6B"  # the first two of Okabe & Ito (2008)
STYLE: dict[str, Any] = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "figure.titlesize": 14,
    "figure.titleweight": "bold",
    "legend.fontsize": 10,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.unicode_minus": False,
}
SUFFIXES = (".png", ".svg", ".pdf")


@contextmanager
def style(**own: Any) -> Iterator[None]:
    """The house style while figures are made, with a library's own matplotlib settings; the caller's come back."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE | own):  # pyright: ignore[reportArgumentType]
        yield


def save(figure: Figure, path: Path | str) -> Path:
    """Write a figure as PNG, SVG or PDF by suffix; raises ValueError for another."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        msg = f"{path}: expected a picture ending in {', '.join(SUFFIXES)}, got {path.name!r}"
        raise ValueError(msg)
    figure.savefig(path)
    return path
