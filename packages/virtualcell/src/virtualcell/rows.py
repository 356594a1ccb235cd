"""Rows of features, one a gene, that trees and networks correct simple predictions by.

Two questions have rows of their own: a perturbation seen in other contexts (`seen`), and one never seen (`new`). To
teach, each condition is asked for as if it had not been seen. Letters: g genes, f features, s simple predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np

from virtualcell import bases
from virtualcell.genes import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtualcell.experience import Experience, Profile

Question = Literal["seen", "new"]
SEEN_BASES, NEW_BASES = ("ridge", "similar"), ("kin",)
BASES: dict[Question, tuple[str, ...]] = {"seen": SEEN_BASES, "new": NEW_BASES}
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
    """Rows whose answer is known: the true change (g,) and its error (g,); what it is held out with; its weight."""

    rows: Rows
    delta: np.ndarray
    error: np.ndarray
    context: str
    group: str
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


def new_rows(seen: Experience, perturbation: str, asked: Profile) -> Rows:
    """Rows of a single perturbation that was never seen."""
    guess, own, mean = bases.kin(seen, perturbation, asked)
    others = bases.by_perturbation(seen)
    deltas = np.array(list(others.values()))
    alike = seen.known.alike([perturbation], list(others))[0]
    genes = [str(gene) for gene in seen.populations.genes]
    is_it = np.array([key_of(gene) == key_of(perturbation) for gene in genes], dtype=np.float64)
    near = np.full(len(genes), alike.max())
    linked = seen.known.alike([perturbation], genes)[0]
    columns = [
        guess, own, mean, deltas.std(axis=0), deltas.max(axis=0), deltas.min(axis=0), deltas[int(alike.argmax())],
        is_it, near, linked, asked.mean, asked.detected, asked.error,
    ]  # fmt: skip
    return Rows(np.array(columns).T, guess[None])


def lessons(seen: Experience, question: Question) -> list[Lesson]:
    """Every condition, asked for as if it had not been seen."""
    return list(_seen_lessons(seen) if question == "seen" else _new_lessons(seen))


def _seen_lessons(seen: Experience) -> Iterator[Lesson]:
    """Each condition from the other contexts, and from all but one of them; groups are contexts.

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
            yield Lesson(rows, seen.deltas[row], np.sqrt(seen.noise[row]), context, context, weight)


def _new_lessons(seen: Experience) -> Iterator[Lesson]:
    """Each single perturbation from the others, in each of its contexts; groups are perturbations."""
    names = list(bases.by_perturbation(seen))
    for name in names if len(names) > 2 else []:
        others = seen.without(seen.involved(name))
        for row in seen.rows_of(name):
            context = seen.conditions[row][0]
            rows = new_rows(others, name, seen.profile(context))
            yield Lesson(rows, seen.deltas[row], np.sqrt(seen.noise[row]), context, name, 1.0)


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
