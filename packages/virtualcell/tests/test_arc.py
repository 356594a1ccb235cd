"""Weights of arc-state's embedding network: the same numbers, and one line for each thing that is wrong.

The names below are those that arc-state 0.11.1 prints; the last tests ask arc-state itself, where it is installed.
"""

from __future__ import annotations

import copy
import importlib.util
import warnings
from pathlib import Path

import pytest
import torch

from virtualcell import from_arc_state_dict
from virtualcell.state import StateEmbeddingModel

T, D, HEADS, HID, LAYERS, OUT, DATASETS = 12, 16, 4, 24, 2, 6, 5
B, N = 3, 7
PAIRS = {  # theirs: ours, their shape
    "cls_token": ("cls_token", (1, T)),
    "dataset_token": ("dataset_token", (1, T)),
    "encoder.0.weight": ("read.weight", (D, T)),
    "encoder.0.bias": ("read.bias", (D,)),
    "encoder.1.weight": ("norm.weight", (D,)),
    "encoder.1.bias": ("norm.bias", (D,)),
    "decoder.0.intermediate_dense.weight": ("decoder.up.weight", (2 * D, D)),
    "decoder.0.intermediate_dense.bias": ("decoder.up.bias", (2 * D,)),
    "decoder.0.dense.weight": ("decoder.down.weight", (D, 2 * D)),
    "decoder.0.dense.bias": ("decoder.down.bias", (D,)),
    "decoder.0.layer_norm.weight": ("decoder.norm.weight", (D,)),
    "decoder.0.layer_norm.bias": ("decoder.norm.bias", (D,)),
    "decoder.1.weight": ("decoder.last.weight", (OUT, D)),
    "decoder.1.bias": ("decoder.last.bias", (OUT,)),
    "bin_encoder.weight": ("bins.vectors.weight", (10, D)),
    "count_encoder.0.weight": ("bins.hidden.weight", (512, 1)),
    "count_encoder.0.bias": ("bins.hidden.bias", (512,)),
    "count_encoder.2.weight": ("bins.logits.weight", (10, 512)),
    "count_encoder.2.bias": ("bins.logits.bias", (10,)),
    "dataset_encoder.0.weight": ("dataset_head.0.weight", (D, OUT)),
    "dataset_encoder.0.bias": ("dataset_head.0.bias", (D,)),
    "dataset_encoder.2.weight": ("dataset_head.2.weight", (D,)),
    "dataset_encoder.2.bias": ("dataset_head.2.bias", (D,)),
    "dataset_encoder.4.weight": ("dataset_head.3.weight", (DATASETS, D)),
    "dataset_encoder.4.bias": ("dataset_head.3.bias", (DATASETS,)),
}
LAYER = {
    "qkv_proj.weight": ("qkv.weight", (3 * D, D)),
    "qkv_proj.bias": ("qkv.bias", (3 * D,)),
    "out_proj.weight": ("out.weight", (D, D)),
    "out_proj.bias": ("out.bias", (D,)),
    "norm1.weight": ("norm_attend.weight", (D,)),
    "norm1.bias": ("norm_attend.bias", (D,)),
    "norm2.weight": ("norm_feed.weight", (D,)),
    "norm2.bias": ("norm_feed.bias", (D,)),
    "linear1.weight": ("up.weight", (HID, D)),
    "linear1.bias": ("up.bias", (HID,)),
    "linear2.weight": ("down.weight", (D, HID)),
    "linear2.bias": ("down.bias", (D,)),
}
NAMES = PAIRS | {
    f"transformer_encoder.layers.{i}.{there}": (f"layers.{i}.{here}", shape)
    for i in range(LAYERS)
    for there, (here, shape) in LAYER.items()
}


def ours() -> StateEmbeddingModel:
    """A network with datasets and tokens of its own, every weight and layer norm drawn."""
    torch.manual_seed(0)
    net = StateEmbeddingModel(T, D, HEADS, HID, LAYERS, OUT, num_datasets=DATASETS).eval()
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name != "known_dataset.weight":  # what arc-state does not have starts at zero
                weight.add_(0.1 * torch.randn_like(weight))
    return net


