"""Learning a perturbation predictor from cells at rest and perturbed cells."""

from __future__ import annotations

import hashlib
import json
import logging
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from cytosol import ranks
from cytosol.files import write_atomically
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

HELD_OUT = "held_out.json"  # beside the runs of networks: what the trials said, so that --resume need not repeat them
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
    kept = out / HELD_OUT
    fit = trees if config.trees.use else network
    share = _kept_share(kept, taught, config) if resume else None
    if share is None:
        share = held_share(taught, words, fit)
        if ranks.first():
            kept.parent.mkdir(parents=True, exist_ok=True)
            told = {"of": _fingerprint(taught, config), "share": share}
            write_atomically(kept, json.dumps(told).encode())
    if share < BELIEVED:
        return Correction(None, (), share)
    nets = []
    for member in range(config.network.members if config.network.use else 0):
        LOG.info("network %d of %d", member + 1, config.network.members)
        run = out / f"member_{member}"
        seed = config.seed * 1000 + member
        nets.append(fit_net(taught, biology, config, out=run, seed=seed, resume=resume))
    return Correction(trees(taught).trees if config.trees.use else None, tuple(nets), share)


def _kept_share(path: Path, taught: Sequence[Lesson], config: ResponseConfig) -> float | None:
    """What trials of the very same lessons have said before; None where there is nothing of the kind."""
    try:
        told = json.loads(path.read_bytes())
        return float(told["share"]) if told["of"] == _fingerprint(taught, config) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _fingerprint(taught: Sequence[Lesson], config: ResponseConfig) -> str:
    """Of lessons and settings: other ones have another."""
    found = hashlib.sha256(repr(config).encode())
    for lesson in taught:
        found.update(f"{lesson.context} {lesson.weight!r}".encode())
        for array in (lesson.delta, lesson.error, *vars(lesson.rows).values()):
            if isinstance(array, np.ndarray):
                found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
