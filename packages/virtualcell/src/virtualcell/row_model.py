"""The cell model that corrects simple predictions, untrained: which one, and what its parts are told of genes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from virtualcell.faults import nearest, refuse
from virtualcell.models import MODELS
from virtualcell.response_net import ResponseNet
from virtualcell.row_net import Words
from virtualcell.state import StateEmbeddingModel

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from virtualcell.response_config import RowNetOptions

PLAIN = "StateEmbeddingModel"


@dataclass(frozen=True)
class Biology:
    """What the parts of a cell model are told.

    model: its name. sizes: constructor words that are numbers. tables: those that are tables of genes, (g, ...).
    of_genes: inputs (g, ...) of the network by gene. of_context: inputs of a population, by its context.
    """

    model: str = PLAIN
    sizes: dict[str, int] = field(default_factory=dict)
    tables: dict[str, Tensor] = field(default_factory=dict)
    of_genes: Words = field(default_factory=dict)
    of_context: dict[str, Words] = field(default_factory=dict)

    def words(self, genes: np.ndarray) -> Words:
        """The inputs of the genes that are tokens, (t, ...), with the CLS slot in front: -1, or no for a mask.

        `gene_ids` count the tokens: the network's tables are of these genes alone.
        """
        made: Words = {}
        for name, x in self.of_genes.items():
            if name == "gene_ids":
                made[name] = torch.arange(len(genes) + 1) - 1
                continue
            first = torch.full((1, *x.shape[1:]), -1 if x.dtype == torch.int64 else 0).to(x.dtype)
            made[name] = torch.cat([first, x[torch.from_numpy(genes)]])
        return made


def build(biology: Biology, features: int, genes: np.ndarray, options: RowNetOptions) -> ResponseNet:
    """The untrained network, of so many features a gene and of `genes: (t - 1,)` int64, the places of its tokens.

    Raises DataError for a model that is none of the twelve nor the plain one.
    """
    kinds: dict[str, Callable[..., Any]] = {PLAIN: StateEmbeddingModel, **MODELS}
    if biology.model not in kinds:
        refuse(
            f"model: expected one of the twelve or {PLAIN}, got {biology.model!r}; {nearest(biology.model, kinds)}"
        )
    own = options
    shape = (features, own.d_model, own.nhead, own.d_hid, own.nlayers, own.d_model)
    at = torch.from_numpy(genes)
    tables = {
        name: x[at][:, at] if name == "gene_interaction_matrix" else x[at]
        for name, x in biology.tables.items()
    }
    words = {**biology.sizes, **tables, "norm_first": True}
    return ResponseNet(kinds[biology.model](*shape, own.dropout, **words))
