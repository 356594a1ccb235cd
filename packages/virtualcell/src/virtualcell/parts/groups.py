"""Which token is in which group: from ids in the batch, or from a table of genes.

Letters: b cells, n tokens, k groups of one token, g genes of a vocabulary, p groups.
"""

from __future__ import annotations

import torch
from torch import Tensor

from virtualcell import checks


def members(ids: Tensor, mask: Tensor, count: int, name: str) -> Tensor:
    """`ids: (b, n)` or `(b, n, k)`, -1 for none -> `(b, n, p)` bool; padding is in no group.

    Raises ValueError for ids beyond count - 1.
    """
    checks.ids(ids, name, mask, count, several=True)
    ids = ids[..., None] if ids.ndim == 2 else ids
    none = (ids < 0) | ~mask[..., None]
    # one column more takes what is in no group
    found = torch.zeros(*mask.shape, count + 1, dtype=torch.bool, device=ids.device)
    return found.scatter_(-1, ids.long().masked_fill(none, count), value=True)[..., :count]


def table_of(table: Tensor) -> Tensor:
    """A table `(g, p)` of numbers as bool, sparse ones too; above 0 = member."""
    dense = table.to_dense() if table.layout != torch.strided else table
    return (dense > 0).contiguous()


def looked_up(table: Tensor, gene_ids: Tensor, mask: Tensor, name: str) -> Tensor:
    """The rows `(b, n, p)` of genes `(b, n)` in a table `(g, p)`; -1 and padding are in no group."""
    checks.ids(gene_ids, name, mask, len(table))
    none = (gene_ids < 0) | ~mask
    return table[gene_ids.masked_fill(none, 0)] & ~none[..., None]
