"""What a predictor has seen: populations, the axes that untouched cells differ along, what is known of targets.

Letters: y contexts, m conditions (a context and a perturbation), g genes, k axes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from virtualcell.faults import few, refuse
from virtualcell.known import Known
from virtualcell.populations import Populations, log_values, split

if TYPE_CHECKING:
    from virtualcell.sources import CellSource

AXES = 20  # principal components of control cells
AXIS_CELLS = 4096  # control cells they are found on, at most


class Profile(NamedTuple):
    """Untouched cells of a context: mean, detected, error (g,): of log expression, its standard error; and its name."""

    mean: np.ndarray
    detected: np.ndarray
    error: np.ndarray
    context: str = ""


@dataclass(frozen=True, eq=False)
class Experience:
    """populations: those of the training cells. axes (k, g), centre (g,): of control cells. known: of the targets."""

    populations: Populations
    axes: np.ndarray
    centre: np.ndarray
    known: Known

    @cached_property
    def conditions(self) -> tuple[tuple[str, str], ...]:
        """Context and perturbation of everything that was done where control cells were seen too, (m,)."""
        pops = self.populations
        return tuple((c, p) for c in pops.context_names for p in pops.done_in(c))

    @property
    def names(self) -> tuple[str, ...]:
        """Perturbations that were done where control cells were seen too, once each, in order."""
        return tuple(sorted({p for _, p in self.conditions}))

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the cells teaches nothing, or little."""
        pops = self.populations
        lost = [c for c in pops.context_names if not pops.has(c, pops.control)]
        cells = int(pops.cells[np.isin(pops.contexts.astype(str), lost)].sum())
        alone = [f"{c}, {p}" for c, p in self.conditions if pops.cells[pops.where(c, p)] == 1]
        notes = list(self.known.notes)
        if lost:
            notes.append(
                f"{cells} cells of {few(lost)} are not learned from: there are no control cells beside them"
            )
        single = set(pops.perturbations.tolist())
        joint = [
            p
            for p in self.names
            if len(parts := split(p, control=pops.control)) > 1 and not {*parts} & single
        ]
        if joint:
            read = " and ".join(split(joint[0], control=pops.control))
            notes.append(
                f"{few(joint, 3)}: read as several at once ({read}), none of which is seen alone: a name of one thing "
                "has no '+'"
            )
        if alone:
            notes.append(
                f"{len(alone)} of {len(self.conditions)} conditions are of one cell alone: {few(alone, 3)}"
            )
        return tuple(notes)

    @cached_property
    def deltas(self) -> np.ndarray:
        """Mean change of each condition (m, g)."""
        found = [self.populations.delta(c, p) for c, p in self.conditions]
        return np.array(found).reshape(len(found), len(self.populations.genes))

    @cached_property
    def noise(self) -> np.ndarray:
        """Squared standard error of each change (m, g)."""
        pops = self.populations
        error = pops.standard_error
        found = [
            error(pops.where(c, p)) ** 2 + error(pops.where(c, pops.control)) ** 2 for c, p in self.conditions
        ]
        return np.array(found).reshape(self.deltas.shape)

    @cached_property
    def signal(self) -> np.ndarray:
        """Squared change of each gene beyond its error, over all conditions (g,): above 0."""
        return np.maximum((self.deltas**2).mean(axis=0) - self.noise.mean(axis=0), 1e-6)

    def rows_of(self, perturbation: str) -> np.ndarray:
        """Places of the conditions with this perturbation."""
        return np.array([i for i, (_, p) in enumerate(self.conditions) if p == perturbation], dtype=np.int64)

    def profile(self, context: str) -> Profile:
        """The untouched cells of a context that was seen."""
        row = self.populations.where(context, self.populations.control)
        pops = self.populations
        return Profile(pops.mean[row], pops.detected[row], pops.standard_error(row), context)

    def without(self, rows: np.ndarray) -> Experience:
        """The same without these conditions; untouched cells stay."""
        gone = {self.conditions[row] for row in rows}
        pops = self.populations
        pairs = zip(pops.contexts.tolist(), pops.perturbations.tolist(), strict=True)
        return replace(self, populations=pops.take(np.array([pair not in gone for pair in pairs])))

    def only(self, rows: np.ndarray) -> Experience:
        """The same with these conditions alone; untouched cells stay."""
        return self.without(np.setdiff1d(np.arange(len(self.conditions)), rows))

    def involved(self, part: str) -> np.ndarray:
        """Places of the conditions that a single perturbation has part in."""
        control = self.populations.control
        own = [i for i, (_, p) in enumerate(self.conditions) if part in split(p, control=control)]
        return np.array(own, dtype=np.int64)


def experience(
    source: CellSource, populations: Populations, is_control: np.ndarray, known: Known
) -> Experience:
    """What a source has to teach. is_control (n,) bool. DataError where nothing was done beside control cells."""
    axes, centre = _axes(source, np.flatnonzero(is_control))
    made = Experience(populations, axes, centre, known)
    if not made.conditions:
        refuse(
            f"{source.about.name}: expected a context with control cells and perturbed ones, there is none: "
            "a perturbation is learned from the two side by side"
        )
    return made


def _axes(source: CellSource, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal components (k, g) and mean (g,) of control cells, at most `AXIS_CELLS` of them."""
    if len(rows) > AXIS_CELLS:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:AXIS_CELLS])
    values = np.asarray(log_values(source.__getitems__(rows)).toarray(), dtype=np.float64)
    centre = values.mean(axis=0)
    _, _, found = np.linalg.svd(values - centre, full_matrices=False)
    return found[: min(AXES, len(rows) - 1)], centre
