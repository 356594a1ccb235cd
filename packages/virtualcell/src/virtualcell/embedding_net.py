"""A cell model between gene vectors and a decoder of counts: all that it knows of a cell passes its embedding.

Letters: b cells, n tokens (CLS first), g genes, t token_dim, o output_dim, s batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from virtualcell.state import StateEmbeddingModel

SHARP = 3.0  # the length of an embedding as the decoder sees it, at the beginning
TINY = 1e-6


@dataclass(frozen=True)
class Seen:
    """What is seen of cells: ids, mask and counts of tokens (b, n), CLS first, ids -1 for it and for padding; values of
    all genes and which of them are known (b, g); words that the model's parts read.
    """

    ids: Tensor
    mask: Tensor
    counts: Tensor
    values: Tensor
    known: Tensor
    words: dict[str, Tensor]


class EmbeddingNet(nn.Module):
    """Genes and counts to an embedding `(b, o)` of length 1, and from there to the rate of every gene.

    An embedding is a linear map of all genes, and what the cell model makes of them as tokens, under a gate that starts
    at zero. The linear map sums gene vectors, each times what its gene is above the mean cell: with vectors of
    co-expression a fresh network gives principal components. pooled=False: the cell model alone.
    vectors: `(g, t)` of the genes; share: `(g,)` of all counts that are a gene's, above 0; values: `(m, g)` log values
    of some cells; batches: number of those whose genes may have rates of their own, beside the embedding.
    """

    centre: Tensor

    def __init__(
        self,
        cell: StateEmbeddingModel,
        vectors: Tensor,
        share: Tensor,
        values: Tensor,
        *,
        batches: int = 0,
        learn: bool = True,
        pooled: bool = True,
    ) -> None:
        super().__init__()
        (genes, wide), width = vectors.shape, cell.shape["output_dim"]
        self.cell = cell
        self.vectors = nn.Parameter(vectors.clone().float(), requires_grad=learn)
        self.register_buffer("centre", values.float().mean(0))
        self.pool = nn.Parameter(self._axes(values.float(), width)) if pooled else None
        self.gate = nn.Parameter(torch.zeros(width)) if pooled else None
        self.loadings = nn.Linear(wide, width, bias=False)
        self.sharpness = nn.Parameter(torch.tensor(SHARP).log())
        self.log_rate = nn.Parameter(share.log().float())
        self.log_dispersion = nn.Parameter(torch.zeros(genes))
        self.token_rate = nn.Linear(width, 1)
        self.batch_rate = nn.Parameter(torch.zeros(batches, genes)) if batches else None

    def embedding(self, seen: Seen) -> Tensor:
        """Embeddings of cells."""
        cell = self.cell.embed(self._src(seen.ids), seen.mask, seen.counts, **seen.words)
        return self._joined(cell, seen)

    def both(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """Embeddings, and outputs by token `(b, n, o)`."""
        out, cell, *_ = self.cell(self._src(seen.ids), seen.mask, seen.counts, **seen.words)
        return self._joined(cell, seen), out

    def told(self, seen: Seen) -> dict[str, dict[str, Tensor]]:
        """What each part of the cell model tells of these cells, by its name; nothing where it has none."""
        _, _, _, *info = self.cell(self._src(seen.ids), seen.mask, seen.counts, **seen.words)
        return info[0] if info else {}

    def quick(self, seen: Seen, table: Tensor) -> Tensor:
        """Embeddings by a `table` of gene tokens that need not be computed again for each cell."""
        cell = self.cell.embed(seen.ids, seen.mask, seen.counts, table=table, **seen.words)
        return self._joined(cell, seen)

    def log_rates(self, embedding: Tensor, batch: Tensor | None = None) -> Tensor:
        """Log of the share of a cell's counts that are each gene's, `(b, g)`; `batch: (b,)`, -1 for none."""
        with torch.autocast(embedding.device.type, enabled=False):
            told = (embedding.float() * self.sharpness.exp()) @ self.loadings(self.vectors).T
            if self.batch_rate is not None and batch is not None:
                told = told + F.embedding(batch.clamp_min(0), self.batch_rate) * (batch >= 0)[:, None]
            return told + self.log_rate

    def token_rates(self, out: Tensor, ids: Tensor) -> Tensor:
        """The same of single tokens, from their own outputs: `(b, n)`."""
        with torch.autocast(out.device.type, enabled=False):
            return self.token_rate(out.float()).squeeze(-1) + self.log_rate[ids.clamp_min(0)]

    def table(self) -> Tensor:
        """Gene vectors as tokens, for embedding many cells with the same weights."""
        return self.cell.gene_table(self.vectors.detach())

    def _src(self, ids: Tensor) -> Tensor:
        return F.embedding(ids.clamp_min(0), self.vectors).masked_fill(ids[..., None] < 0, 0.0)

    def _joined(self, cell: Tensor, seen: Seen) -> Tensor:
        if self.pool is None or self.gate is None:
            return cell
        with torch.autocast(cell.device.type, enabled=False):
            above = (seen.values - self.centre) * seen.known
            return F.normalize(above @ self.vectors @ self.pool + self.gate * cell.float(), dim=-1)

    @torch.no_grad()
    def _axes(self, values: Tensor, width: int) -> Tensor:
        """The first axes of the gene vectors, scaled so that each is worth the root of what it would be unscaled."""
        sums = (values - self.centre) @ self.vectors
        made = torch.eye(sums.shape[1], width) / sums.std(0, correction=0).clamp_min(TINY).sqrt()[:, None]
        return made / (sums @ made).norm(dim=1).mean().clamp_min(TINY)
