"""Simulated cells: the same for a seed, and each kind of biology shows where it is and not where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from virtualcell.compartments import read_compartments
from virtualcell.faults import DataError
from virtualcell.network import read_network
from virtualcell.pathways import read_gene_sets
from virtualcell.simulation import simulate
from virtualcell.simulation_options import SimulationOptions
from virtualcell.sources import open_cells


def made(**words):
    small = {"cells": 400, "genes": 50, "regulators": 6, "pathways": 5, "hours": (2.0, 12.0)}
    return simulate(SimulationOptions(**{**small, **words}))


@pytest.fixture(scope="module")
def usual():
    return made()


def effect(found, done, at=None):
    """The mean log change of each gene against controls."""
    data = found.cells
    x = np.log1p(data.layers["transcripts"] / data.obs["size"].to_numpy()[:, None])
    here = data.obs["time"] == at if at is not None else np.ones(data.n_obs, dtype=bool)
    label = data.obs["perturbation"]
    return x[(label == done) & here].mean(axis=0) - x[(label == "control") & here].mean(axis=0)


def test_a_seed_is_a_population(usual):
    again, other = made(), made(seed=1)
    assert (usual.cells.X != again.cells.X).nnz == 0
    assert usual.edges.equals(again.edges)
    assert (usual.cells.X != other.cells.X).nnz > 0


def test_it_is_read_as_real_data_are(usual, tmp_path):
    folder = usual.write(tmp_path / "world")
    source = open_cells(folder / "cells.h5ad")
    assert source.about.kind == "counts"
    assert len(read_network(folder / "network.tsv").effects) == len(usual.edges)
    assert read_gene_sets(folder / "pathways.gmt").sets.keys() == usual.pathways.keys()
    assert len(read_compartments(folder / "compartments.tsv").sets) == 4


def test_a_knockout_empties_its_gene_and_moves_its_targets(usual):
    genes = list(usual.cells.var_names)
    done = effect(usual, "KO_TF001", 12.0)
    own = usual.edges[usual.edges["tf"] == "TF001"]
    assert done[0] < -2
    moved = [
        done[genes.index(target)] * np.sign(mor)
        for target, mor in zip(own["target"], own["mor"], strict=True)
    ]
    assert np.mean(moved) < -0.15
    rest = [abs(done[genes.index(gene)]) for gene in genes[6:] if gene not in set(own["target"])]
    assert np.mean(np.abs(moved)) > 1.5 * np.mean(rest)


def test_without_regulation_targets_stay():
    found = made(regulation=0.0)
    done = effect(found, "KO_TF001", 12.0)
    assert done[0] < -2
    assert np.abs(done[1:]).mean() < 0.25


def test_a_stimulus_moves_its_pathway_fast_genes_first(usual):
    inside = usual.cells.var_names.isin(usual.pathways["P1"])
    late = effect(usual, "stim_P1", 12.0)
    assert late[inside].mean() > late[~inside].mean() + 0.3
    early = effect(usual, "stim_P1", 2.0)
    fast = (usual.cells.var["half_life_h"] < 3).to_numpy()
    if (inside & fast).any() and (inside & ~fast).any():
        reached = early / np.where(np.abs(late) > 0.1, late, np.nan)
        assert np.nanmean(reached[inside & fast]) > np.nanmean(reached[inside & ~fast])


def test_memory_and_scarcity_show_where_they_are():
    found = made(memory=3.0, cells=600)
    assert (found.cells.obs["history"] != "none").mean() > 0.3
    assert (made(cells=20).cells.obs["history"] == "none").all()
    poor = made(scarcity=2.0)
    assert poor.cells.obs["energy"].mean() < 0.9
    assert poor.cells.layers["transcripts"].sum() < made().cells.layers["transcripts"].sum()


def test_a_cell_of_little_supply_runs_short():
    even, uneven = (made(scarcity=2.0, supply_spread=s).cells.obs["energy"] for s in (0.0, 1.0))
    assert uneven.std() > 2 * even.std()


def test_sizes_of_cells_are_extrinsic_noise():
    total = {
        s: made(extrinsic=s, pathway_spread=0.0).cells.layers["transcripts"].sum(axis=1) for s in (0.0, 0.5)
    }
    assert np.log(total[0.5]).std() > 2 * np.log(total[0.0]).std()


def test_impossible_worlds_are_refused():
    for words, said in (
        ({"genes": 5}, "regulators"),
        ({"capture": 2.0}, "capture"),
        ({"hours": ()}, "hours"),
        ({"hours": (6.0, float("nan"))}, "hours"),
        ({"regulation": float("inf")}, "regulation"),
    ):
        with pytest.raises(DataError, match=said):
            made(**words)
