"""Learning a perturbation predictor from cells at rest and perturbed cells."""

from __future__ import annotations

import logging
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from virtualcell.correcting import BELIEVED, Correction, held_share
from virtualcell.predictor import ResponseModel
from virtualcell.row_trees import fit_trees
from virtualcell.rows import lessons
from virtualcell.training_rows import fit_net

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from virtualcell.experience import Experience
    from virtualcell.response_config import ResponseConfig
    from virtualcell.row_model import Biology
    from virtualcell.rows import Lesson

LOG = logging.getLogger(__name__)


def learn(
    seen: Experience,
    config: ResponseConfig,
    biology: Biology,
    *,
    out: Path,
    dispersion: np.ndarray | None = None,
    resume: bool = False,
) -> ResponseModel:
    """A predictor of all that was seen; runs of its networks go to folders in `out`. dispersion: (g,) of counts."""
    dispersion = np.zeros(0) if dispersion is None else dispersion
    taught = list(lessons(seen))
    correction = _correction(taught, config, biology, out, resume=resume)
    facts = {"lessons": len(taught), "held_out_share": correction.share}
    return ResponseModel(seen, correction, biology, config, facts, dispersion)


def _correction(
    taught: Sequence[Lesson], config: ResponseConfig, biology: Biology, out: Path, *, resume: bool
) -> Correction:
    """Trees and networks of all lessons, where held-out ones believe trees, or, without trees, a network."""
    if len({lesson.context for lesson in taught}) < 2 or not (config.trees.use or config.network.use):
        return Correction()

    def trees(some: Sequence[Lesson]) -> Correction:
        whole = [lesson for lesson in some if lesson.weight == 1]
        return Correction(fit_trees(whole, config.trees, seed=config.seed), (), 1.0)

    trials = count()

    def network(some: Sequence[Lesson]) -> Correction:
        run = out / f"held_{next(trials)}"
        return Correction(
            None, (fit_net(some, biology, config, out=run, seed=config.seed, resume=resume),), 1.0
        )

    words = [biology.of_context.get(lesson.context, {}) for lesson in taught]
    share = held_share(taught, words, trees if config.trees.use else network)
    if share < BELIEVED:
        return Correction(None, (), share)
    nets = []
    for member in range(config.network.members if config.network.use else 0):
        LOG.info("network %d of %d", member + 1, config.network.members)
        run = out / f"member_{member}"
        seed = config.seed * 1000 + member
        nets.append(fit_net(taught, biology, config, out=run, seed=seed, resume=resume))
    return Correction(trees(taught).trees if config.trees.use else None, tuple(nets), share)
