"""Every model takes what its loader gives: constructor words and batches, of cells simulated with all biology."""

from __future__ import annotations

import pytest
import torch

from virtualcell.loader_files import model_words
from virtualcell.loaders import LOADERS, loader_for
from virtualcell.models import MODELS
from virtualcell.network import read_network
from virtualcell.pathways import read_gene_sets
from virtualcell.simulation import simulate
from virtualcell.simulation_options import SimulationOptions
from virtualcell.sources import open_cells
from virtualcell.state import StateEmbeddingModel

SMALL = {
    "pathway_dim": 8,
    "temporal_dim": 6,
    "memory_size": 7,
    "noise_dim": 6,
    "resource_dim": 5,
    "molecular_scale_dim": 8,
    "pathway_scale_dim": 10,
    "cellular_scale_dim": 12,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    options = SimulationOptions(
        cells=40, genes=30, regulators=5, pathways=4, hours=(2.0, 6.0), memory=1.0, scarcity=1.0
    )
    return simulate(options).write(tmp_path_factory.mktemp("simulated") / "world")


@pytest.mark.parametrize("name", ["StateEmbeddingModel", *MODELS])
@pytest.mark.parametrize("tokens", ["all", "expressed"])
def test_a_model_reads_its_loader(folder, name, tokens) -> None:
    steps = {step.name for step in LOADERS[name].steps}
    files = {
        "pathway": {"pathway_annotation_file": read_gene_sets(folder / "pathways.gmt")},
        "compartment": {"compartment_annotation_file": folder / "compartments.tsv"},
        "regulatory": {"interaction_matrix_file": read_network(folder / "network.tsv")},
        "scale": {
            "pathway_annotation_file": read_gene_sets(folder / "pathways.gmt"),
            "num_pathway_groups": 4,
        },
    }
    words = {word: value for step in steps for word, value in files.get(step, {}).items()}
    source = open_cells(folder / "cells.h5ad")
    loader = loader_for(name)({"token_dim": 8, "tokens": tokens}, **words).fit(source)
    model = MODELS.get(name, StateEmbeddingModel)
    known = {word for part in getattr(model, "parts", ()) for word in part.Options.__dataclass_fields__}
    own = {word: value for word, value in SMALL.items() if word in known} | model_words(loader)
    torch.manual_seed(0)
    made = model(d_model=16, nhead=4, d_hid=20, nlayers=2, output_dim=6, **own)
    reads = getattr(made, "reads", ())
    given = loader.inputs(loader(source.__getitems__(list(range(6)))), reads)
    # of what parts read, a loader has all but a generator of noise
    assert set(reads) - set(given) <= {"generator"}
    for gate in getattr(made, "gates", {}).values():
        torch.nn.init.constant_(gate, 0.5)
    told = made(**given)
    assert told[0].shape == (*given["mask"].shape, 6)
    (told[0][given["mask"]].square().sum() + told[1].sum()).backward()
    gradients = {word: p.grad for word, p in made.named_parameters() if p.grad is not None}
    assert all(bool(grad.isfinite().all()) for grad in gradients.values())
    assert {word for word in made.state_dict() if "gates." in word} <= gradients.keys()
    assert all(bool(gradients[word].any()) for word in gradients if "gates." in word)
