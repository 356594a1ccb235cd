"""How the networks are taught, and when they are believed: where they make held-out sections clearly better.

Everything they are taught with was made by models that did not know the section. Letters as in `networks`.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from stedm.fitting import Plan, train_structure
from stedm.metrics import score
from stedm.networks import Networks, Settle, Shown, as_cells, estimates, look
from stedm.training_encoder import train_encoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stedm.config import Config
    from stedm.encoder import ExpressionEncoder
    from stedm.patches import Cells
    from stedm.structure import StructureNet

BLOCK = 0.2  # share of a section that is held out where no whole section can be
CLEARLY = 1.03  # gain on what was held out from where the networks are believed
SIZE = 3.0  # of the largest component as the networks see it


def learn(
    sections: Sequence[Shown],
    config: Config,
    settle: Settle,
    *,
    seed: int,
    out: Path | None = None,
    resume: bool = False,
) -> tuple[Networks, pd.DataFrame]:
    """Train encoder, generator and refiner; a section, or blocks of fewer than three, choose the weights.

    settle: what is done to coordinates that the networks made, before they are judged. out: directory of the
    checkpoints, from which `resume` goes on; None: they are thrown away. Returns the networks and the history of the
    runs. Raises what `cytosol.trainer.fit` does.
    """
    if out is None:
        with tempfile.TemporaryDirectory() as folder:
            return learn(sections, config, settle, seed=seed, out=Path(folder))
    own = config.networks
    train, held = held_out(sections, seed)
    scale = float(np.sqrt(max(np.concatenate([s.x for s in train]).var(axis=0).max(), 1e-12))) / SIZE
    encoder, histories = None, []
    if own.embedding == "learned":
        encoder, history = _encoder(train, held, scale, config, out / "encoder", seed, resume=resume)
        histories.append(history.assign(run="encoder"))
    shown = [[as_cells(s, encoder, scale, own.surroundings) for s in part] for part in (train, held)]
    plan = Plan(
        net=config.net,
        patches=config.patches,
        learn=config.learn,
        trainer=config.trainer,
        refiner_steps=own.refiner_steps,
    )
    net, history = train_structure(
        shown[0], plan, out=out, seed=seed, held=shown[1], resume=resume, force=not resume
    )
    scores = _scores(net, shown[1], held, config, settle, seed)
    last = "generator" if net.refiner is None else "mean"
    networks = Networks(net, encoder, scale, config, scores, gain(scores["before"], scores[last]) > CLEARLY)
    return networks, pd.concat([*histories, history], ignore_index=True)


def gain(before: dict[str, float], after: dict[str, float]) -> float:
    """How much better a structure is: the ratio of Jaccard@10, times the inverse ratio of Procrustes RMSE."""
    nearer = after["jaccard10"] / max(before["jaccard10"], 1e-9)
    return nearer * before["rmse"] / max(after["rmse"], 1e-9)


def held_out(sections: Sequence[Shown], seed: int) -> tuple[list[Shown], list[Shown]]:
    """What trains and what is held out: of three sections or more the median one in size, else a block of each.

    A block is a side of the section, in a random direction.
    """
    if len(sections) > 2:
        middle = int(np.argsort([len(s.x) for s in sections], kind="stable")[len(sections) // 2])
        return [s for k, s in enumerate(sections) if k != middle], [sections[middle]]
    rng, train, held = np.random.default_rng(seed), [], []
    for section in sections:
        along = section.v @ rng.normal(size=section.v.shape[1])
        side = along > np.quantile(along, 1 - BLOCK)
        train.append(section.take(np.flatnonzero(~side)))
        held.append(section.take(np.flatnonzero(side)))
    return train, held


def _encoder(
    train: Sequence[Shown],
    held: Sequence[Shown],
    scale: float,
    config: Config,
    out: Path,
    seed: int,
    *,
    resume: bool,
) -> tuple[ExpressionEncoder, pd.DataFrame]:
    """Stage A on the components."""
    own = config.networks
    x = [[torch.as_tensor(s.x / scale).float() for s in part] for part in (train, held)]
    v = [[torch.as_tensor(s.v).float() for s in part] for part in (train, held)]
    options = replace(config.trainer, max_steps=own.encoder_steps, batch_size=own.encoder_cells)
    return train_encoder(
        x[0],
        v[0],
        config.encoder,
        options,
        out=out,
        seed=seed,
        held=(x[1], v[1]),
        resume=resume,
        force=not resume,
    )


def _scores(
    net: StructureNet,
    cells: Sequence[Cells],
    held: Sequence[Shown],
    config: Config,
    settle: Settle,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Mean Jaccard@10 and Procrustes RMSE over what was held out: before the networks, and after each of them."""
    found: dict[str, list[tuple[float, float]]] = {}
    for one, shown in zip(cells, held, strict=True):
        made = look(net, one, config, seed)
        stages = {"before": shown.related.coordinates}
        stages["generator"] = settle(made.generated.double().numpy(), shown.related)
        if net.refiner is not None:
            mean = estimates(made, config.walk, "mean", config.networks.draws)[0]
            stages["mean"] = settle(mean, shown.related)
        for name, v in stages.items():
            s = score(v, shown.v)
            found.setdefault(name, []).append((s.jaccard10, s.rmse))
    means = {name: np.mean(each, axis=0) for name, each in found.items()}
    return {name: {"jaccard10": float(a), "rmse": float(b)} for name, (a, b) in means.items()}
