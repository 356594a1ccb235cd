"""The training of the whole model on sections: regression, pairs, confidence, networks.

Apart from `place`, so that who only reconstructs loads no trainer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from stedm import base, confidence, pairs, related
from stedm.graph import joined
from stedm.metrics import fit_similarity
from stedm.networks import Shown
from stedm.normalise import depth
from stedm.place import Model, settled
from stedm.teaching import learn
from stedm.tissue import check_teaches, shuffled, typical_count

if TYPE_CHECKING:
    from pathlib import Path

    from stedm.config import Config
    from stedm.tissue import Tissue


def fit(
    tissue: Tissue,
    config: Config,
    *,
    dim: int = 2,
    seed: int | None = None,
    out: Path | None = None,
    resume: bool = False,
) -> Model:
    """Learn from the sections of a tissue. Cells are shuffled first: row order must not teach anything.

    seed: None for the configuration's. out: directory for the checkpoints of the networks, from which `resume` goes on.
    Raises DataError where nothing can be learned: no coordinates in `dim` dimensions, too few cells, all at one place.
    """
    model, shown = without_networks(tissue, config, dim=dim, seed=seed)
    if not config.networks.use:
        return model
    seed = config.seed if seed is None else seed
    settle = settled(model.pair, seed)
    nets, history = learn(shown, config, settle, seed=seed, out=out, resume=resume)
    return replace(model, networks=nets, history=history)


def without_networks(
    tissue: Tissue, config: Config, *, dim: int = 2, seed: int | None = None
) -> tuple[Model, list[Shown]]:
    """Regression, pairs and confidence of `fit`, and each training section as models made it that did not know it."""
    seed = config.seed if seed is None else seed
    tissue = check_teaches(tissue, dim)
    rng = np.random.default_rng(seed)
    mixed = replace(tissue, sections=tuple(shuffled(section, rng)[0] for section in tissue.sections))
    count = len(mixed.sections)  # what is held out after these are shallower looks at the same
    with threadpool_limits(1, user_api="openmp"):  # the trees are small: threads would wait for each other
        fitted = base.fit(mixed, config.base, seed)
        held = min(fitted.error.values())
        views = [pairs.View(h.cells, h.predicted, depth(h.section)) for h in fitted.held_out]
        places = [h.place for h in fitted.held_out]
        pair, made = None, [related.alone(view) for view in views]
        if config.pairs.use:
            pair, made = related.learn(views, places, config.pairs, max(held, 1e-6), seed, sections=count)
        errors = [_errors(m.coordinates, place) for m, place in zip(made, places, strict=True)]
        error = confidence.fit(views, made, errors, seed)
    facts = {
        "sections": list(tissue.labels),
        "cells": float(len(tissue)),
        "components": float(fitted.regression.count),
        "held_out_rmse": held,
        "kind": tissue.kind,
        "count": float(np.median([typical_count(section) for section in tissue.sections])),
        "mirrored": [s for s, t in zip(tissue.labels, fitted.turns, strict=True) if np.linalg.det(t) < 0],
    }
    model = Model(tissue.genes, fitted.regression, pair, None, error, fitted.unit, config, facts)
    shown = [
        Shown(joined(fitted.regression.cells(h.section)), m, h.place)
        for h, m in zip(fitted.held_out[:count], made[:count], strict=True)
    ]
    return model, shown


def _errors(made: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Distances (n,) from the true places after the best similarity, as they are scored."""
    return np.linalg.norm(fit_similarity(made, place)(made) - place, axis=1)
