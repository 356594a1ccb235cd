"""Seven questions to simulated cells, one for each part of the cell models. For virtualcell_parts.py beside this one.

A question is made of rows that a network without the part can read, and of what the part is told beside them: as it
is, shuffled, and, as a control, written into the features of genes. Letters: N rows, n tokens (CLS first), g genes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from virtualcell.loaders import MemoryDataLoader
from virtualcell.simulation import Simulated, simulate
from virtualcell.simulation_options import SimulationOptions
from virtualcell.sources import open_cells
from virtualcell.vectors import name_vectors

VECTOR = 16  # width of the vectors that tell genes apart
Rows = dict[str, Tensor]


@dataclass
class Posed:
    """A question as one seed poses it: rows, which of them train, and what the part is told.

    told, shuffled: inputs of forward with the rows first, or words of the constructor (`words`, `shuffled_words`);
    features: what is told, as features of genes (N, n, x), where it can be said so.
    """

    rows: Rows
    train: np.ndarray
    told: Rows = field(default_factory=dict)
    shuffled: Rows = field(default_factory=dict)
    features: Tensor | None = None
    words: dict[str, Any] = field(default_factory=dict)
    shuffled_words: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """What is asked, of which world (`biology`), and of one without it (`absent`)."""

    part: str
    model: str
    asks: str
    pose: Callable[[Simulated, np.random.Generator], Posed]
    biology: dict[str, Any]
    absent: dict[str, Any]
    words: dict[str, Any]
    draws: int = 1  # 1: the mean is asked for, else the population

    def posed(self, seed: int, *, absent: bool = False) -> Posed:
        """The question in the world of a seed."""
        words = BASIC | self.biology | (self.absent if absent else {})
        return self.pose(simulate(SimulationOptions(**words, seed=seed)), np.random.default_rng(seed))


BASIC = {"genes": 60, "dt": 0.5, "regulators": 8, "knockouts": 0, "pairs": 0, "stimuli": 0, "batches": 1}
BASIC |= {"compartments": 1}


def log_values(found: Simulated, *, by_size: bool) -> np.ndarray:
    """log1p of counts (cells, g), each cell's brought to the median total where `by_size` is False."""
    counts = found.cells.X.toarray().astype(np.float64)
    total = counts.sum(1, keepdims=True)
    return np.log1p(counts if by_size else counts / total * np.median(total))


def with_cls(x: np.ndarray) -> Tensor:
    """(N, g, ...) with an empty slot before the genes."""
    return torch.from_numpy(np.concatenate([np.zeros_like(x[:, :1]), x], 1).astype(np.float32))


def features(found: Simulated, rows: int, *columns: np.ndarray, known: bool = True) -> Rows:
    """src and mask: columns (N, g), and vectors that tell genes apart where they are known one by one."""
    vectors = 2 * name_vectors(list(found.cells.var_names), VECTOR) * known
    told = np.broadcast_to(vectors, (rows, *vectors.shape))
    src = with_cls(np.concatenate([told, np.stack(columns, -1)], -1))
    return {"src": src, "mask": torch.ones(src.shape[:2], dtype=torch.bool)}


def member(found: Simulated) -> np.ndarray:
    """Genes in pathways (g, p) bool."""
    genes = found.cells.var_names
    return np.stack([genes.isin(held) for held in found.pathways.values()], 1)


def ids_of(inside: np.ndarray, rows: int) -> Tensor:
    """The groups of each gene (N, n, k) int64, -1 for none, from (g, p) bool."""
    made = np.full((len(inside) + 1, max(int(inside.sum(1).max()), 1)), -1)
    for gene, row in enumerate(inside):
        mine = np.flatnonzero(row)
        made[gene + 1, : len(mine)] = mine
    return torch.from_numpy(made).expand(rows, -1, -1).contiguous()