def theirs(net: StateEmbeddingModel) -> dict[str, torch.Tensor]:
    """The state dict that arc-state would have of this network, its training heads with it."""
    own = net.state_dict()
    given = {there: own[here].reshape(shape).clone() for there, (here, shape) in NAMES.items()}
    given |= {
        f"gene_embedding_layer.{i}.{kind}": given[f"encoder.{i}.{kind}"].clone()
        for i in (0, 1)
        for kind in ("weight", "bias")
    }
    return given | {
        "binary_decoder.2.bias": torch.zeros(1),
        "dataset_embedder.weight": torch.zeros(10, OUT),
        "pe_embedding.weight": torch.zeros(20, T),
    }


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    src = torch.randn(B, N, T, generator=generator)
    src[:, 0] = 0
    return {
        "src": src,
        "mask": torch.ones(B, N, dtype=torch.bool),
        "counts": torch.randint(0, 2000, (B, N), generator=generator).float(),
    }


def test_a_network_comes_back_from_its_names_there() -> None:
    net = ours()
    back = from_arc_state_dict(theirs(net), nhead=HEADS, own_tokens=True)
    assert back.config() == net.config()
    assert not back.training
    for name, weight in net.state_dict().items():
        assert torch.equal(back.state_dict()[name], weight), name
    for found, expected in zip(back(**batch()), net(**batch()), strict=True):
        assert torch.equal(found, expected)


