"""What parts say: tables that agree with the network's own output, for the cells and genes they are of."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from cytosol.cli import run
from virtualcell.cli import app
from virtualcell.config import EmbeddingConfig
from virtualcell.embedding import EmbeddingModel, made_loader, made_net, moments
from virtualcell.explain import explain
from virtualcell.explain_plots import plot_explained
from virtualcell.faults import DataError
from virtualcell.network import read_network
from virtualcell.pathways import GeneSets
from virtualcell.saving import save_embedding
from virtualcell.simulation import simulate
from virtualcell.simulation_options import SimulationOptions
from virtualcell.sources import open_cells

SMALL = EmbeddingConfig(genes=24)
SMALL = dataclasses.replace(
    SMALL,
    network=dataclasses.replace(SMALL.network, d_model=16, nhead=2, d_hid=16, output_dim=6, token_dim=8),
)


@pytest.fixture(scope="module")
def world():
    return simulate(
        SimulationOptions(cells=60, genes=30, regulators=4, targets=4, pathways=4, hours=(6.0,), memory=1.0)
    )


def fresh(world, tmp_path, name="FullVirtualCellModel"):
    """A model as it begins, its gates opened."""
    folder = world.write(tmp_path / "w")
    files = {"pathways": GeneSets({k: tuple(v) for k, v in world.pathways.items()}, "p.gmt")}
    files["network"] = read_network(folder / "network.tsv")
    config = dataclasses.replace(SMALL, model=name)
    source = open_cells(world.cells)
    known = {"FullVirtualCellModel": files, "StateEmbeddingModel": {}}.get(name, {})
    loader = made_loader(source, config, known, None)
    net = made_net(loader, config, *moments(source, loader, config)).eval()
    with torch.no_grad():
        for gate in getattr(net.cell, "gates", {}).values():
            gate.add_(0.2)
    return EmbeddingModel(net, loader, config, {"batches": []}), source


@pytest.fixture(scope="module")
def full(world, tmp_path_factory):
    return fresh(world, tmp_path_factory.mktemp("explain"))


def test_tables_hold_what_the_network_says(full):
    model, source = full
    tables = explain(model, source, by="cell_type")
    with torch.no_grad(), model.net.cell.detailed():
        some = source.__getitems__(np.arange(60))
        batch = model.seen(model.loader(some), np.ones(24, dtype=bool))
        told = model.net.told(batch)
    real = (batch.mask & (batch.ids >= 0)).numpy()
    share = told["hierarchy"]["pathway_attention"][:, 0].mean(0).numpy()
    (step,) = (one for one in model.loader.fitted if one.name == "pathway")
    names = list(step.words["genes_in"])
    np.testing.assert_allclose(tables["pathways"].loc[names, "attention"], share, rtol=1e-4)
    np.testing.assert_allclose(
        tables["cells"]["resources.burnt"], told["resources"]["burnt"].numpy(), rtol=1e-4
    )
    fast = (told["temporal"]["fast"].numpy() * real).sum(1) / real.sum(1)
    np.testing.assert_allclose(tables["cells"]["temporal.fast"], fast, rtol=1e-4)
    gene = model.loader.features.names[3]
    here = real & (batch.ids.numpy() == 3)
    assert tables["genes"].loc[gene, "cells"] == here.sum()
    spent = told["resources"]["spent"].numpy()[here].mean()
    assert tables["genes"].loc[gene, "resources.spent"] == pytest.approx(spent, rel=1e-4)
    assert list(tables["cells"].index) == list(source.about.obs.index)


def test_every_part_has_its_say(full):
    model, source = full
    tables = explain(model, source, by="cell_type")
    assert set(tables) == {
        "parts",
        "cells",
        "genes",
        "pathways",
        "slots",
        "groups",
        "cells_by",
        "pathways_by",
    }
    assert sorted(tables["parts"].index) == sorted(part.name for part in type(model.net.cell).parts)
    np.testing.assert_allclose(tables["parts"]["gate"], 0.2, rtol=1e-5)
    assert set(tables["pathways"].index) == {f"P{i}" for i in range(1, 5)}
    assert tables["slots"]["attention"].sum() == pytest.approx(1.0, rel=1e-4)
    assert tables["groups"]["attention"].sum() == pytest.approx(1.0, rel=1e-4)
    assert tables["groups"].index.tolist().count("cell") == 1
    assert list(tables["cells_by"].index) == ["type1", "type2"]
    own = tables["cells"].groupby(source.about.labels("cell_type")).mean()
    np.testing.assert_allclose(tables["cells_by"], own)
    assert all(
        np.isfinite(t.select_dtypes("number").drop(columns="size", errors="ignore")).all(None)
        for t in tables.values()
    )


def test_few_cells_are_drawn_and_what_is_said_of_one_does_not_hang_on_others(full):
    model, source = full
    whole, some = explain(model, source)["cells"], explain(model, source, cells=7, seed=3)["cells"]
    assert len(some) == 7
    pd.testing.assert_frame_equal(whole.loc[some.index], some, rtol=1e-4, atol=1e-5)
    assert list(explain(model, source, cells=7, seed=3)["cells"].index) == list(some.index)
    assert not model.net.cell.part["memory"].detail


def test_a_single_part_says_its_own_and_none_is_refused(world, tmp_path):
    model, source = fresh(world, tmp_path, "StochasticCellularModel")
    tables = explain(model, source, cells=20)
    assert set(tables) == {"parts", "cells", "genes"}
    assert {"stochastic.intrinsic", "stochastic.extrinsic"} <= set(tables["genes"])
    assert len(plot_explained(tables).axes) == 2
    plain, same = fresh(world, tmp_path, "StateEmbeddingModel")
    with pytest.raises(DataError, match="has no parts"):
        explain(plain, same)
    with pytest.raises(DataError, match=r"cells: expected a whole number >= 1, got -1"):
        explain(model, source, cells=-1)
    with pytest.raises(DataError, match="none that can be drawn"):
        plot_explained({})


def test_the_verb_writes_tables_and_a_picture(full, tmp_path, capsys):
    model, _ = full
    save_embedding(model, tmp_path / "m")
    cells = tmp_path / "c.h5ad"
    world_cells = simulate(
        SimulationOptions(cells=30, genes=30, regulators=4, targets=4, pathways=4, hours=(6.0,))
    )
    world_cells.cells.write_h5ad(cells)
    words = ["explain", tmp_path / "m", "--data", cells, "--out", tmp_path / "x", "--by", "cell_type"]
    assert run(app, [str(word) for word in words]) == 0
    made = {path.name for path in (tmp_path / "x").iterdir()}
    assert {"parts.csv", "cells.csv", "genes.csv", "pathways.csv", "pathways_by.csv", "explained.png"} <= made
    assert len(pd.read_csv(tmp_path / "x" / "cells.csv", index_col="cell")) == 30
    capsys.readouterr()
    for words, said in (
        (["explain", tmp_path / "m", "--data", cells, "--out", tmp_path / "x"], "exists already"),
        (["explain", tmp_path / "m", "--data", cells, "--out", tmp_path / "y", "--by", "type"], "cell_type"),
        (["explain", tmp_path, "--data", cells, "--out", tmp_path / "y"], "manifest"),
        (
            ["explain", tmp_path / "m", "--data", cells, "--out", tmp_path / "y", "--perturbation", "A"],
            "--perturbation belongs to models of train --task perturbation",
        ),
    ):
        assert run(app, [str(word) for word in words]) == 2
        assert said in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "y").exists()
