"""The networks in the whole model: what they are shown of a section, and what they make of it.

They correct the structure that regression and pairs have made: the generator at once, the refiner by denoising around
it. `teaching` trains them. Letters: n cells, f components, h features of an embedding, d dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from stedm.config import Config
from stedm.encoder import ExpressionEncoder
from stedm.patches import HELD_SETS, Cells, PatchDataset, batches
from stedm.related import Related
from stedm.sampling import Reconstruction
from stedm.structure import StructureNet
from stedm.surroundings import with_surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stedm.options import Estimate, Gauge, Walk


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


# coordinates (n, d), with probable neighbours brought together
Settle = Callable[[np.ndarray, Related], np.ndarray]


@dataclass(frozen=True)
class Networks:
    """Trained networks. scale: what the components are divided by. held: scores of each stage on what was held out.

    encoder: None where the components are the embedding as they are. believed: whether the refined structure was better
    there than the one it started from.
    """

    net: StructureNet
    encoder: ExpressionEncoder | None
    scale: float
    config: Config
    held: dict[str, dict[str, float]]
    believed: bool

    def cells(self, shown: Shown) -> Cells:
        """Embedding, with surroundings, and coordinates of a section's cells, in its order."""
        return as_cells(shown, self.encoder, self.scale, self.config.networks.surroundings)

    def batches(self, shown: Sequence[Shown], seed: int) -> list[dict[str, Tensor]]:
        """Sets of cells of sections with their true places, as `diagnose` reads them: batches of b sets of s cells.

        Each batch: z (b, s, h), p and v (b, s, d) in RMS radii, mask (b, s).
        """
        cells = [self.cells(one) for one in shown]
        return batches(PatchDataset(cells, self.config.patches, count=HELD_SETS, seed=seed))

    def look(self, shown: Shown, seed: int) -> Reconstruction:
        """The section's generated structure, which may be refined."""
        return look(self.net, self.cells(shown), self.config, seed)


def estimates(
    made: Reconstruction, walk: Walk, estimate: Estimate, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (n, d) of an estimate and its draws (r, n, d): the posterior mean, or the first of several draws.

    Raises ValueError for fewer than one draw, and for networks without a refiner.
    """
    if draws < 1:
        msg = f"draws: expected at least 1, got {draws}"
        raise ValueError(msg)
    if estimate == "mean":
        found = made.mean(walk, draws)
        return found.v.double().numpy(), found.draws.double().numpy()
    drawn = made.mean_of_samples(walk, draws).draws.double().numpy()
    return drawn[0], drawn


def as_cells(shown: Shown, encoder: ExpressionEncoder | None, scale: float, surroundings: int) -> Cells:
    """Embedding Z, centred P and V of a section as the networks see it, float32.

    scale: what the components are divided by. surroundings: nearest cells that Z is told of, 0 for none.
    """
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


def look(net: StructureNet, cells: Cells, config: Config, seed: int) -> Reconstruction:
    """The generated structure of cells, which may be refined."""
    gauge: Gauge = config.learn.gauge
    return Reconstruction(
        net, cells, config.patches, gauge=gauge, generator=torch.Generator().manual_seed(seed)
    )
