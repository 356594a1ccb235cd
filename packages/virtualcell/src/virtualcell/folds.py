"""What is hidden in turn: the perturbed cells of a context, or all cells of a perturbation, wherever they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtualcell.faults import few, nearest, refuse
from virtualcell.populations import Populations

if TYPE_CHECKING:
    from collections.abc import Iterator

EACH = "each"


@dataclass(frozen=True, eq=False)
class Fold:
    """Populations that may be learned from, and the contexts and perturbations that are asked for."""

    known: Populations  # without what is hidden, with the control cells beside it
    asked: tuple[tuple[str, str], ...]


def hide_context(whole: Populations, context: str) -> Iterator[Fold]:
    """The perturbed cells of a context are hidden, its control cells are not; `each`: of every context in turn.

    Raises DataError for a context without perturbed or without control cells.
    """
    able = [c for c in whole.context_names if whole.done_in(c)]
    names = able if context == EACH else [context]
    if not able or (context != EACH and context not in able):
        why = nearest(context, able) if context not in whole.context_names else f"there is {few(able)}"
        refuse(f"hold out {context!r}: expected a context with control and perturbed cells: {why}")
    for name in names:
        hidden = (whole.contexts == name) & (whole.perturbations != whole.control)
        yield Fold(whole.take(~hidden), tuple((name, done) for done in whole.done_in(name)))


def hide_perturbation(whole: Populations, perturbation: str) -> Iterator[Fold]:
    """Cells with a perturbation are hidden in every context, combinations with it too; `each`: every one in turn.

    Raises DataError for a perturbation that is not there, or that has no control cells beside it.
    """
    able = [p for p in whole.perturbation_names if whole.seen_in(p)]
    names = able if perturbation == EACH else [perturbation]
    if not able or (perturbation != EACH and perturbation not in able):
        refuse(
            f"hold out {perturbation!r}: expected a perturbation with control cells: {nearest(perturbation, able)}"
        )
    for name in names:
        parts = set(whole.parts(name))
        hidden = np.array([parts <= set(whole.parts(done)) for done in whole.perturbations])
        yield Fold(whole.take(~hidden), tuple((context, name) for context in whole.seen_in(name)))
