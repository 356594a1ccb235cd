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
    biology: Biology  # what the parts of its networks are told
    config: ResponseConfig  # as it was trained
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
        made worse where it was measured. A sum of several, a dose between two: their answers'.
        """
        pops = self.seen.populations
        name = canonical(perturbation, control=pops.control)
        question = self.question(name)
        if question is None:
            made = np.zeros(len(self.genes))
            for term, weight in self.terms(name).items():
                made += weight * self.change(term, asked, cell_words)
            return {"sum" if len(pops.parts(name)) > 1 else "dose": made}
        if question == "new":
            return {"kin": bases.kin(self.seen, name, asked)}
        return self.correction.stages(seen_rows(self.seen, name, asked), cell_words)

    def notes(self, perturbation: str) -> tuple[str, ...]:
        """What is to be said of how a perturbation is answered."""
        parts, terms = self.seen.populations.parts(perturbation), self.terms(perturbation)
        told = [beyond(part, self.seen.names) for part in parts]
        if len(parts) > 1 and len(terms) > 1:
            told.append(f"{perturbation}: never seen together: the sum of {' and '.join(terms)}")
        return tuple(
            [note for note in told if note] + [self._kin(t) for t in terms if self.question(t) == "new"]
        )

    def _kin(self, name: str) -> str:
        """Who answers for a perturbation that was never seen: the three that count most."""
        weights = bases.kin_weights(self.seen, name)
        most = sorted(weights, key=lambda other: -weights[other])[:3]
        kin = ", ".join(f"{other} {weights[other]:.0%}" for other in most)
        return f"{name}: never seen in training: answered by what its kin do ({kin})"

    def terms(self, perturbation: str) -> dict[str, float]:
        """What an answer is the weighted sum of: perturbations seen or new; dose 0 adds nothing, and is no term."""
        pops = self.seen.populations
        name = canonical(perturbation, control=pops.control)
        if self.question(name) is not None:
            return {name: 1.0}
        parts = pops.parts(name)
        several = [(part, 1.0) for part in parts]
        made: dict[str, float] = {}
        for one, share in several if len(parts) > 1 else between(name, self.seen.names):
            for term, weight in self.terms(one).items() if one is not None and share > 0 else ():
                made[term] = made.get(term, 0.0) + share * weight
        return made