def test_tokens_in_src_are_the_tokens_kept() -> None:
    net, given = ours(), batch()
    back = from_arc_state_dict(theirs(net), nhead=HEADS)
    cls, dataset = net.state_dict()["cls_token"], net.state_dict()["dataset_token"]
    src = torch.cat([cls.expand(B, 1, T), given["src"][:, 1:], dataset.expand(B, 1, T)], 1)
    found = back(src, torch.ones(B, N + 1, dtype=torch.bool), given["counts"])
    expected = net(**given)
    torch.testing.assert_close(found[0][:, :N], expected[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1], expected[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[2], expected[2], atol=1e-5, rtol=1e-5)


def test_the_given_weights_stay_their_own() -> None:
    given = theirs(ours())
    back = from_arc_state_dict(given, nhead=HEADS)
    given["encoder.0.weight"].zero_()
    assert bool(back.read.weight.any())


def without(*starts: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in theirs(ours()).items() if not key.startswith(starts)}


def test_without_datasets_there_is_no_token_of_them() -> None:
    back = from_arc_state_dict(without("dataset_"), nhead=HEADS)
    assert back.config()["num_datasets"] is None
    assert back(**batch())[2] is None


def test_without_counts_they_say_nothing() -> None:
    back = from_arc_state_dict(without("bin_encoder", "count_encoder"), nhead=HEADS, own_tokens=True)
    given = batch()
    assert torch.equal(back(**given)[0], back(given["src"], given["mask"])[0])


@pytest.mark.parametrize("key", NAMES)
def test_a_missing_key_is_named(key) -> None:
    given = theirs(ours())
    del given[key]
    with pytest.raises(ValueError, match=f"^{key}: missing") as error:
        from_arc_state_dict(given, nhead=HEADS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", NAMES)
def test_a_misshaped_key_is_named(key) -> None:
    given = theirs(ours())
    given[key] = given[key][..., None]
    with pytest.raises(ValueError, match=r": expected .*got .*1\)") as error:
        from_arc_state_dict(given, nhead=HEADS)
    assert str(error.value).startswith(f"{key}: ")
    assert "\n" not in str(error.value)


REFUSED = [
    ({"encoder.3.weight": torch.zeros(2)}, "encoder.3.weight: unknown"),
    ({"transformer_encoder.layers.0.extra.bias": torch.zeros(2)}, "layers.0.extra.bias: unknown"),
    ({"transformer_encoder.layers.7.norm1.bias": torch.zeros(D)}, "layers.2.qkv_proj.weight: missing"),
    ({"_orig_mod.cls_token": torch.zeros(1, T)}, "_orig_mod.cls_token: unknown"),
    ({"encoder.1.bias": torch.full((D,), float("nan"))}, "encoder.1.bias: holds NaN"),
    ({"encoder.1.bias": [0.0] * D}, "encoder.1.bias: expected a tensor"),
    ({"gene_embedding_layer.0.bias": torch.zeros(D)}, "gene_embedding_layer.0.bias: expected the same"),
    ({"state_dict": {}}, "a whole checkpoint"),
]


@pytest.mark.parametrize(("wrong", "told"), REFUSED)
def test_what_does_not_fit_is_refused(wrong, told) -> None:
    with pytest.raises(ValueError, match=told) as error:
        from_arc_state_dict(theirs(ours()) | wrong, nhead=HEADS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "told"), [({"nhead": 3}, "d_model: expected"), ({"norm_first": True}, "no option")]
)
def test_bad_words_are_refused(words, told) -> None:
    with pytest.raises(ValueError, match=told):
        from_arc_state_dict(theirs(ours()), **({"nhead": HEADS} | words))


# --- beside arc-state itself, which this project does not depend on ---


def arc(**over):
    """arc-state's own network, small, every weight drawn."""
    if importlib.util.find_spec("state") is None:
        pytest.skip("arc-state is not here: install it beside this package in an environment of its own")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import state
        from omegaconf import OmegaConf
        from state.emb.nn.model import StateEmbeddingModel as Theirs

        cfg = copy.deepcopy(OmegaConf.load(Path(state.__path__[0]) / "configs/state-defaults.yaml"))
        for word, value in over.items():
            cfg.model[word] = value
        torch.manual_seed(0)
        net = Theirs(T, D, HEADS, HID, LAYERS, OUT, cfg=cfg).eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return net


OVER = [{}, {"dataset_correction": False}, {"counts": False}, {"rda": False}]


@pytest.mark.parametrize(
    ("over", "counted"),
    [
        (over, counted)
        for over in OVER
        for counted in (False, True)
        if over.get("counts", True) or not counted
    ],
)
def test_arc_state_says_the_same(over, counted) -> None:
    net = arc(**over)
    back, given = from_arc_state_dict(net.state_dict(), nhead=HEADS), batch()
    src = torch.randn(B, N, T, generator=torch.Generator().manual_seed(3))
    datasets = back.config()["num_datasets"]
    assert (datasets is None) == (over.get("dataset_correction") is False)
    counts = (given["counts"] if datasets is None else given["counts"][:, :-1]) if counted else None
    with torch.no_grad():
        expected, found = net(src, given["mask"], counts), back(src, given["mask"], counts)
        for x, y in zip(found[:2], expected[:2], strict=True):
            torch.testing.assert_close(x, y, atol=1e-5, rtol=0)
        assert (expected[2] is None) == (found[2] is None)
        if datasets is not None:
            torch.testing.assert_close(found[2], expected[2], atol=1e-5, rtol=0)
            logits = net.dataset_encoder(expected[2])
            torch.testing.assert_close(back.dataset_logits(found[2]), logits, atol=1e-5, rtol=0)


def test_arc_state_with_its_tokens_kept_here() -> None:
    net, given = arc(), batch()
    back = from_arc_state_dict(net.state_dict(), nhead=HEADS, own_tokens=True)
    src = torch.cat(
        [net.cls_token.expand(B, 1, T), given["src"][:, 1:], net.dataset_token.expand(B, 1, T)], 1
    )
    with torch.no_grad():
        expected = net(src, torch.ones(B, N + 1, dtype=torch.bool), given["counts"])
        found = back(**given)
    torch.testing.assert_close(found[0], expected[0][:, :N], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], expected[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[2], expected[2], atol=1e-5, rtol=0)
