"""What was done to each cell of a file, how much, and in which context, as columns of obs say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtualcell.doses import with_dose
from virtualcell.faults import few, refuse
from virtualcell.populations import EVERYWHERE, done_to

if TYPE_CHECKING:
    from virtualcell.cells import About

BETWEEN = "|"  # the labels of a context of several columns
FEW_DOSES = 20  # up to so many may be of a cell each


def columns_of(context_key: str | None) -> list[str]:
    """The columns of `cell_type,time`."""
    return [] if context_key is None else [key.strip() for key in context_key.split(",")]


def contexts_of(about: About, columns: list[str]) -> np.ndarray:
    """The context of each cell (n,), of one column or several. DataError: no such column, a cell without a label."""
    if not columns:
        return np.full(len(about.obs), EVERYWHERE)
    labels = [about.names(column).astype(str) for column in columns]
    for column, own in zip(columns if len(columns) > 1 else (), labels, strict=False):
        mixed = np.char.find(own, BETWEEN) >= 0
        if mixed.any():
            got = f"got {own[mixed][0]!r}"
            refuse(
                f"{about.name}: obs[{column!r}]: expected labels without {BETWEEN!r}, which joins columns, {got}"
            )
    return np.array([BETWEEN.join(row) for row in zip(*labels, strict=True)])


def context_columns(context: str | None, columns: list[str]) -> dict[str, str]:
    """The columns that name a context, and their labels. DataError where it has not one for each."""
    if context is None:
        return {}
    labels = context.split(BETWEEN) if len(columns) > 1 else [context]
    if not columns:
        refuse(f"context {context!r}: the model was trained without contexts: leave --context out")
    if len(labels) != len(columns) or not all(label.strip() for label in labels):
        refuse(
            f"context {context!r}: expected a label of each of {', '.join(columns)}, with {BETWEEN!r} between"
        )
    return dict(zip(columns, labels, strict=True))


def treatments(about: About, condition_key: str, control: str, dose_key: str | None) -> np.ndarray:
    """What was done to each cell (n,), with its dose where there is a column of them; untouched cells need none.

    DataError: as `done_to`; a dose that is no number; doses that vary from cell to cell.
    """
    done = done_to(about, condition_key, control=control)
    if dose_key is None:
        return done
    touched = done != control
    doses = about.numbers(dose_key, touched)
    names = done.copy()
    names[touched] = [with_dose(one, dose) for one, dose in zip(done[touched], doses[touched], strict=True)]
    levels = set(names[touched].tolist())
    if len(levels) > max(FEW_DOSES, int(touched.sum()) // 2):
        what = f"expected doses that many cells share, got {len(levels)} of {int(touched.sum())} cells"
        refuse(f"{about.name}: obs[{dose_key!r}]: {what} ({few(sorted(levels), 3)}): round them")
    return names
