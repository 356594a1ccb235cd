"""Rows of features, one a gene, that trees and networks correct simple predictions by.

They are of a perturbation seen in other contexts than the one that is asked for. To teach, each condition is asked for
as if it had not been seen. Letters: g genes, f features, s simple predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from virtualcell import bases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtualcell.experience import Experience, Profile

OTHERS = 2  # contexts that a lesson is drawn from, at least
SUBSETS = 0.5  # weight of a lesson from all but one of the other contexts


@dataclass(frozen=True, eq=False)
class Rows:
    """features (g, f), simple (s, g): what is known of a condition, and simple predictions of its change."""

    features: np.ndarray
    simple: np.ndarray

    @property
    def base(self) -> np.ndarray:
        """The mean of the simple predictions (g,)."""
        return self.simple.mean(axis=0)


@dataclass(frozen=True, eq=False)
class Lesson:
    """Rows whose answer is known: delta (g,), the true change; its error (g,); context, held out as one; weight."""

    rows: Rows
    delta: np.ndarray
    error: np.ndarray
    context: str
    weight: float


def seen_rows(seen: Experience, perturbation: str, asked: Profile) -> Rows:
    """Rows of a perturbation seen in other contexts than the one that is asked for."""
    rows, pops = seen.rows_of(perturbation), seen.populations
    contexts = [seen.conditions[row][0] for row in rows]
    before = [seen.profile(context) for context in contexts]
    after = [pops.where(context, perturbation) for context in contexts]
    control = np.array([one.mean for one in before])
    weight = bases.context_weights(control, asked.mean)
    nearest = int(weight.argmax())
    deltas, treated = seen.deltas[rows], pops.mean[after]
    lost = np.array([one.detected for one in before])
    error = np.array([one.error for one in before])
    treated_error = np.array([pops.standard_error(row) for row in after])
    simple = np.array([bases.ridge(seen, rows, asked), bases.similar(seen, rows, asked)])
    columns = [
        *simple,
        *_spread(deltas, weight), deltas.std(axis=0), deltas[nearest],
        asked.mean, (asked.mean + _alike(seen, asked)) / 2,
        *_spread(control, weight), control.std(axis=0), control[nearest],
        *_spread(treated, weight), treated[nearest],
        asked.detected, lost.mean(axis=0), pops.detected[after].mean(axis=0), weight @ pops.detected[after],
        asked.error, error.mean(axis=0), treated_error.mean(axis=0), weight @ treated_error,
    ]  # fmt: skip
    return Rows(np.array(columns).T, simple)


def lessons(seen: Experience) -> Iterator[Lesson]:
    """Each condition, asked for as if it had not been seen: from the other contexts, and from all but one of them.

    From `OTHERS` other contexts on: one alone does not show how contexts differ.
    """
    for row, (context, perturbation) in enumerate(seen.conditions):
        others = np.setdiff1d(seen.rows_of(perturbation), [row])
        if len(others) < OTHERS:
            continue
        chosen = [others]
        if len(others) > OTHERS:
            chosen += [np.array(some) for some in combinations(others.tolist(), len(others) - 1)]
        for some in chosen:
            rows = seen_rows(seen.only(some), perturbation, seen.profile(context))
            weight = 1.0 if len(some) == len(others) else SUBSETS
            yield Lesson(rows, seen.deltas[row], np.sqrt(seen.noise[row]), context, weight)


def _spread(values: np.ndarray, weight: np.ndarray) -> list[np.ndarray]:
    return [values.mean(axis=0), values.max(axis=0), values.min(axis=0), weight @ values]


def _alike(seen: Experience, asked: Profile) -> np.ndarray:
    """The untouched cells of other contexts, weighted by likeness (g,): steadier than few cells of the asked one."""
    pops = seen.populations
    names = [c for c in pops.context_names if pops.has(c, pops.control) and c != asked.context]
    if not names:
        return asked.mean
    known = np.array([pops.control_of(context) for context in names])
    return bases.context_weights(known, asked.mean) @ known
