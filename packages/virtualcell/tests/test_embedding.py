"""Models that embed cells: what they learn, resumed, saved and loaded, and what is refused."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pytest
import torch
from scipy import sparse

from cytosol.bundle import BundleError
from cytosol.cli import run
from cytosol.manifest import dump_manifest
from cytosol.testing import imported
from virtualcell.cli import app
from virtualcell.coexpression import coexpression_vectors
from virtualcell.embedding import EmbeddingModel, fit_embedding, made_loader, made_net, moments
from virtualcell.faults import DataError
from virtualcell.loaders import loader_for
from virtualcell.models import MODELS
from virtualcell.saving import load_embedding, save_embedding
from virtualcell.settling import settle
from virtualcell.simulation import simulate
from virtualcell.sources import open_cells
from virtualcell.training import EmbeddingTraining, apart

PROGRAM = Path(__file__).with_name("two_processes.py")
program = imported(PROGRAM)


@pytest.fixture(scope="module")
def world():
    return simulate(program.WORLD)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    return program.trained(tmp_path_factory.mktemp("fit") / "run", 1)


def typed(cells=400, genes=60, types=4, *, seed=0):
    """Shallow cells of types that differ in the rates of all genes."""
    random = np.random.default_rng(seed)
    rates = random.gamma(0.5, size=(types, genes))
    rates = 0.5 * rates / rates.sum(1, keepdims=True) + 0.5 / genes
    label = random.integers(types, size=cells)
    depth = random.lognormal(np.log(60), 0.5, size=(cells, 1))
    counts = random.poisson(rates[label] * depth).astype(np.float32)
    counts[:, 0] += 1
    made = anndata.AnnData(sparse.csr_matrix(counts))
    made.obs["type"], made.obs["batch"] = label.astype(str), (np.arange(cells) % 2).astype(str)
    made.var_names = [f"g{j}" for j in range(genes)]
    return made


def nearest_agree(embedding, labels, k=10):
    distance = ((embedding[:, None] - embedding[None]) ** 2).sum(-1)
    np.fill_diagonal(distance, np.inf)
    near = distance.argsort(1)[:, :k]
    return (labels[near] == labels[:, None]).mean()


def test_training_lowers_the_loss_of_hidden_counts_below_that_of_the_mean_cell(tmp_path):
    cells = typed()
    config = dataclasses.replace(
        program.CONFIG, genes=60, objective=dataclasses.replace(program.CONFIG.objective, max_tokens=60)
    )
    trainer = dataclasses.replace(config.trainer, max_steps=60, batch_size=32, log_every=10, device="cpu")
    model = fit_embedding(cells, dataclasses.replace(config, trainer=trainer), out=tmp_path)
    module = EmbeddingTraining(
        model.net,
        dataclasses.replace(config.objective, token_weight=0.0),
        reads=(),
        target_sum=1e4,
        seed=9,
        steps=1,
    )
    batch = model.loader(open_cells(cells).__getitems__(np.arange(200)))
    with torch.no_grad():
        trained = float(module.loss(batch, step=0))
        model.net.loadings.weight.zero_()
        alone = float(module.loss(batch, step=0))
    assert trained < alone - 0.01
    labels = cells.obs["type"].to_numpy()
    plain = np.asarray(np.log1p(cells.X.toarray() / cells.X.sum(1) * 1e3))
    assert nearest_agree(model.embed(cells), labels) > nearest_agree(plain, labels) + 0.1


def test_a_fresh_network_gives_principal_components_and_the_cell_model_comes_in_by_its_gate(fitted, world):
    config = dataclasses.replace(program.CONFIG, genes=30)
    source = open_cells(world.cells)
    loader = made_loader(source, config, {}, None)
    net = made_net(loader, config, *moments(source, loader, config))
    model = EmbeddingModel(net.eval(), loader, config, {})
    values = np.log1p(world.cells.X.toarray() / world.cells.X.sum(1) * 1e3)
    values = np.asarray(values - values.mean(0))
    u, size, _ = np.linalg.svd(values, full_matrices=False)
    want = u[:, :6] * size[:6]
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    found = model.embed(source)
    np.testing.assert_allclose(np.abs((found * want).sum(0)), (want**2).sum(0), rtol=0.02)
    assert float(fitted[0].net.gate.abs().max()) > 0
    with torch.no_grad():
        net.gate.fill_(1.0)
    assert np.abs(model.embed(source) - found).max() > 0.01


def test_embeddings_are_of_cells_alone_in_any_block_and_order(fitted):
    model, cells = fitted
    whole = model.embed(cells)
    assert whole.shape == (len(cells), 6)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(model.embed(cells, block=7), whole, atol=1e-5)


def test_genes_in_another_order_and_more_of_them_change_nothing(fitted, world):
    model, cells = fitted
    turned = world.cells[:, ::-1].copy()
    np.testing.assert_allclose(model.embed(turned), model.embed(cells), atol=1e-5)


def test_cells_as_they_are_embedded_are_cells_of_which_nothing_is_hidden(fitted):
    model, cells = fitted
    batch = model.loader(cells.__getitems__(np.arange(20)))
    want = torch.log1p(batch["raw_counts"] * 1e3 / batch["total_counts"][:, None])
    torch.testing.assert_close(batch["counts"], want)
    with torch.no_grad():
        found = model.net.embedding(model.seen(batch, np.ones(24, dtype=bool)))
    np.testing.assert_allclose(model.embed(cells)[:20], found.numpy(), atol=1e-5)


def test_log_values_are_embedded_as_their_counts(fitted, world):
    model, cells = fitted
    logs = world.cells.copy()
    logs.X = sparse.csr_matrix(np.log1p(logs.X.toarray() / logs.X.sum(1) * 1e4), dtype=np.float32)
    assert open_cells(logs).about.kind == "log"
    np.testing.assert_allclose(model.embed(logs), model.embed(cells), atol=1e-4)


def test_coexpression_vectors_are_loadings(world):
    cells = open_cells(world.cells).sample(1000)
    values = np.log1p(cells.counts.toarray() / cells.counts.sum(1) * 1e4)
    values = np.asarray(values - values.mean(0))
    made = coexpression_vectors(cells, np.arange(30), 30, target_sum=1e4)
    want = values.T @ values
    np.testing.assert_allclose(made @ made.T, want * (30 / np.trace(want)), atol=1e-4)
    wide = coexpression_vectors(cells, np.arange(30), 40, target_sum=1e4)
    assert (wide[:, 30:] == 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_with_parts_learns_with_its_annotations(name, world, tmp_path):
    world.write(tmp_path / "w")
    steps = {step.name for step in loader_for(name).steps}
    files = {"pathways": "pathways.gmt", "network": "network.tsv", "compartments": "compartments.tsv"}
    kinds = {"pathways": {"pathway", "scale"}, "network": {"regulatory"}, "compartments": {"compartment"}}
    files = {word: file for word, file in files.items() if kinds[word] & steps}
    objective = dataclasses.replace(program.CONFIG.objective, token_weight=0.1)
    config = dataclasses.replace(program.CONFIG, model=name, objective=objective)
    trainer = dataclasses.replace(config.trainer, max_steps=3, batch_size=8, device="cpu")
    model = fit_embedding(
        world.cells,
        dataclasses.replace(config, trainer=trainer),
        out=tmp_path / "run",
        annotations={word: tmp_path / "w" / file for word, file in files.items()},
    )
    assert type(model.net.cell) is MODELS[name]
    assert all(float(gate.abs().max()) > 0 for gate in model.net.cell.gates.values())
    save_embedding(model, tmp_path / "m")
    np.testing.assert_array_equal(load_embedding(tmp_path / "m").embed(world.cells), model.embed(world.cells))


def test_what_the_loss_does_not_reach_is_left_out_of_training(world):
    config = dataclasses.replace(program.CONFIG, model="HierarchicalGeneModel")  # without any pathways
    source = open_cells(world.cells)
    loader = made_loader(source, config, {}, None)
    net = made_net(loader, config, *moments(source, loader, config))
    module = EmbeddingTraining(net, config.objective, reads=net.cell.reads, target_sum=1e3, seed=0, steps=1)
    few = loader(source.__getitems__(np.arange(8)))
    settle(module, lambda: module.loss(few, step=0))
    left = {name for name, p in net.named_parameters() if not p.requires_grad}
    assert {"token_rate.weight", "token_rate.bias"} <= left
    assert not {"vectors", "pool", "gate", "log_rate", "cell.read.weight"} & left
    module.loss(loader(source.__getitems__(np.arange(8, 16))), step=1).backward()
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)


def test_a_run_that_is_resumed_ends_as_one_that_was_not_stopped(fitted, tmp_path):
    model, cells = fitted
    fit_embedding(cells, model.config, out=tmp_path)
    last = max((tmp_path / "checkpoints").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    last.unlink()
    again = fit_embedding(cells, model.config, out=tmp_path, resume=True)
    assert again.facts["steps"] == 8
    for name, weight in model.net.state_dict().items():
        torch.testing.assert_close(again.net.state_dict()[name], weight, rtol=0, atol=0)


def test_a_model_loaded_in_a_new_process_gives_the_same_bits(fitted, world, tmp_path):
    model, cells = fitted
    save_embedding(model, tmp_path / "m")
    world.cells.write_h5ad(tmp_path / "cells.h5ad")
    code = (
        "import sys, numpy as np; from virtualcell import load_embedding\n"
        "np.save(sys.argv[3], load_embedding(sys.argv[1]).embed(sys.argv[2]))"
    )
    words = [sys.executable, "-c", code, tmp_path / "m", tmp_path / "cells.h5ad", tmp_path / "e.npy"]
    subprocess.run(words, check=True, env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())})
    np.testing.assert_array_equal(np.load(tmp_path / "e.npy"), model.embed(cells))
    files = {path.suffix for path in (tmp_path / "m").rglob("*") if path.is_file()}
    assert files == {".json", ".safetensors"}


def test_models_of_another_kind_and_damaged_ones_are_refused_in_one_line(fitted, tmp_path):
    model, _ = fitted
    good = save_embedding(model, tmp_path / "m")
    with pytest.raises(BundleError, match="already holds a model"):
        save_embedding(model, good)

    def refused(words, change):
        folder = tmp_path / "bad"
        subprocess.run(["rm", "-rf", folder], check=True)
        subprocess.run(["cp", "-r", good, folder], check=True)
        change(folder)
        with pytest.raises(BundleError, match=words) as told:
            load_embedding(folder)
        assert "\n" not in str(told.value)

    def manifest(folder, **changes):
        told = json.loads((folder / "manifest.json").read_text()) | changes
        told.pop("sha256", None)
        (folder / "manifest.json").write_bytes(dump_manifest(told))

    refused("is not one of virtualcell.embedding", lambda f: manifest(f, kind="stedm.model"))
    refused("no_such", lambda f: manifest(f, config={"no_such": 1}))
    refused("do not fit", lambda f: manifest(f, config={"genes": 24, "network": {"d_model": 32}}))
    refused("loader", lambda f: subprocess.run(["rm", "-rf", f / "loader"], check=True))
    refused("damaged|bytes", lambda f: next(f.glob("*.safetensors")).write_bytes(b"x" * 99))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError):
        load_embedding(tmp_path / "empty")


def test_half_precision_is_near_single(fitted):
    model, cells = fitted
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model.embed(cells)
    assert np.isfinite(half).all()
    assert (half * model.embed(cells)).sum(1).min() > 0.99
    module = EmbeddingTraining(model.net, model.config.objective, reads=(), target_sum=1e3, seed=0, steps=1)
    batch = model.loader(cells.__getitems__(np.arange(40)))
    with torch.no_grad():
        single = float(module.loss(batch, step=0))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert abs(float(module.loss(batch, step=0)) - single) < 0.01 * single
    model.net.eval()


def test_the_mixing_loss_is_the_distance_of_batches_and_brings_them_together(tmp_path):
    z = torch.nn.functional.normalize(torch.randn(40, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    same = torch.arange(40) % 2
    assert float(apart(z, (z[:, 0] > 0).long())) > 0.3 + float(apart(z, same))
    assert float(apart(z, torch.zeros(40, dtype=torch.long))) == 0

    cells = typed()
    counts = cells.X.toarray()
    counts[1::2, 1:4] = 8.0  # a response of all types in the second batch
    cells.X = sparse.csr_matrix(counts)
    objective = dataclasses.replace(program.CONFIG.objective, max_tokens=60)
    trainer = dataclasses.replace(program.CONFIG.trainer, max_steps=30, batch_size=32, device="cpu")
    config = dataclasses.replace(program.CONFIG, genes=60, batch_key="batch", trainer=trainer)
    found = {}
    for weight in (0.0, 1.0):
        chosen = dataclasses.replace(config, objective=dataclasses.replace(objective, mixing_weight=weight))
        model = fit_embedding(cells, chosen, out=tmp_path / f"{weight}")
        found[weight] = nearest_agree(model.embed(cells), cells.obs["batch"].to_numpy())
    assert found[1.0] < found[0.0] - 0.1
    del cells.obs["batch"]  # cells to embed need not say their batch
    assert len(model.embed(cells)) == len(cells)


def spoilt(cells, row, column, value):
    made = cells.copy()
    made.X = made.X.toarray()
    made.X[row, column] = value
    return made


def test_bad_cells_reach_the_user_in_one_line(fitted, world, tmp_path):
    model, _ = fitted
    cells = world.cells
    foreign = cells.copy()
    foreign.var_names = [f"other{i}" for i in range(cells.n_vars)]
    empty = spoilt(cells, 3, slice(None), 0)
    for bad, words in (
        (foreign, "gene"),
        (spoilt(cells, 2, 5, np.nan), "got nan"),
        (spoilt(cells, 2, 5, -1), "from 0 to"),
        (empty, "no count at all"),
        (cells[:0], "at least one cell"),
        (tmp_path / "absent.h5ad", "no such file"),
    ):
        with pytest.raises(DataError, match=words) as told:
            model.embed(bad)
        assert "\n" not in str(told.value)
    logs = cells.copy()
    logs.X = np.log1p(logs.X.toarray() * 0.37)
    with pytest.raises(DataError, match="expected counts to learn from"):
        fit_embedding(logs, program.CONFIG, out=tmp_path / "x")
    with pytest.raises(DataError, match="does not read them"):
        fit_embedding(cells, program.CONFIG, out=tmp_path / "x", annotations={"pathways": "p.gmt"})
    with pytest.raises(DataError, match="did you mean 'HierarchicalGeneModel'"):
        fit_embedding(
            cells, dataclasses.replace(program.CONFIG, model="HierarchicalGenModel"), out=tmp_path / "x"
        )
    assert not (tmp_path / "x").exists()


def test_one_cell_is_embedded_and_part_of_the_genes_is_enough(fitted, world):
    model, cells = fitted
    whole = model.embed(cells)
    np.testing.assert_allclose(model.embed(world.cells[5].copy()), whole[5:6], atol=1e-5)
    silent = world.cells.copy()
    silent.X = silent.X.toarray()
    kept = list(model.loader.features.genes)
    silent.X[7, [name in kept for name in silent.var_names]] = 0  # of the model's genes it expresses none
    silent.X[7, [name not in kept for name in silent.var_names]] = 1
    assert np.isfinite(model.embed(silent)).all()
    some = model.embed(world.cells[:, :20].copy())
    assert np.isfinite(some).all()
    assert np.abs(some - whole).max() > 1e-3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"visible": (0.9, 0.3)}, "visible"),
        ({"hidden_genes": 1.0}, "hidden_genes"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"token_weight": -1.0}, "token_weight"),
    ],
)
def test_settings_out_of_range_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(program.CONFIG.objective, **words)
    with pytest.raises(ValueError, match="batch_key"):
        dataclasses.replace(
            program.CONFIG, objective=dataclasses.replace(program.CONFIG.objective, mixing_weight=1.0)
        )


def test_train_and_embed_from_the_command_line(world, tmp_path, capsys):
    world.write(tmp_path / "w")
    data, out, made = tmp_path / "w" / "cells.h5ad", tmp_path / "m", tmp_path / "e.h5ad"
    sh = lambda *words: run(app, [str(word) for word in words])  # noqa: E731
    small = [
        "trainer.max_steps=3",
        "trainer.batch_size=8",
        "genes=24",
        "network.d_model=16",
        "network.nhead=2",
    ]
    task = ["--data", data, "--task", "embedding", "--model", "HierarchicalTemporalModel"]
    files = [
        "--pathways",
        tmp_path / "w" / "pathways.gmt",
        "--compartments",
        tmp_path / "w" / "compartments.tsv",
    ]
    assert sh("train", *task, *files, "--out", out, *small) == 0
    assert sh("embed", out, "--data", data, "--out", made) == 0
    found = anndata.read_h5ad(made)
    assert found.obsm["X_virtualcell"].shape == (world.cells.n_obs, 32)
    assert list(found.obs_names) == list(world.cells.obs_names)
    capsys.readouterr()
    for words, code, told in (
        (["train", *task, "--out", out, *small], 2, "exists already"),
        (["train", *task, "--control", "c", "--out", tmp_path / "n", *small], 2, "--control: belongs to"),
        (["train", *task, "--network", "n.tsv", "--out", tmp_path / "n", *small], 2, "does not read them"),
        (["embed", tmp_path / "w", "--data", data, "--out", tmp_path / "f.h5ad"], 2, "manifest"),
    ):
        assert sh(*words) == code
        said = capsys.readouterr().err.strip().splitlines()
        assert told in said[-1], said
