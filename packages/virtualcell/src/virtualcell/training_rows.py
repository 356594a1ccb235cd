"""Training the cell model that corrects simple predictions of a change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from virtualcell.faults import nearest, refuse
from virtualcell.models import MODELS
from virtualcell.response_net import ResponseNet
from virtualcell.response_options import ResponseOptions
from virtualcell.row_net import RowNet, Words, chosen_genes, scales, taught
from virtualcell.state import StateEmbeddingModel
from virtualcell.training_response import train_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from virtualcell.response_config import ResponseConfig, RowNetOptions
    from virtualcell.rows import Lesson

PLAIN = "StateEmbeddingModel"


@dataclass(frozen=True)
class Biology:
    """What the parts of a cell model are told.

    model: its name. sizes: constructor words that are numbers. of_genes: tables (g, ...) of constructor words, and
    inputs (g, ...) of the network by gene. of_context: inputs of a population, by its context.
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
    """The untrained network. ValueError for a model that is none of the twelve nor the plain one."""
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


def fit_net(
    lessons: Sequence[Lesson],
    biology: Biology,
    config: ResponseConfig,
    *,
    out: Path,
    seed: int,
    resume: bool = False,
) -> RowNet:
    """Train on lessons; checkpoints and history go to `out`."""
    own = config.network
    genes = chosen_genes(lessons, own.genes)
    scale, unit = scales(lessons, genes)
    words = biology.words(genes)
    contexts: list[Mapping[str, Tensor]] = [biology.of_context.get(lesson.context, {}) for lesson in lessons]
    data = taught(lessons, genes, scale, unit, words, contexts)
    options = ResponseOptions(
        tokens_per_step=own.tokens, learning_rate=own.learning_rate, weight_decay=own.weight_decay
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build(biology, len(scale), genes, own)
    train_response(net, data, options, config.trainer, out=out, seed=seed, resume=resume, force=not resume)
    return RowNet(net, genes, scale, unit, words, own.tokens)
