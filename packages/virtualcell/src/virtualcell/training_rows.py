"""Training the cell model that corrects simple predictions of a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from virtualcell.response_options import ResponseOptions
from virtualcell.row_model import Biology, build
from virtualcell.row_net import RowNet, chosen_genes, scales, taught
from virtualcell.training_response import train_response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from virtualcell.response_config import ResponseConfig
    from virtualcell.rows import Lesson


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