def hidden_genes(
    found: Simulated, random: np.random.Generator, *, seen: float, train: int, by_size: bool
) -> Posed:
    """Cells of which some genes are seen and the others are asked for; told are the pathways of genes."""
    x = log_values(found, by_size=by_size)
    looks = 6  # times that a training cell is looked at, other genes hidden each time
    cell = np.concatenate([np.repeat(np.arange(train), looks), np.arange(train, len(x))])
    z = ((x - x[:train].mean(0)) / (x[:train].std(0) + 0.1))[cell]
    hidden = random.random(z.shape) >= seen
    rows = features(found, len(z), np.where(hidden, 0.0, z), hidden * 1.0)
    rows |= {"target": with_cls(z), "weight": with_cls(hidden * 1.0)}
    inside = member(found)
    mixed = inside[random.permutation(len(inside))]
    return Posed(
        rows,
        np.arange(len(z)) < train * looks,
        {"groups": ids_of(inside, len(z))},
        {"groups": ids_of(mixed, len(z))},
        with_cls(np.broadcast_to(inside * 1.0, (len(z), *inside.shape))),
    )


def of_pathways(found: Simulated, random: np.random.Generator) -> Posed:
    """Few cells, half of their genes; depth is taken out."""
    made = hidden_genes(found, random, seen=0.5, train=40, by_size=False)
    made.told, made.shuffled = ({"pathway_ids": each["groups"]} for each in (made.told, made.shuffled))
    return made


def of_scales(found: Simulated, random: np.random.Generator) -> Posed:
    """Few cells, a quarter of their genes; how large a cell is has to be read from them too."""
    made = hidden_genes(found, random, seen=0.25, train=40, by_size=True)
    made.told, made.shuffled = ({"pathway_groups": each["groups"]} for each in (made.told, made.shuffled))
    return made


@dataclass
class Populations:
    """Rows of a question on populations: `about` has a row each, `cells` says who they are."""

    about: pd.DataFrame
    cells: list[np.ndarray]
    rows: Rows


def populations(
    found: Simulated,
    obs: pd.DataFrame,
    by: list[str],
    *,
    by_size: bool = False,
    known: bool = True,
    least: int = 6,
) -> Populations:
    """Treated cells that are alike in `by`, as rows.

    A gene has the controls' mean of the cell type, which is the baseline too, whether it is knocked out, and whether it
    is in the stimulated pathway; known: and a vector of its own.
    """
    x, genes, inside = log_values(found, by_size=by_size), list(found.cells.var_names), member(found)
    rest = obs["perturbation"] == "control"
    alike = obs[~rest].groupby(by, sort=True, observed=True).indices.values()
    places = np.flatnonzero(~rest)
    cells = [places[index] for index in alike if len(index) >= least]
    first = obs.iloc[[index[0] for index in cells]]
    about = first[["perturbation", "cell_type", "time", *by]].reset_index(drop=True)
    about = about.loc[:, ~about.columns.duplicated()]
    mean = np.stack([x[index].mean(0) for index in cells])
    control = np.stack(
        [x[(rest & (obs["cell_type"] == kind)).to_numpy()].mean(0) for kind in about["cell_type"]]
    )
    done = about["perturbation"].str.split("+")
    out = np.array([[f"KO_{gene}" in words for gene in genes] for words in done])
    called = np.array([[f"stim_{name}" in words for name in found.pathways] for words in done]) @ inside.T
    rows = features(
        found, len(mean), (control - control.mean()) / control.std(), out * 1.0, called * 1.0, known=known
    )
    rows |= {"baseline": with_cls(control), "target": with_cls(mean)}
    return Populations(about, cells, rows)


def constant(column: np.ndarray, tokens: int) -> Tensor:
    """A number a row (N,) as a feature of every gene and the CLS, (N, n, 1)."""
    scaled = (column - column.mean()) / (column.std() + 1e-6)
    return torch.from_numpy(scaled.astype(np.float32))[:, None, None].expand(-1, tokens, 1)


