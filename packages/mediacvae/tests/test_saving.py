"""Models on disk: the same answers in a new process, and damage told in one line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cytosol.bundle import BundleError, load_bundle, save_bundle
from mediacvae.conditions import Organism
from mediacvae.model import ConditionalMediaVAE
from mediacvae.saving import load, save

NEW = Organism(
    "new", "Haloferax rubra", "archaea", "Archaea;Euryarchaeota;Halobacteria;haloaceae", None, None
)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("saved") / "model"
    save(model, made)
    return made


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "model"))


def answers(model, conditions) -> dict[str, object]:
    condition = model.condition(NEW)
    made = model.expected(conditions)
    tried = model.tried(NEW, [("halo1", True), ("prot1", False)])
    return {
        "amount": made.amount.tolist(),
        "there": made.there.tolist(),
        "consensus": model.consensus(conditions).tolist(),
        "recipes": model.generate(condition, 4, seed=2).tolist(),
        "rank": model.rank(condition, 10).to_dict("list"),
        "tried": tried.to_dict("list"),
        "relatives": model.relatives(condition),
        "nearest": model.nearest(model.media[3]),
        "facts": model.facts,
    }


def plain(answer):
    return json.loads(json.dumps(answer))


CHILD = """
import json, sys, numpy as np, importlib.util
spec = importlib.util.spec_from_file_location("asked", sys.argv[3])
asked = importlib.util.module_from_spec(spec)
spec.loader.exec_module(asked)
from pathlib import Path
print(json.dumps(asked.answers(asked.load(Path(sys.argv[1])), np.load(sys.argv[2]))))
"""


def test_the_same_answers_in_a_new_process(model, dataset, folder, tmp_path):
    np.save(tmp_path / "c.npy", dataset.conditions)
    told = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), str(tmp_path / "c.npy"), __file__],
        check=True, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert json.loads(told.stdout) == plain(answers(model, dataset.conditions))


def test_everything_is_kept(model, folder):
    again = load(folder)
    assert again.config == model.config
    assert again.conditioner == model.conditioner
    assert again.share == model.share
    for name in ("media", "conditions", "pairs"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    pd.testing.assert_frame_equal(again.organisms, model.organisms, check_dtype=False)
    own = model.library[list(again.library.columns)]
    pd.testing.assert_frame_equal(again.library, own, check_dtype=False)
    assert again.growth.recipes == model.growth.recipes
    assert not any(p.requires_grad for p in again.vae.parameters())
    assert not again.vae.training


@pytest.mark.parametrize("kind", ["hierarchical", "spec", "base"])
def test_other_kinds(dataset, quick, tmp_path, kind):
    from mediacvae.training import fit  # not above: the new process does without it

    made = fit(
        dataset, replace(quick, model_type=kind, genus_dim=3, epochs=2), records=np.zeros(0, np.int64)
    )[0]
    save(made, tmp_path / "model")
    again = load(tmp_path / "model")
    assert (again.vae is None) == (kind == "base")
    assert again.growth is None
    np.testing.assert_array_equal(again.consensus(dataset.conditions), made.consensus(dataset.conditions))


def test_what_is_not_known_stays_unknown(model, tmp_path):
    conditions = model.conditions.copy()
    conditions[0, :3] = np.nan
    save(replace(model, conditions=conditions), tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").conditions, conditions)


def test_nothing_is_overwritten_unasked(model, copy):
    with pytest.raises(BundleError, match="already holds a model"):
        save(model, copy)
    save(replace(model, share=0.5), copy, force=True)
    assert load(copy).share == 0.5


# ---- damage


def refused(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_missing_files_are_told(copy, tmp_path):
    refused(tmp_path / "absent")
    (copy / "model.safetensors").unlink()
    assert "is missing; copy or download the whole directory again" in refused(copy)
    (copy / "manifest.json").unlink()
    refused(copy)


@pytest.mark.parametrize("place", [0, 9, 500, -1, -1000])
def test_a_single_bit_is_noticed(copy, place):
    file = copy / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[place] ^= 4
    file.write_bytes(data)
    refused(copy)


@pytest.mark.parametrize("size", [0, 10, -1])
def test_a_truncated_file_is_told(copy, size):
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    refused(copy)


def test_a_network_alone_is_no_model(model, tmp_path):
    model.vae.save(tmp_path / "net")
    assert "mediacvae.model" in refused(tmp_path / "net")


def test_the_network_of_a_model_is_read_from_its_folder(model, folder, copy, tmp_path):
    net = ConditionalMediaVAE.load(folder)
    assert net.options == model.vae.options
    np.testing.assert_array_equal(
        net.encode(model.media[:9], model.conditions[:9]),
        model.vae.encode(model.media[:9], model.conditions[:9]),
    )
    rewrite(copy, config={"latent_dim": 9})
    with pytest.raises(BundleError, match="do not fit"):
        ConditionalMediaVAE.load(copy)
    save(replace(model, vae=None), tmp_path / "base")
    with pytest.raises(
        BundleError, match=r"base: the model was trained without a network \(model_type=base\)$"
    ):
        ConditionalMediaVAE.load(tmp_path / "base")


def rewrite(folder: Path, config=None, extra=None, lacking=None) -> None:
    """The model as another program might have written it, whole in itself."""
    bundle = load_bundle(folder, kinds=["mediacvae.model"])
    told = {**bundle.extra, **(extra or {})}
    told.pop(lacking, None)
    save_bundle(
        folder, kind=bundle.kind, package="mediacvae", version="0", config={**bundle.config, **(config or {})},
        tensors=bundle.tensors, extra=told, force=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["settings", "blend", "odds", "facts", "share", "net"])
def test_a_manifest_that_lacks_something_is_told(copy, name):
    rewrite(copy, lacking=name)
    assert f"the manifest lacks '{name}'" in refused(copy)


@pytest.mark.parametrize(
    "extra",
    [
        {"settings": [1.0]},
        {"odds": 3},
        {"blend": "x"},
        {"share": []},
        {"net": {}},
        {"net": [1]},
        {"net": "x"},
    ],
)
def test_a_manifest_that_makes_no_sense_is_told(copy, extra):
    rewrite(copy, extra=extra)
    refused(copy)


@pytest.mark.parametrize(
    "config",
    [
        {"latent_dim": 9},
        {"latent_dim": "x"},
        {"model_type": "spec"},
        {"nonsense": 1},
        {"lr": -1},
        {"seed": None},
    ],
)
def test_settings_that_do_not_fit_are_told(copy, config):
    rewrite(copy, config=config)
    refused(copy)
