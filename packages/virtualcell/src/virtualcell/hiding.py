"""What a model sees of a cell in training, and what it is to predict: counts split in two at random.

A count that is thinned binomially is the count of a shallower cell, and what is taken away is that of another one
(molecular cross-validation: Batson et al. 2019): predicting one from the other asks for what both share, the state of
the cell.
Letters: b cells, n tokens (CLS first), g genes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cytosol.stream import step_generator

if TYPE_CHECKING:
    from virtualcell.config import ObjectiveConfig

TOKEN_WORDS = ("pathway_ids", "compartment_ids", "gene_types", "tf_mask", "target_mask", "pathway_groups")


@dataclass(frozen=True)
class Split:
    """A batch of which a part is hidden.

    order: (b, k) places of the tokens looked at, CLS first; mask: (b, k); counts: (b, k) of what is seen, log1p per
    `target_sum`; values: (b, g) the same of all genes; known: (b, g) those not wholly hidden; rest: (b, g) hidden
    counts; share: (b, g) of a gene's counts that is hidden, in the mean, 1 where it is not known.
    """

    order: Tensor
    mask: Tensor
    counts: Tensor
    values: Tensor
    known: Tensor
    rest: Tensor
    share: Tensor


def split(
    batch: dict[str, Tensor],
    genes: int,
    options: ObjectiveConfig,
    *,
    target_sum: float,
    seed: int,
    step: int,
    first: int = 0,
) -> Split:
    """Hide counts of a batch; the randomness of a cell hangs on its place in the step, `first + i`, alone.

    batch: of a loader, with raw_counts and gene_ids (b, n) and total_counts (b,). genes: how many there are, g.
    target_sum: counts that a cell is brought to before the logarithm.
    """
    raw, ids, total = (batch[word].cpu() for word in ("raw_counts", "gene_ids", "total_counts"))
    drawn = [
        _drawn(row, options, step_generator(seed, step, first + i))
        for i, row in enumerate(dense(raw, ids, genes))
    ]
    thin, known, kept, rank = (torch.stack(column) for column in zip(*drawn, strict=True))
    rest = dense(raw, ids, genes) - thin
    values = torch.log1p(thin * target_sum / (kept * total[:, None]))  # of a cell as shallow as what is seen
    counts = values.gather(1, ids.clamp_min(0)) * (ids >= 0)
    rank = torch.where(counts > 0, rank.gather(1, ids.clamp_min(0)), 2.0)
    rank[:, 0] = -1.0
    order = rank.argsort(1)[:, : min(int((counts > 0).sum(1).max()), options.max_tokens) + 1]
    counts = counts.gather(1, order)
    mask = counts > 0
    mask[:, 0] = True
    share = torch.where(known, 1 - kept, 1.0)
    return Split(*(x.to(batch["mask"].device) for x in (order, mask, counts, values, known, rest, share)))


def gathered(batch: dict[str, Tensor], found: Split, words: tuple[str, ...]) -> dict[str, Tensor]:
    """The words of a batch at the k tokens that are looked at, (b, k, ...); those of whole cells, (b, ...), stay."""
    made = {word: batch[word] for word in words if word in batch}
    for word in (*TOKEN_WORDS, "gene_ids"):
        if word in made:
            made[word] = taken(made[word], found.order)
    return made


def taken(values: Tensor, order: Tensor) -> Tensor:
    """`values: (b, n)` or `(b, n, k)` at places `order: (b, m)`."""
    return values[torch.arange(len(order), device=order.device)[:, None], order]


def dense(values: Tensor, ids: Tensor, genes: int) -> Tensor:
    """Values of tokens `(b, n)` by gene, `(b, g)`; 0 where no token is the gene."""
    return values.new_zeros(len(values), genes).scatter_add_(1, ids.clamp_min(0), values * (ids >= 0))


def _drawn(
    counts: Tensor, options: ObjectiveConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of one cell's counts (g,): those seen, genes of which some can be, the share kept (1,), a rank of genes."""
    low, high = options.visible
    kept = low + (high - low) * torch.rand(1, generator=generator)
    known = torch.rand(len(counts), generator=generator) >= options.hidden_genes
    thin = torch.binomial(counts, kept.expand(len(counts)), generator=generator) * known
    return thin, known, kept, torch.rand(len(counts), generator=generator)
