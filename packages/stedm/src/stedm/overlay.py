"""Predictions laid on the truth, section by section: what a picture of a reconstruction shows.

Letters: n cells of a section, d dimensions.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stedm.evaluation import matched
from stedm.metrics import Scores, fit_similarity, score
from stedm.normalise import PER
from stedm.tissue import DataError, Section, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stedm.tissue import Tissue


@dataclass(frozen=True)
class Laid:
    """A section to draw. With a truth, everything is in the truth's frame and unit; without, in the prediction's.

    predicted: (n, d), moved onto the truth by the best turn, mirror image and one scale. truth: (n, d) of the same
    cells. sd: (n,) expected distance from the truth. scores: against the truth.
    """

    section: Section
    predicted: np.ndarray
    truth: np.ndarray | None = None
    sd: np.ndarray | None = None
    scores: Scores | None = None

    @property
    def label(self) -> str:
        """Name of the section."""
        return self.section.label

    @property
    def error(self) -> np.ndarray:
        """Distance of each cell from its true place, (n,), in the truth's unit. DataError without a truth."""
        if self.truth is None:
            msg = f"section {self.label}: expected true places to measure an error from, got none"
            raise DataError(msg)
        return np.linalg.norm(self.predicted - self.truth, axis=1)


def lay(
    section: Section, truth: Section | None = None, sd: np.ndarray | None = None, *, seed: int = 0
) -> Laid:
    """A section whose coordinates (n, d) are the prediction, laid on the truth, whose cells are the same ones in order.

    sd: (n,) in the prediction's unit. seed: of the scores. Raises DataError for a section without coordinates.
    """
    points = place_of(section)
    if truth is None:
        return Laid(section, points, None, sd)
    known = place_of(truth)
    fit = fit_similarity(points, known)
    own = None if sd is None else fit.scale * sd
    return Laid(section, fit(points), known, own, score(points, known, sd, seed=seed))


def lay_all(
    made: Tissue, truth: Tissue | None, sd: Sequence[np.ndarray | None], *, seed: int = 0
) -> list[Laid]:
    """Every section of a reconstruction, matched to the truth by section and cell name.

    sd: (n,) of each section in the prediction's unit, or None.
    Raises DataError for a section or cell that the truth does not have.
    """
    there = [None] * len(made.sections) if truth is None else matched(made, truth)
    return [lay(*one, seed=seed) for one in zip(made.sections, there, sd, strict=True)]


def expression(tissue: Tissue, gene: str) -> list[np.ndarray]:
    """A gene in the cells of each section, (n,): log1p of counts per ten thousand, values as they are.

    DataError for a gene that is not there, with the nearest name.
    """
    found = np.flatnonzero(tissue.genes == gene)
    if not len(found):
        near = difflib.get_close_matches(gene, [str(name) for name in tissue.genes], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"for instance {str(tissue.genes[0])!r}"
        msg = f"{tissue.name}: expected error, sd or one of {len(tissue.genes)} genes, got {gene!r}; {hint}"
        raise DataError(msg)
    made = []
    for section in tissue.sections:
        own = np.asarray(section.counts[:, found[:1]].todense(), dtype=float).ravel()
        if tissue.kind == "counts":
            total = np.asarray(section.counts.sum(axis=1), dtype=float).ravel()
            own = np.log1p(PER * own / np.maximum(total, 1.0))
        made.append(own)
    return made
