"""A model on disk: comes back as it went, and every damage is refused in one line that names the file."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
from hashlib import sha256

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

import cytosol.bundle
from cytosol.bundle import BundleError, load_bundle, load_weights, read_manifest, save_bundle
from cytosol.manifest import MANIFEST, dump_manifest

CONFIG = {"width": 4, "names": ["a", "µM"], "rate": 0.1, "note": None}
EXTRA = {"mean": [0.1, 2.5e-7], "drugs": {"None": 0, "NA": 1}}


def write(path, **changes):
    tensors = {"w": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(7)}
    words = {
        "kind": "net",
        "package": "pkg",
        "version": "1.2.3",
        "config": CONFIG,
        "tensors": tensors,
        "extra": EXTRA,
    }
    return save_bundle(path, **(words | changes))


def refused(path, *words, kinds=("net",)):
    with pytest.raises(BundleError) as caught:
        load_bundle(path, kinds=kinds)
    message = str(caught.value)
    assert "\n" not in message
    assert ";" in message  # the half that says what to do
    for word in words:
        assert word in message
    return message


def rewrite(path, **changes):
    """Change the manifest as an author with a text editor and a hash tool could."""
    manifest = json.loads((path / MANIFEST).read_text()) | changes
    (path / MANIFEST).write_bytes(dump_manifest({k: v for k, v in manifest.items() if k != "sha256"}))


def swap_weights(path, data):
    """Put other weights under a manifest that vouches for them."""
    (path / "model.safetensors").write_bytes(data)
    entry = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    rewrite(path, files={"model.safetensors": entry})


def test_a_bundle_comes_back_as_it_went(tmp_path):
    root = write(tmp_path / "deep" / "model")
    bundle = load_bundle(str(root), kinds={"net": object})
    assert (bundle.kind, bundle.config, bundle.extra) == ("net", CONFIG, EXTRA)
    assert bundle.manifest["package_version"] == "1.2.3"
    assert bundle.tensors["w"].equal(torch.arange(6.0).reshape(2, 3))
    assert bundle.tensors["steps"].equal(torch.tensor(7))
    assert sorted(path.name for path in root.iterdir()) == [MANIFEST, "model.safetensors"]


def test_odd_tensors_are_stored(tmp_path):
    shared = torch.arange(4.0)
    odd = {
        "a": shared,
        "b": shared,
        "t": torch.ones(2, 3).T,
        "bf": torch.ones(2, dtype=torch.bfloat16),
        "empty": torch.zeros(0),
    }
    tensors = load_bundle(write(tmp_path / "m", tensors=odd), kinds=["net"]).tensors
    assert all(
        tensors[name].equal(value) and tensors[name].dtype == value.dtype for name, value in odd.items()
    )


def test_a_model_is_replaced_only_by_force_and_its_neighbours_stay(tmp_path):
    root = write(tmp_path / "m")
    (root / "history.csv").write_text("step\n")
    with pytest.raises(BundleError, match="already holds a model"):
        write(root)
    for value in (1.0, 2.0, 3.0):
        write(root, tensors={"w": torch.full((2,), value)}, force=True)
        assert load_bundle(root, kinds=["net"]).tensors["w"].tolist() == [value, value]
        assert len(list(root.iterdir())) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("old", [False, True], ids=["fresh", "replacing"])
@pytest.mark.parametrize("when", range(4))
def test_a_kill_leaves_the_old_model_or_the_new(tmp_path, when, old):
    """Killed before or after the weights (0, 1) or the manifest (2, 3) are in place."""
    root = tmp_path / "m"
    if old:
        write(root)
    new = {"w": torch.full((2,), 9.0)}
    child = os.fork()
    if not child:
        calls = []

        def deadly(path, data):
            for after in (False, True):
                if len(calls) == when:
                    (path.parent / f".{path.name}.1.part").write_bytes(data[: len(data) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                calls.append(after)
                if not after:
                    whole(path, data)

        whole = cytosol.bundle.write_atomically
        cytosol.bundle.write_atomically = deadly
        try:
            write(root, tensors=new, force=True)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    if when == 3:
        assert load_bundle(root, kinds=["net"]).tensors["w"].tolist() == [9.0, 9.0]
    elif old:
        assert load_bundle(root, kinds=["net"]).tensors["w"].shape == (2, 3)
    else:
        refused(root, "m is not a model: it has no manifest.json")
    write(root, tensors=new, force=True)
    assert len(list(root.iterdir())) == 2


def test_an_unfinished_training_is_told_from_what_is_no_model(tmp_path):
    (tmp_path / "m" / "runs" / "net" / "checkpoints").mkdir(parents=True)
    refused(tmp_path / "m", "training is unfinished", "--resume finishes it")
    write(tmp_path / "m" / "one")
    refused(tmp_path / "m", "is not a model")  # a folder of models
    assert load_bundle(write(tmp_path / "m"), kinds=["net"]).kind == "net"


def test_missing_and_truncated_files(tmp_path):
    refused(tmp_path / "nowhere", "nowhere is not a directory")
    refused(tmp_path, "is not a model")
    root = write(tmp_path / "m")
    weights = root / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-5])
    refused(root, str(weights), f"has {len(data) - 5} bytes")
    weights.unlink()
    refused(root, str(weights), "is missing")
    weights.mkdir()
    refused(root, str(weights), "is missing")


def test_a_flipped_bit_anywhere_is_noticed(tmp_path):
    root = write(tmp_path / "m")
    for name in ("model.safetensors", MANIFEST):
        file = root / name
        good = file.read_bytes()
        for place in range(0, len(good), 7):
            bad = bytearray(good)
            bad[place] ^= 1 << (place % 8)
            file.write_bytes(bad)
            refused(root, name)
        file.write_bytes(good)
    load_bundle(root, kinds=["net"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["format", "kind", "files", "tensors", "sha256", "x"]), inner, max_size=4
                )
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_no_manifest_brings_out_another_error(tmp_path, data):
    (tmp_path / MANIFEST).write_bytes(data)
    refused(tmp_path, MANIFEST)


def test_foreign_manifests(tmp_path):
    root = write(tmp_path / "m")
    good = (root / MANIFEST).read_bytes()
    for change, words in (
        ({"format": 2}, ["format 2", "upgrade cytosol"]),
        ({"format": 0}, ["format 0", "save the model again"]),
        ({"format": "1"}, ["no format number"]),
        ({"format": True}, ["no format number"]),
        ({"kind": 3}, ["'kind'", "str", "int"]),
        ({"config": []}, ["'config'", "dict", "list"]),
        ({"surprise": 1}, ["unknown key 'surprise'"]),
        ({"files": {}}, ["0 weight files"]),
        ({"files": {"../../w.safetensors": {"bytes": 1, "sha256": "0" * 64}}}, ["../../w.safetensors"]),
        ({"files": {"/etc/w.safetensors": {"bytes": 1, "sha256": "0" * 64}}}, ["/etc/w"]),
        ({"files": {"model.pkl": {"bytes": 1, "sha256": "0" * 64}}}, ["model.pkl"]),
        ({"files": {"w.safetensors": {"bytes": -1, "sha256": "0" * 64}}}, ["no usable size"]),
        ({"files": {"w.safetensors": {"bytes": 10**18, "sha256": "0" * 64}}}, ["is missing"]),
        ({"files": {"w.safetensors": 3}}, ["no usable size"]),
    ):
        (root / MANIFEST).write_bytes(good)
        rewrite(root, **change)
        refused(root, *words)
    for text in (
        b"",
        b"{",
        b"[]",
        b'{"format": 1, "format": 1}',
        b'{"format": NaN}',
        b"[" * 10**5,
        b"\xff\xfe",
    ):
        (root / MANIFEST).write_bytes(text)
        refused(root, MANIFEST)
    (root / MANIFEST).write_bytes(good.replace(b"0.1", b"0.2", 1))
    refused(root, "altered")
    (root / MANIFEST).write_bytes(good)
    refused(root, "'net' of pkg", "other, some", "the package that wrote it", kinds={"some", "other"})
    refused(root, "'net' of pkg", "pkg.some", "give a model of such a kind", kinds={"pkg.some"})


def test_weights_that_are_not_what_the_manifest_lists(tmp_path):
    w, steps = torch.arange(6.0).reshape(2, 3), torch.tensor(7)
    for index, (data, words) in enumerate(
        (
            (save({"w": w}), ["steps", "missing"]),
            (save({"w": w, "steps": steps, "more": w.clone()}), ["'more'", "not as in the manifest"]),
            (save({"w": w.T.contiguous(), "steps": steps}), ["'w'", "(3, 2)"]),
            (save({"w": w.double(), "steps": steps}), ["'w'", "float64"]),
            (save({"w": w / 0, "steps": steps}), ["'w'", "NaN or infinity"]),
            (pickle.dumps({"w": w}), ["is not a safetensors file"]),
            (b"", ["is not a safetensors file"]),
            ((10**15).to_bytes(8, "little") + b"{}", ["is not a safetensors file"]),
        )
    ):
        root = write(tmp_path / str(index))
        swap_weights(root, data)
        refused(root, str(root / "model.safetensors"), *words)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"tensors": {"w": torch.tensor([1.0, float("nan")])}}, "'w'"),
        ({"tensors": {"w": torch.tensor(float("inf"))}}, "'w'"),
        ({"tensors": {"w": 3.0}}, "belong in extra"),
        ({"tensors": {}}, "without tensors"),
        ({"extra": {"a": {"b": [1.0, float("nan")]}}}, "extra.a.b[1] is nan"),
        ({"extra": {"path": os.environ}}, "extra.path is a _Environ"),
        ({"config": {"sigma": torch.tensor(1.0)}}, "config.sigma is a Tensor"),
        ({"config": {3: 1}}, "keys that are not str"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_the_old_model_stays(tmp_path, changes, word):
    root = write(tmp_path / "m")
    before = {path.name: path.read_bytes() for path in root.iterdir()}
    with pytest.raises(BundleError) as caught:
        write(root, force=True, **changes)
    assert word in str(caught.value)
    assert {path.name: path.read_bytes() for path in root.iterdir()} == before


def test_the_manifest_is_read_without_torch_and_without_weights(tmp_path):
    root = write(tmp_path / "m")
    (root / "model.safetensors").unlink()
    assert read_manifest(root)["tensors"] == {
        "w": {"dtype": "float32", "shape": [2, 3]},
        "steps": {"dtype": "int64", "shape": []},
    }


def test_a_read_only_model_is_read(tmp_path):
    root = write(tmp_path / "m")
    for path in (*root.iterdir(), root):
        path.chmod(0o555)
    try:
        assert load_bundle(root, kinds=["net"]).kind == "net"
    finally:
        root.chmod(0o755)


def test_compiled_and_plain_modules_exchange_weights(tmp_path):
    plain, compiled = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2))
    compiled[0] = torch.compile(compiled[0])
    assert "0._orig_mod.weight" in compiled.state_dict()
    root = write(tmp_path / "m", tensors=compiled.state_dict())
    tensors = load_bundle(root, kinds=["net"]).tensors
    assert sorted(tensors) == ["0.bias", "0.weight"]
    load_weights(nn.Sequential(plain), tensors)
    assert plain.weight.equal(compiled[0].weight)
    load_weights(compiled, {"0.weight": torch.zeros(2, 2), "0.bias": torch.ones(2)})
    assert not compiled[0].weight.any()
