"""The networks in the whole model: what they are shown of a section, how they are taught, when they are believed.

They correct the structure that regression and pairs have made: the generator at once, the refiner by denoising around
it. Everything they are taught with was made by models that did not know the section. Letters: n cells, f components,
h features of an embedding, d dimensions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from stedm.config import Config
from stedm.encoder import ExpressionEncoder
from stedm.fitting import HELD_SETS, Plan, batches, train_structure
from stedm.metrics import score
from stedm.patches import Cells, PatchDataset
from stedm.related import Related
from stedm.sampling import Reconstruction
from stedm.structure import StructureNet
from stedm.surroundings import with_surroundings
from stedm.training_encoder import train_encoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stedm.options import Estimate, Gauge, Walk

BLOCK = 0.2  # share of a section that is held out where no whole section can be
CLEARLY = 1.03  # gain on what was held out from where the networks are believed
SIZE = 3.0  # of the largest component as the networks see it


@dataclass(frozen=True)
class Shown:
    """A section as the networks get it: x (n, f) components, its probable neighbours, coordinates so far and true.

    related: coordinates p (n, d), partners and chance (n, k). v: (n, d) true places, zeros where they are not known.
    """

    x: np.ndarray
    related: Related
    v: np.ndarray

    def take(self, rows: np.ndarray) -> Shown:
        """Some of its cells; a partner that is not among them becomes the cell itself, with chance 0."""
        number = np.full(len(self.x), -1)
        number[rows] = np.arange(len(rows))
        partners = number[self.related.partners[rows]]
        lost = partners < 0
        partners = np.where(lost, np.arange(len(rows))[:, None], partners)
        chance = np.where(lost, 0.0, self.related.chance[rows])
        related = Related(self.related.coordinates[rows], partners, chance)
        return Shown(self.x[rows], related, self.v[rows])


Settle = Callable[
    [np.ndarray, Related], np.ndarray
]  # coordinates (n, d), with probable neighbours brought together


@dataclass(frozen=True)
class Networks:
    """Trained networks. scale: of the components. held: scores of each stage on what was held out.

    believed: whether the refined structure was better there than the one it started from.
    """

    net: StructureNet
    encoder: ExpressionEncoder | None
    scale: float
    config: Config
    held: dict[str, dict[str, float]]
    believed: bool

    def cells(self, shown: Shown) -> Cells:
        """Embedding and surroundings of a section's cells."""
        return _cells(shown, self.encoder, self.scale, self.config.networks.surroundings)

    def batches(self, shown: Sequence[Shown], seed: int) -> list[dict[str, Tensor]]:
        """Sets of cells of sections with their true places, as `diagnose` reads them."""
        cells = [self.cells(one) for one in shown]
        return batches(PatchDataset(cells, self.config.patches, count=HELD_SETS, seed=seed))

    def look(self, shown: Shown, seed: int) -> Reconstruction:
        """The section's generated structure, which may be refined."""
        return _look(self.net, self.cells(shown), self.config, seed)


def estimates(
    made: Reconstruction, walk: Walk, estimate: Estimate, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (n, d) of an estimate and its draws (r, n, d): the posterior mean, or the first of several draws."""
    if estimate == "mean":
        found = made.mean(walk, draws)
        return found.v.double().numpy(), found.draws.double().numpy()
    drawn = made.mean_of_samples(walk, draws).draws.double().numpy()
    return drawn[0], drawn


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
    checkpoints, from which `resume` goes on. Returns the networks and the history of the runs.
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
    shown = [[_cells(s, encoder, scale, own.surroundings) for s in part] for part in (train, held)]
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


def _cells(shown: Shown, encoder: ExpressionEncoder | None, scale: float, surroundings: int) -> Cells:
    """Embedding Z, centred P and V of a section as the networks see it."""
    x, p, v = (
        torch.as_tensor(np.ascontiguousarray(a), dtype=torch.float32)
        for a in (shown.x, shown.related.coordinates, shown.v)
    )
    x = x / scale
    with torch.no_grad():
        z = x if encoder is None else encoder(x)
    cells = Cells(z, p - p.mean(0), v - v.mean(0))
    if not surroundings:
        return cells
    return with_surroundings(cells, surroundings, torch.Generator().manual_seed(0))


def _look(net: StructureNet, cells: Cells, config: Config, seed: int) -> Reconstruction:
    gauge: Gauge = config.learn.gauge
    return Reconstruction(
        net, cells, config.patches, gauge=gauge, generator=torch.Generator().manual_seed(seed)
    )


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
        made = _look(net, one, config, seed)
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
