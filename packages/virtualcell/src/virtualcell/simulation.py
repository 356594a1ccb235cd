"""Cells from a gene regulatory network, with all that is true of them: edges, pathways, compartments, histories.

It shares no code and no functional form with the models, so that what a part claims can be tested on cells that have
its biology and on cells that do not. Letters: n cells, g genes, r regulators, p pathways, c compartments.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from virtualcell.names import CONTROL, HOW, PERTURBATION
from virtualcell.simulated_kinetics import Fate, leap, rest
from virtualcell.simulated_world import World, draw_world
from virtualcell.simulation_options import SimulationOptions

if TYPE_CHECKING:
    import os


SETTLING = 12.0  # [h] before anything is done
EARLIER = 30.0  # [h] before the perturbation, an earlier stimulus begins in every second cell
LASTING = 6.0  # [h] of an earlier stimulus


@dataclass(frozen=True, eq=False)
class Simulated:
    """Cells as they would be measured, and the truth as tables: edges, gene sets, compartments."""

    cells: AnnData  # as `simulate` describes them
    edges: pd.DataFrame  # tf, target, mor
    pathways: dict[str, list[str]]  # genes by name
    compartments: pd.DataFrame  # gene, compartment

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """cells.h5ad, network.tsv, pathways.gmt and compartments.tsv in a folder."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self.cells.write_h5ad(path / "cells.h5ad")
        self.edges.to_csv(path / "network.tsv", sep="\t", index=False)
        lines = ["\t".join([name, "simulated", *genes]) for name, genes in self.pathways.items()]
        (path / "pathways.gmt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.compartments.to_csv(path / "compartments.tsv", sep="\t", index=False)
        return path


def simulate(options: SimulationOptions | None = None) -> Simulated:
    """Cells at rest, knocked out and stimulated, taken at several times; the same for the same options.

    obs: perturbation, cell_type, batch, time [h], history (`stim_P1@30`, hours before it was taken, or none), size,
    energy at the perturbation. obsm: energy_before (n, 1). layers: transcripts, the true numbers that X counts.
    """
    options = SimulationOptions() if options is None else options
    generator = np.random.default_rng(options.seed)
    world = draw_world(options, generator)
    plan = _plan(options, world, generator)
    fate, size = _fate(options, world, plan, generator)
    taken, energy = _run(options, world, plan, fate, generator)
    depth = np.clip(options.capture * generator.lognormal(0, 0.2, options.cells), 0, 1)
    counts = generator.binomial(taken, depth[:, None])
    counts[counts.sum(axis=1) == 0, 0] = 1  # a cell without any count would not have been called one
    obs = plan.drop(columns=["earlier"])
    obs["size"], obs["energy"] = size, energy
    obs.index = pd.Index([f"cell_{i}" for i in range(options.cells)])
    cells = anndata.AnnData(
        X=sparse.csr_matrix(counts.astype(np.float32)),
        obs=obs,
        var=_genes(world),
        layers={"transcripts": taken},
    )
    cells.obsm["energy_before"] = energy[:, None].astype(np.float32)
    cells.uns[HOW] = {"simulated": True, "seed": options.seed}
    return Simulated(cells, _edges(world), _sets(world, world.pathway, "P"), _compartments(world))


def _plan(options: SimulationOptions, world: World, generator: np.random.Generator) -> pd.DataFrame:
    """What is done to each cell, and when it is taken; a third of the cells are controls."""
    knockouts = [f"KO_{gene}" for gene in world.genes[: options.knockouts]]
    stimuli = [f"stim_P{i + 1}" for i in range(options.stimuli)]
    pairs = ["+".join(pair) for pair in list(combinations(knockouts, 2))[: options.pairs]]
    done = np.array([*knockouts, *stimuli, *pairs] or [CONTROL])
    n = options.cells
    treated = generator.random(n) > 1 / 3
    time = generator.choice(options.hours, n)
    earlier = (generator.random(n) < 0.5) & (options.memory > 0) & (options.stimuli > 0)
    which = generator.integers(0, max(options.stimuli, 1), n)
    since = EARLIER + time
    names = [f"stim_P{i + 1}@{h:g}" if e else "none" for e, i, h in zip(earlier, which, since, strict=True)]
    return pd.DataFrame(
        {
            PERTURBATION: np.where(treated, generator.choice(done, n), CONTROL),
            "cell_type": [f"type{i + 1}" for i in generator.integers(0, options.cell_types, n)],
            "batch": [f"batch{i + 1}" for i in generator.integers(0, options.batches, n)],
            "time": time,
            "history": names,
            "earlier": np.where(earlier, which, -1),
        }
    )


def _fate(
    options: SimulationOptions, world: World, plan: pd.DataFrame, generator: np.random.Generator
) -> tuple[Fate, np.ndarray]:
    """What stays of each cell: its type, size, supply, the activity of its pathways and compartments, its batch."""
    n, g = options.cells, options.genes
    size = generator.lognormal(0, options.extrinsic, n)
    activity = generator.normal(0, options.pathway_spread, (n, options.pathways)) @ world.pathway.T
    place = generator.normal(0, options.compartment_spread, (n, options.compartments)) @ world.compartment.T
    batch = generator.normal(0, 0.1, (options.batches, g))
    which = plan["batch"].str.removeprefix("batch").to_numpy(dtype=int) - 1
    factor = size[:, None] * np.exp(activity + place + batch[which])
    kind = plan["cell_type"].str.removeprefix("type").to_numpy(dtype=int) - 1
    knocked = np.array(
        [[f"KO_{gene}" in done.split("+") for gene in world.genes] for done in plan[PERTURBATION]]
    )
    spread = options.supply_spread
    supply = generator.lognormal(0, spread, n) if spread > 0 else np.ones(n)
    return Fate(kind, factor, knocked, supply), size


def _run(
    options: SimulationOptions, world: World, plan: pd.DataFrame, fate: Fate, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Transcripts (n, g) when each cell is taken, and its energy (n,) when it was perturbed."""
    n, p = options.cells, options.pathways
    state = rest(world, fate, generator)
    times, earlier = plan["time"].to_numpy(), plan["earlier"].to_numpy()
    now_stimulated = np.array(
        [[f"stim_P{i + 1}" in done.split("+") for i in range(p)] for done in plan[PERTURBATION]]
    )
    before = np.eye(p)[np.maximum(earlier, 0)] * (earlier >= 0)[:, None]
    start = -(EARLIER + SETTLING) if (earlier >= 0).any() else -SETTLING
    taken, energy = state.transcripts.copy(), state.energy.copy()
    none = np.zeros((n, options.genes), dtype=bool)
    steps = int(np.ceil((times.max() - start) / options.dt))
    for step in range(steps):
        now = start + step * options.dt
        begun = now >= 0
        if not begun:
            energy = state.energy.copy()
        recent = before * (-EARLIER <= now < -EARLIER + LASTING)
        leap(
            state,
            world,
            fate,
            now_stimulated.astype(float) if begun else recent,
            fate.knocked if begun else none,
            dt=options.dt,
            memory=options.memory,
            scarcity=options.scarcity,
            generator=generator,
        )
        late = times > now
        taken[late] = state.transcripts[late]
    return taken, energy


def _genes(world: World) -> pd.DataFrame:
    half_life = np.log(2) / world.decay
    frame = {"regulator": np.arange(len(world.genes)) < world.regulators, "half_life_h": half_life}
    return pd.DataFrame(frame, index=pd.Index(world.genes))


def _edges(world: World) -> pd.DataFrame:
    """Every edge with its signed strength."""
    strength = world.up - world.down
    source, target = np.nonzero(strength)
    columns = {"tf": [world.genes[i] for i in source], "target": [world.genes[j] for j in target]}
    return pd.DataFrame({**columns, "mor": strength[source, target].round(4)})


def _sets(world: World, member: np.ndarray, letter: str) -> dict[str, list[str]]:
    names = [f"{letter}{i + 1}" for i in range(member.shape[1])]
    return {name: [world.genes[j] for j in np.flatnonzero(member[:, i])] for i, name in enumerate(names)}


def _compartments(world: World) -> pd.DataFrame:
    rows = [(gene, name) for name, genes in _sets(world, world.compartment, "C").items() for gene in genes]
    return pd.DataFrame(rows, columns=["gene", "compartment"])
