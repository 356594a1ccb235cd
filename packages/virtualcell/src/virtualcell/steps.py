"""What a step of a loader is: fitted once on training cells, then pure; a cell never depends on its batch.

Letters: b cells of a batch, m cells that are fitted on, g features (genes, then those of a second modality), n tokens
(CLS first), k memberships of a gene.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from virtualcell.cells import Cells
from virtualcell.loader_options import LoaderConfig, NormalizationOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

PRIOR = 10.0  # cells that the variance of a gene's groups counts as


@dataclass(frozen=True, eq=False)
class Seen:
    """What a step is fitted on: values (m, g) float32 after the steps before it, raw (m, g) as they are stored, and the
    cells they are of. features: names, of which the first `n_genes` are genes.
    """

    values: np.ndarray
    raw: np.ndarray
    cells: Cells
    features: tuple[str, ...]
    n_genes: int
    config: LoaderConfig  # of the loader
    normalization: NormalizationOptions  # likewise


@dataclass(frozen=True, eq=False)
class Tokens:
    """Which feature each token is: ids (b, n) int64, -1 for the CLS slot and for padding; mask (b, n) True = real."""

    ids: np.ndarray
    mask: np.ndarray

    def look_up(self, table: np.ndarray, fill: int = -1) -> np.ndarray:
        """The rows of a table (g,) or (g, k) at the tokens, (b, n) or (b, n, k); `fill` where there is no gene."""
        found = table[self.ids]
        found[self.ids < 0] = fill
        return found


@dataclass(frozen=True, eq=False)
class Step:
    """One step: what it has fitted (arrays; words of plain JSON) and what is to be said of it.

    A subclass fills `fit` and what it has to say of `scale` and `context`.
    """

    arrays: dict[str, np.ndarray]
    words: dict[str, Any]
    notes: tuple[str, ...] = ()  # of fitting, for people

    name: ClassVar[str] = "step"  # as saved loaders and statistics call it
    Options: ClassVar[type[Any] | None] = None  # its settings; None of a step that every loader has
    reads: ClassVar[tuple[str, ...]] = ()  # words that `context` gives
    tallied: ClassVar[tuple[str, ...]] = ()  # numbers that `tally` gives

    @classmethod
    def fit(cls, seen: Seen, options: Any) -> Step:
        """The step, fitted."""
        raise NotImplementedError

    def scale(self, values: np.ndarray, cells: Cells) -> np.ndarray:
        """Values (b, g) as this step wants them."""
        del cells
        return values

    def context(self, tokens: Tokens, cells: Cells) -> dict[str, np.ndarray]:
        """Words of the batch: arrays with the cells first, (b, ...)."""
        del tokens, cells
        return {}

    @property
    def scales(self) -> bool:
        """Whether `scale` may change values."""
        fitted = self.Options is None or bool({"factor", "slope"} & set(self.arrays))
        return fitted and type(self).scale is not Step.scale

    def tally(self, cells: Cells) -> Sequence[float]:
        """What these cells add to the numbers of `tallied`."""
        del cells
        return ()

    def told(self) -> dict[str, Any]:
        """What was fitted, for people."""
        return dict(self.words)


class GroupStep(Step):
    """A step whose scale is one factor a gene, so that several of them may share what they change."""

    def scale(self, values: np.ndarray, cells: Cells) -> np.ndarray:
        """(b, g), each gene times its factor."""
        del cells
        return values * self.arrays["factor"] if "factor" in self.arrays else values


def group_factors(values: np.ndarray, member: np.ndarray) -> np.ndarray:
    """What each gene is multiplied with so that its spread leans on that of the genes it belongs with, (g,) float32.

    values: (m, g); member: (g, p) bool. A gene's variance s2 from m cells is shrunk towards the mean variance s0 of its
    groups, as (a s0 + m s2) / (a + m) with a = `PRIOR` (the moderated variance of Smyth 2004); genes without group or
    spread stay.
    """
    variance = values.astype(np.float64).var(axis=0)
    sizes = member.sum(axis=0)
    of_group = (variance @ member) / np.maximum(sizes, 1)
    groups = member.sum(axis=1)
    shared = (member @ of_group) / np.maximum(groups, 1)
    moderated = (PRIOR * shared + len(values) * variance) / (PRIOR + len(values))
    use = (groups > 0) & (variance > 0)
    return np.where(use, np.sqrt(variance / np.where(use, moderated, 1.0)), 1.0).astype(np.float32)