def of_times(found: Simulated, random: np.random.Generator) -> Posed:
    """Every second time is never seen in training."""
    made = populations(found, found.cells.obs, ["perturbation", "cell_type", "time"])
    time = made.about["time"].to_numpy()
    times = np.unique(time)
    told = torch.from_numpy(time.astype(np.float32))
    mixed = told[torch.from_numpy(random.permutation(len(told)))]
    train = np.isin(time, times[::2])
    return Posed(
        made.rows,
        train,
        {"time_steps": told},
        {"time_steps": mixed},
        constant(np.log(time), found.cells.n_vars + 1),
    )


def of_regulators(found: Simulated, random: np.random.Generator) -> Posed:
    """Every third knocked out regulator is never knocked out in training."""
    made = populations(found, found.cells.obs, ["perturbation", "cell_type"], known=False)
    names = made.about["perturbation"]
    train = ~names.isin(names.unique()[::3]).to_numpy()
    genes = list(found.cells.var_names)
    matrix = np.zeros((len(genes), len(genes)), dtype=np.float32)
    for tf, target, mor in found.edges.itertuples(index=False):
        matrix[genes.index(tf), genes.index(target)] = mor
    mixed = matrix[:, random.permutation(len(genes))]
    return Posed(
        made.rows,
        train,
        words={"gene_interaction_matrix": torch.from_numpy(matrix)},
        shuffled_words={"gene_interaction_matrix": torch.from_numpy(mixed)},
        features=None,
    )


