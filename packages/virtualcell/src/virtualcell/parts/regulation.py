"""Known regulation: a target looks at its regulators, and tells activators from repressors.

The bias is added where an edge is known and nowhere else: from the target (query) to its regulator (key), never the
other way. Every head has a weight of its own for activation, repression and edges of unknown sign, so that a head may
listen to the activators alone. Letters: b cells, n tokens, h heads, g genes of the vocabulary, e edges.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from virtualcell import checks
from virtualcell.attention import Edges
from virtualcell.options import RegulationOptions
from virtualcell.part import Info, Part, Room, Stage

SIGNS, UNKNOWN = 3, 2  # activation, repression, unknown
SHARP = 4.0  # logits of a gate of 1: one regulator among dozens of genes is heard


class Regulation(Part):
    """A signed, sparse bias on attention, from a table of regulators and targets."""

    name = "regulation"
    stage = Stage.ATTENTION
    reads = ("gene_ids", "gene_types", "tf_mask", "target_mask")
    Options = RegulationOptions

    edges: Tensor  # (2, e): regulator, target
    strengths: Tensor  # (e,)

    def __init__(self, room: Room, options: RegulationOptions) -> None:
        super().__init__(room, options)
        self.weight = nn.Parameter(torch.randn(SIGNS, room.nhead))  # what an edge of a sign means to a head
        self.by_type = nn.Embedding(options.num_gene_types, room.nhead)  # and one from a regulator of a type
        nn.init.zeros_(self.by_type.weight)
        edges, strengths, self.genes = _edges(options)
        self.register_buffer("edges", edges)
        self.register_buffer("strengths", strengths)

    def forward(self, h: Tensor, mask: Tensor, **inputs: Any) -> tuple[Tensor, Info]:
        """The bias `(b, h, n, n)` from target to regulator, and how many edges a gene has `(b, n)` of each kind.

        `gene_ids: (b, n)` rows of the matrix, -1 for none; without them tokens 1, 2, ... are its genes in order.
        `tf_mask, target_mask: (b, n)` bool: who may regulate, who may be regulated; without a matrix every pair of
        the two is an edge of unknown sign. `gene_types: (b, n)`, -1 for none.
        """
        edges, info = self.sparse(h, mask, **inputs)
        return edges.dense(_dtype(h)), info

    def sparse(self, h: Tensor, mask: Tensor, **inputs: Any) -> tuple[Edges, Info]:
        """The same of `h: (b, n, d)`, edge by edge."""
        cell, target, source, signed = self._edges_in(mask, inputs)
        sign = torch.where(signed > 0, 0, 1) if self.genes else torch.full_like(cell, UNKNOWN)
        value = SHARP * self.weight[sign]
        if "gene_types" in inputs:
            checks.ids(inputs["gene_types"], "gene_types", mask, self.options.num_gene_types)
            kind = inputs["gene_types"][cell, source]
            value = value + self.by_type(kind.clamp_min(0)) * (kind >= 0)[:, None]
        edges = Edges(cell, target, source, value * signed.abs()[:, None], (mask.shape[0], mask.shape[1]))
        info = {
            "activators": _tally(mask, cell, target, sign == 0),
            "repressors": _tally(mask, cell, target, sign == 1),
            "targets": _tally(mask, cell, source, sign >= 0),
        }
        if self.detail:
            info["bias"] = edges.dense(_dtype(h)).detach()
        return edges, info

    def _edges_in(self, mask: Tensor, inputs: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The edges of all cells: cell, target's token, regulator's token, signed strength, `(e,)` each."""
        tf, targets = (inputs.get(word) for word in ("tf_mask", "target_mask"))
        for word, given in (("tf_mask", tf), ("target_mask", targets)):
            if given is not None:
                checks.flags(given, word, mask)
        if not self.genes:
            if tf is None or targets is None:
                none = torch.zeros(0, dtype=torch.long, device=mask.device)
                return none, none, none, none.float()
            pairs = (targets & mask)[:, :, None] & (tf & mask)[:, None, :]
            cell, target, source = pairs.nonzero(as_tuple=True)
            return cell, target, source, torch.ones(len(cell), device=mask.device)
        b, n = mask.shape
        # where each gene of the vocabulary stands in each cell: one look-up an edge, whatever n is
        place = torch.full((b, self.genes + 1), -1, dtype=torch.long, device=mask.device)
        ids = self._gene_ids(mask, inputs)
        place.scatter_(
            1, ids.masked_fill(ids < 0, self.genes), torch.arange(n, device=mask.device).expand(b, n)
        )
        place[:, self.genes] = -1
        source, target = place[:, self.edges[0]], place[:, self.edges[1]]
        cell, edge = ((source >= 0) & (target >= 0)).nonzero(as_tuple=True)
        source, target, signed = source[cell, edge], target[cell, edge], self.strengths[edge]
        kept = torch.ones_like(cell, dtype=torch.bool)
        if tf is not None:
            kept = kept & tf[cell, source]
        if targets is not None:
            kept = kept & targets[cell, target]
        return cell[kept], target[kept], source[kept], signed[kept]

    def _gene_ids(self, mask: Tensor, inputs: dict[str, Any]) -> Tensor:
        b, n = mask.shape
        if "gene_ids" in inputs:
            checks.ids(inputs["gene_ids"], "gene_ids", mask, self.genes)
            return inputs["gene_ids"].long().masked_fill(~mask, -1)
        if n != self.genes + 1:
            checks.refuse(
                f"gene_ids: needed, since {n - 1} genes a cell are not the {self.genes} of gene_interaction_matrix"
            )
        return torch.arange(-1, n - 1, device=mask.device).expand(b, n).masked_fill(~mask, -1)


def _dtype(h: Tensor) -> torch.dtype:
    half = torch.is_autocast_enabled(h.device.type)
    return torch.get_autocast_dtype(h.device.type) if half else h.dtype


def _edges(options: RegulationOptions) -> tuple[Tensor, Tensor, int]:
    """Edges `(2, e)`, their signed strengths `(e,)`, and the number of genes (0: no matrix)."""
    matrix = options.gene_interaction_matrix
    if matrix is None:
        return torch.zeros(2, 0, dtype=torch.long), torch.zeros(0), 0
    sparse = matrix.to_sparse_coo().coalesce()
    edges, strengths = sparse.indices(), sparse.values().float()
    if not bool(strengths.isfinite().all()):
        at = edges[:, int((~strengths.isfinite()).nonzero()[0])].tolist()
        checks.refuse(f"gene_interaction_matrix: row {at[0]}, column {at[1]} is not a finite number")
    kept = (strengths != 0) & (strengths.abs() >= options.min_strength)
    return edges[:, kept].contiguous(), strengths[kept].contiguous(), matrix.shape[0]


def _tally(mask: Tensor, cell: Tensor, token: Tensor, which: Tensor) -> Tensor:
    """How many of the edges `which: (e,)` each token has, `(b, n)`."""
    none = torch.zeros(mask.shape, dtype=torch.long, device=mask.device)
    return none.index_put((cell, token), which.long(), accumulate=True)
