"""Seven questions to simulated cells, one for each part of the cell models; `virtualcell_parts.py` asks them.

Letters: N rows, n tokens (CLS first), g genes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from posing import Posed, Question, constant, features, ids_of, log_values, member, populations, with_cls

from virtualcell.loaders import MemoryDataLoader
from virtualcell.sources import open_cells

if TYPE_CHECKING:
    from virtualcell.simulation import Simulated


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