def of_histories(found: Simulated, random: np.random.Generator) -> Posed:
    """Of each history and stimulus a third of the times is never seen in training, not the first or last; asked is the
    pathway that is stimulated now."""
    obs = found.cells.obs.assign(before=found.cells.obs["history"].str.split("@").str[0])
    made = populations(found, obs, ["perturbation", "cell_type", "time", "before"])
    loader = MemoryDataLoader({"token_dim": 4}, memory_dim=16).fit(found.cells)
    source = open_cells(found.cells)
    first = np.array([index[0] for index in made.cells])
    order = np.argsort(first)
    told = torch.empty(len(first), 16)
    told[torch.from_numpy(order)] = loader(source.__getitems__(first[order]))["previous_states"]
    mixed = told[torch.from_numpy(random.permutation(len(told)))]
    kinds = np.array([made.about["before"] == name for name in sorted(set(made.about["before"]))]).T * 1.0
    plain = torch.from_numpy(kinds.astype(np.float32))[:, None].expand(-1, found.cells.n_vars + 1, -1)
    made.rows["weight"] = made.rows["src"][..., -1].clone()
    train = np.ones(len(told), dtype=bool)
    for _, rows in made.about.reset_index(drop=True).groupby(["perturbation", "before"]):
        times = np.unique(rows["time"])
        train[rows.index[rows["time"].isin(random.permutation(times[1:-1])[: len(times) // 3])]] = False
    return Posed(
        made.rows,
        train,
        {"previous_states": told},
        {"previous_states": mixed},
        plain,
    )


def of_energy(found: Simulated, random: np.random.Generator) -> Posed:
    """Cells are put together by their energy before the stimulus; every third population is never seen."""
    energy = found.cells.obs["energy"]
    level = energy.rank(method="first", pct=True).mul(5).apply(np.ceil)
    made = populations(
        found,
        found.cells.obs.assign(level=level),
        ["perturbation", "cell_type", "time", "level"],
        by_size=True,
    )
    mean = np.array([energy.to_numpy()[index].mean() for index in made.cells])
    told = torch.from_numpy(mean.astype(np.float32))[:, None]
    mixed = told[torch.from_numpy(random.permutation(len(told)))]
    train = np.ones(len(told), dtype=bool)
    train[random.permutation(len(told))[: len(told) // 3]] = False
    word = "previous_energy_state"
    return Posed(made.rows, train, {word: told}, {word: mixed}, constant(mean, found.cells.n_vars + 1))


def of_noise(found: Simulated, random: np.random.Generator) -> Posed:
    """The cells of conditions that are never seen, as counts; shuffled: genes are shuffled among the cells of a
    condition in training, so that each gene varies as before and no two together."""
    made = populations(found, found.cells.obs, ["perturbation", "cell_type", "time"], by_size=True)
    counts, most = found.cells.X.toarray(), 24
    cells = np.stack([counts[random.choice(index, most, replace=len(index) < most)] for index in made.cells])
    train = np.ones(len(cells), dtype=bool)
    train[random.permutation(len(cells))[: len(cells) // 3]] = False
    mixed = random.permuted(cells, axis=1)
    told, shuffled = (with_cls(each.swapaxes(1, 2)).swapaxes(1, 2) for each in (cells, mixed))
    mean = np.expm1(made.rows["baseline"].numpy()[:, 1:])
    rows = made.rows | {"baseline": with_cls(np.log(mean + 0.1)), "cells": told}
    del rows["target"]
    return Posed(rows, train, shuffled={"cells": shuffled})


QUESTIONS = (
    Question("hierarchy", "HierarchicalGeneModel", "half of a new cell's genes from the others, after 40 cells",
             of_pathways,
             {"cells": 240, "cell_types": 1, "pathway_spread": 0.8, "compartment_spread": 0.0}, {"pathway_spread": 0.0},
             {"num_pathways": 8, "num_compartments": 1, "pathway_dim": 32}),
    Question("temporal", "TemporalDynamicsModel", "populations at times that were never seen", of_times,
             {"cells": 1800, "stimuli": 3, "knockouts": 2, "hours": (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)},
             {"hours": (40.0, 44.0, 48.0, 52.0, 56.0, 60.0, 64.0)}, {"temporal_dim": 16}),
    Question("regulation", "RegulatoryConstrainedModel", "knockouts of regulators never knocked out", of_regulators,
             {"cells": 1800, "regulators": 18, "knockouts": 18, "hours": (16.0,)}, {"regulation": 0.0}, {}),
    Question("memory", "CellularMemoryModel", "a stimulus met before, or not, at times never seen after it",
             of_histories,
             {"cells": 2400, "cell_types": 3, "stimuli": 1, "hours": (1.0, 1.5, 2.0, 2.5, 3.0, 4.0), "memory": 6.0,
              "pathways": 5, "pathway_spread": 0.0},
             {"memory": 1e-9},
             {"memory_dim": 16, "memory_size": 32, "num_epigenetic_states": 2}),
    Question("stochastic", "StochasticCellularModel", "the cells of conditions never seen, as a population", of_noise,
             {"cells": 1200, "stimuli": 4, "hours": (2.0, 4.0, 8.0), "extrinsic": 0.5},
             {"extrinsic": 0.0, "pathway_spread": 0.0, "compartment_spread": 0.0}, {"noise_dim": 16}, draws=16),
    Question("resources", "ResourceConstrainedModel", "a stimulus of cells short of energy", of_energy,
             {"cells": 2400, "stimuli": 4, "hours": (2.0, 8.0), "scarcity": 2.0, "supply_spread": 1.0},
             {"scarcity": 0.0}, {"resource_dim": 16, "num_resource_types": 1}),
    Question("scales", "MultiScaleModel", "three quarters of a new cell's genes, its size too, after 40 cells",
             of_scales,
             {"cells": 240, "cell_types": 1, "pathway_spread": 0.6, "compartment_spread": 0.0, "extrinsic": 0.5},
             {"pathway_spread": 0.0, "extrinsic": 0.0},
             {"molecular_scale_dim": 32, "pathway_scale_dim": 32, "cellular_scale_dim": 32, "num_pathway_groups": 8}),
)  # fmt: skip
