"""The truth of a simulated cell population: who regulates whom, which genes belong together, how fast each is.

Letters: g genes, of which the first r are regulators; p pathways, c compartments, y cell types.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from virtualcell.simulation_options import SimulationOptions


@dataclass(frozen=True, eq=False)
class World:
    """Constants of a population; rates are per hour.

    up, down: (r, g) strengths of activating and repressing edges. pathway: (g, p) bool, compartment: (g, c) bool.
    opening: (y, g) rate at which a closed promoter opens in a cell type. closing, making, decay: (g,) rates of an
    open promoter closing, of transcripts made while it is open, of their decay.
    """

    genes: tuple[str, ...]  # names, the regulators first
    up: np.ndarray
    down: np.ndarray
    pathway: np.ndarray
    compartment: np.ndarray
    opening: np.ndarray
    closing: np.ndarray
    making: np.ndarray
    decay: np.ndarray

    @property
    def regulators(self) -> int:
        """How many genes are regulators."""
        return len(self.up)


def draw_world(options: SimulationOptions, generator: np.random.Generator) -> World:
    """A world drawn at random; regulators and half of the others have a half-life of about 1 h, the rest of 8 h."""
    g, r = options.genes, options.regulators
    width = max(len(str(g)), 3)
    genes = tuple(f"TF{i + 1:0{width}d}" if i < r else f"GENE{i + 1:0{width}d}" for i in range(g))
    pathway = np.zeros((g, options.pathways), dtype=bool)
    pathway[np.arange(g), generator.integers(0, options.pathways, g)] = True
    second = generator.random(g) < 0.3
    pathway[np.flatnonzero(second), generator.integers(0, options.pathways, int(second.sum()))] = True
    compartment = np.zeros((g, options.compartments), dtype=bool)
    compartment[np.arange(g), generator.integers(0, options.compartments, g)] = True
    up, down = np.zeros((r, g)), np.zeros((r, g))
    for regulator in range(r):
        # an edge goes to a later regulator or to any other gene: no loop can run away
        free = np.concatenate([np.arange(regulator + 1, r), np.arange(r, g)])
        odds = np.where(free < r, 2.0, 1.0)
        targets = generator.choice(free, min(options.targets, len(free)), replace=False, p=odds / odds.sum())
        activates = generator.random(len(targets)) < 0.6
        up[regulator, targets[activates]] = generator.uniform(0.7, 1.3, int(activates.sum()))
        down[regulator, targets[~activates]] = generator.uniform(0.7, 1.3, int((~activates).sum()))
    base = generator.lognormal(-1.0, 0.4, g)
    of_type = np.exp(generator.normal(0, 0.5, (options.cell_types, g)) * (generator.random(g) < 0.4))
    fast = (generator.random(g) < 0.5) | (np.arange(g) < r)
    half_life = np.where(fast, 1.0, 8.0) * generator.lognormal(0, 0.2, g)
    decay = np.log(2) / half_life
    # about 40 transcripts of each gene, whatever its decay
    making = decay * generator.lognormal(np.log(160.0), 0.6, g)
    return World(
        genes=genes,
        up=options.regulation * up,
        down=options.regulation * down,
        pathway=pathway,
        compartment=compartment,
        opening=base * of_type,
        closing=np.full(g, 1.0),
        making=making,
        decay=decay,
    )
