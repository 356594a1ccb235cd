"""What is the same in all four libraries: options, keys, errors, exit codes, bundles, schedule, seed."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from cytosol import cli

NAMES = ["mediacvae", "o2diffusion", "stedm", "virtualcell"]
WORDS = {  # of `train`, without --out: none of these files need be there for what is asked here
    "mediacvae": ["--dataset", "dataset"],
    "o2diffusion": ["--data", "data.csv"],
    "stedm": ["--data", "tissue.h5ad"],
    "virtualcell": ["--data", "cells.h5ad", "--task", "embedding"],
}
USES = {  # a verb that opens a model
    "mediacvae": ["rank", "{model}", "--genome", "g.fna", "--out", "ranks.csv"],
    "o2diffusion": ["impute", "{model}", "--data", "data.csv", "--out", "filled.csv"],
    "stedm": ["reconstruct", "{model}", "--data", "tissue.h5ad", "--out", "placed.h5ad"],
    "virtualcell": ["embed", "{model}", "--data", "cells.h5ad", "--out", "embedded.h5ad"],
}
KINDS = {
    "mediacvae": "mediacvae.vae_file:WHOLE",
    "o2diffusion": "o2diffusion.oxygen_model:KIND",
    "stedm": "stedm.saving:KIND",
    "virtualcell": "virtualcell.saving:KIND",
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(name: str, *words: str) -> int:
    return cli.run(importlib.import_module(f"{name}.cli").app, list(words))


def train(name: str, *words: str) -> int:
    return run(name, "train", *WORDS[name], "--out", "model", *words)


def line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr; nothing on stdout."""
    told = capsys.readouterr()
    assert told.out == ""
    (only,) = told.err.splitlines()
    return only


@pytest.mark.parametrize("name", NAMES)
def test_train_takes_the_same_options_of_the_same_kind(name: str) -> None:
    app = importlib.import_module(f"{name}.cli").app
    (verb,) = (info.callback for info in app.registered_commands if info.name == "train")
    found = inspect.signature(verb, eval_str=True).parameters
    shared = {"config": cli.ConfigFile, "seed": cli.Seed, "device": cli.Device, "resume": cli.Resume}
    shared |= {"force": cli.Force, "overrides": cli.Overrides}
    assert {word: found[word].annotation for word in shared} == shared


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layer", ["command line", "file"])
def test_a_wrong_key_is_refused_by_layer_key_and_nearest_right(
    name: str, layer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if layer == "file":
        Path("mine.yaml").write_text("trainer:\n  devces: 2\n")
        code = train(name, "--config", "mine.yaml")
    else:
        code = train(name, "trainer.devces=2")
    told = line(capsys)
    assert code == 2
    assert told.startswith(f"{name}: ")
    for part in (
        "mine.yaml" if layer == "file" else layer,
        "trainer.devces",
        "did you mean 'trainer.devices'?",
    ):
        assert part in told
    assert not Path("model").exists()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("trainer.devices=0", "trainer.devices = 0: expected a whole number, 1 or more"),
        ("trainer.strategy=fsdp", "trainer.strategy = 'fsdp': expected devices or nodes above 1"),
        ("trainer.strategy=dpp", "trainer.strategy"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(
    name: str, word: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(name, word) == 2
    assert told in line(capsys)


@pytest.mark.parametrize("name", NAMES)
def test_exit_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--version") == 0
    assert capsys.readouterr().out.startswith(f"{name} ")
    assert run(name, "nosuchverb") == 2
    line(capsys)
    assert train(name, "--seed", "-1") == 2
    line(capsys)
    assert train(name, "--resume", "--force") == 2
    line(capsys)
    assert train(name) == 2
    assert WORDS[name][1] in line(capsys)  # the file that is not there
    Path("model").mkdir(exist_ok=True)
    Path("model/something").write_text("")
    assert train(name) == 2
    assert "--force" in line(capsys)


@pytest.mark.parametrize(("owner", "other"), list(itertools.permutations(NAMES, 2)))
def test_a_bundle_of_one_library_is_refused_by_the_others_by_name(
    owner: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from cytosol.bundle import save_bundle

    module, _, constant = KINDS[owner].partition(":")
    kind = getattr(importlib.import_module(module), constant)
    save_bundle(
        "foreign",
        kind=kind,
        package=owner,
        version="0.1.0",
        config={},
        tensors={"w": torch.ones(2)},
        extra={},
    )
    assert run(other, *(word.format(model="foreign") for word in USES[other])) == 2
    told = line(capsys)
    assert f"'{kind}' of {owner}" in told
    assert "open it with the package that wrote it" in told


def test_there_is_one_optimizer_one_step_of_randomness_and_one_fit() -> None:
    from cytosol import trainer

    users = {"mediacvae": "training_vae", "o2diffusion": "training", "stedm": "training_encoder"}
    users["virtualcell"] = "training_response"
    for package, module in users.items():
        found: Any = importlib.import_module(f"{package}.{module}")
        assert found.adamw is trainer.adamw
        assert found.step_generator is trainer.step_generator
        assert found.fit is trainer.fit


def weights(folder: str) -> dict[str, str]:
    """Tensors of a bundle, as hashes of what the manifest calls its files."""
    files = json.loads((Path(folder) / "manifest.json").read_text())["files"]
    return {name: hashlib.sha256((Path(folder) / name).read_bytes()).hexdigest() for name in files}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_one_seed_gives_the_same_model_twice_and_another_another(name: str) -> None:
    from cytosol.testing import imported

    flows = imported(Path(__file__).with_name("flows.py"))
    for words in flows.FLOWS[name].prepare:
        assert run(name, *words) == 0
    for out, seed in {"one": "1", "same": "1", "other": "2"}.items():
        assert run(name, *flows.train(name, out, "--seed", seed)) == 0
    assert list(weights("one").values()) == list(weights("same").values())
    assert list(weights("one").values()) != list(weights("other").values())
