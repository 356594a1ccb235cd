"""What a perturbation makes of untouched cells: the change of the mean, then a population of cells around it.

Letters: n cells, g genes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from virtualcell import bases
from virtualcell.correcting import Correction
from virtualcell.doses import between, beyond, levels_of
from virtualcell.experience import Experience
from virtualcell.faults import few, nearest, refuse
from virtualcell.populations import canonical
from virtualcell.response_config import ResponseConfig
from virtualcell.row_model import Biology
from virtualcell.rows import seen_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from virtualcell.experience import Profile

Question = Literal["seen", "new"]


@dataclass(frozen=True, eq=False)
class ResponseModel:
    """seen: what it learned from. correction: of simple predictions from other contexts. facts: plain JSON."""

    seen: Experience
    correction: Correction
    biology: Biology
    config: ResponseConfig
    facts: dict[str, Any]
    dispersion: np.ndarray  # (g,) overdispersion of counts, empty where counts are not known

    @property
    def genes(self) -> np.ndarray:
        """The genes, in the order of every array (g,)."""
        return self.seen.populations.genes

    def question(self, perturbation: str) -> Question | None:
        """How a perturbation is answered: seen in a context, new, or None for a sum of several and a dose between.

        DataError, with the nearest names, for one that is neither seen nor known from a table.
        """
        pops = self.seen.populations
        name = canonical(perturbation, control=pops.control)
        if name == pops.control:
            refuse(f"perturbation: expected one, {perturbation!r} is the control")
        if len(self.seen.rows_of(name)):
            return "seen"
        if len(pops.parts(name)) > 1 or between(name, self.seen.names):
            return None
        dosed = levels_of(name, self.seen.names)
        if dosed:
            refuse(f"perturbation {name!r}: it was seen with doses, {few(sorted(dosed))}: give one (--dose)")
        if not self.seen.known.knows(name):
            there = self.seen.names
            refuse(
                f"perturbation {name!r}: it was not seen in training and no table (network, pathways, vectors) knows "
                f"it; {nearest(name, there)}; seen are {few(there)}"
            )
        if not bases.by_perturbation(self.seen):
            refuse(
                f"perturbation {name!r}: expected kin that were seen alone, training has several at once only"
            )
        return "new"

    def change(
        self, perturbation: str, asked: Profile, cell_words: Mapping[str, Tensor] | None = None
    ) -> np.ndarray:
        """The change of the mean log expression (g,); several at once never seen together are summed."""
        return list(self.stages(perturbation, asked, cell_words).values())[-1]

    def mean(
        self, perturbation: str, asked: Profile, cell_words: Mapping[str, Tensor] | None = None
    ) -> np.ndarray:
        """The mean log expression (g,) of perturbed cells: 0 and more."""
        return np.maximum(asked.mean + self.change(perturbation, asked, cell_words), 0.0)

    def stages(
        self, perturbation: str, asked: Profile, cell_words: Mapping[str, Tensor] | None = None
    ) -> dict[str, np.ndarray]:
        """The change (g,) by each stage, the last being the answer.

        Seen in other contexts: the simple prediction, trees, network, answer. Never seen: what its kin do, which trees
        and a network made worse where it was measured. A sum of several, a dose between two: their answers'.
        """
        pops = self.seen.populations
        name = canonical(perturbation, control=pops.control)
        question = self.question(name)
        if question is None:
            parts = pops.parts(name)
            if len(parts) > 1:
                return {"sum": np.sum([self.change(part, asked, cell_words) for part in parts], axis=0)}
            doses = [(one, w) for one, w in between(name, self.seen.names) if one is not None]
            found = [weight * self.change(one, asked, cell_words) for one, weight in doses]
            return {"dose": np.sum(found, axis=0) + np.zeros(len(self.genes))}  # of dose 0 nothing is summed
        if question == "new":
            return {"kin": bases.kin(self.seen, name, asked)}
        return self.correction.stages(seen_rows(self.seen, name, asked), cell_words)

    def notes(self, perturbation: str) -> tuple[str, ...]:
        """What is to be said of how a perturbation is answered."""
        parts = self.seen.populations.parts(perturbation)
        return tuple(filter(None, (beyond(part, self.seen.names) for part in parts)))
