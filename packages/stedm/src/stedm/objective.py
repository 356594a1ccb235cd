"""The table of losses: what each is called, what it reads, how much it counts, and at which noise levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from stedm import losses

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Gate:
    """Noise levels at which a loss counts: low <= sigma / sigma_data < high."""

    low: float = 0.0
    high: float = float("inf")

    def __call__(self, level: Tensor) -> Tensor:
        """Which sets count, `(b,)` bool: level `(b,)` is sigma / sigma_data."""
        return (level >= self.low) & (level < self.high)


ALWAYS, LOW, HIGH = Gate(), Gate(high=2.5), Gate(low=2.5)  # 2.5 sigma_data is the specification's 0.4


@dataclass(frozen=True)
class Term:
    """One loss: `function(*reads) -> (b,)`, its weight and gate; `part` says which network it teaches."""

    name: str
    function: Callable[..., Tensor]
    reads: tuple[str, ...]
    weight: float
    gate: Gate
    part: str


_GEOM = ("geom", "target", "mask")
_OUT = ("hat", "target", "mask")

TERMS: tuple[Term, ...] = (
    Term("score", losses.score, (*_OUT, "weight"), 16.0, ALWAYS, "refiner"),
    Term("gram", losses.gram_loss, _GEOM, 2.0, LOW, "refiner"),
    Term("gram_scale", losses.gram_scale, _OUT, 2.0, ALWAYS, "refiner"),
    Term("out_scale", losses.out_scale, _OUT, 2.0, ALWAYS, "refiner"),
    Term("gram_learn", losses.gram_learn, ("learned", "learned_target", "mask"), 2.0, HIGH, "refiner"),
    Term("knn_scale", losses.knn_scale, (*_GEOM, "near"), 0.2, LOW, "refiner"),
    Term("knn_nca", losses.knn_nca, (*_GEOM, "near"), 2.0, LOW, "refiner"),
    Term("edge", losses.edge, (*_GEOM, "near"), 4.0, LOW, "refiner"),
    Term("gen_align", losses.gen_align, ("gen", "gen_target", "mask"), 10.0, ALWAYS, "generator"),
    Term("gen_scale", losses.gen_scale, ("gen", "gen_target", "mask"), 10.0, ALWAYS, "generator"),
    Term("subspace", losses.subspace, _OUT, 0.5, LOW, "refiner"),
    Term("ctx_edge", losses.ctx_edge, ("gen", "other", "shared", "near"), 0.05, ALWAYS, "generator"),
)
WEIGHTS = {term.name: term.weight for term in TERMS}  # the specification's, section 6.1


def check_weights(weights: Mapping[str, float]) -> None:
    """Raise ValueError for a loss that does not exist or a weight below 0."""
    for name, weight in weights.items():
        if name not in WEIGHTS:
            msg = f"unknown loss {name!r}: expected one of {', '.join(WEIGHTS)}"
            raise ValueError(msg)
        if not 0 <= weight < float("inf"):
            msg = f"the weight of loss {name!r}: expected a number of at least 0, got {weight}"
            raise ValueError(msg)


def combine(
    given: Mapping[str, Any],
    *,
    part: str,
    level: Tensor | None = None,
    weights: Mapping[str, float] | None = None,
    terms: Iterable[Term] = TERMS,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of a part's losses, a scalar, and each one's mean over the sets it counts for.

    given: what the terms read, by name; `mask: (b, n)` must be among it. level: `(b,)` sigma / sigma_data. weights:
    those that differ from the table; a weight of 0 leaves a loss out. Sets without real points do not count.
    """
    total, each = torch.zeros((), device=given["mask"].device), {}
    real = given["mask"].any(1)
    for term in terms:
        weight = (weights or {}).get(term.name, term.weight)
        if term.part != part or weight == 0:
            continue
        counts = real if level is None else real & term.gate(level)
        value = term.function(*(given[name] for name in term.reads))
        each[term.name] = torch.where(counts, value, 0.0).sum() / counts.sum().clamp_min(1)
        # over all real sets, so that one set inside a gate does not outweigh the others
        total = total + weight * torch.where(counts, value, 0.0).sum() / real.sum().clamp_min(1)
    return total, each
