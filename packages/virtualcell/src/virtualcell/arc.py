"""Weights of arc-state's embedding network in ours: the same numbers out, in a network that honours its mask.

Names and shapes are those that `state_dict()` of arc-state 0.11.1 tells; none of its code is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from virtualcell import checks
from virtualcell.state import StateEmbeddingModel

if TYPE_CHECKING:
    from collections.abc import Mapping

# modules there -> modules here
PLAIN = {
    "encoder.0": "read",
    "encoder.1": "norm",
    "decoder.0.intermediate_dense": "decoder.up",
    "decoder.0.dense": "decoder.down",
    "decoder.0.layer_norm": "decoder.norm",
    "decoder.1": "decoder.last",
}
LAYER = {
    "qkv_proj": "qkv",
    "out_proj": "out",
    "norm1": "norm_attend",
    "norm2": "norm_feed",
    "linear1": "up",
    "linear2": "down",
}
COUNTS = {"count_encoder.0": "bins.hidden", "count_encoder.2": "bins.logits", "bin_encoder": "bins.vectors"}
DATASETS = {
    "dataset_encoder.0": "dataset_head.0",
    "dataset_encoder.2": "dataset_head.2",
    "dataset_encoder.4": "dataset_head.3",
}
LAYERS, CLS, DATASET, TABLES = "transformer_encoder.layers.", "cls_token", "dataset_token", ("bin_encoder",)
# the same weights as the encoder's, under a second name
TWIN = {"gene_embedding_layer.0": "encoder.0", "gene_embedding_layer.1": "encoder.1"}
# heads of its own training objective, and a table of gene vectors: no part of the network
LEFT = ("binary_decoder.", "dataset_embedder.", "pe_embedding.")


def from_arc_state_dict(
    state_dict: Mapping[str, Tensor], *, nhead: int, own_tokens: bool = False, **words: Any
) -> StateEmbeddingModel:
    """A network in evaluation mode with the weights of arc-state's `StateEmbeddingModel`; unmasked it gives the same.

    state_dict: floats by name, of which their shapes tell the sizes (`encoder.0.weight` (d, t), `cls_token` (1, t)).
    nhead: its attention heads, which no shape tells. own_tokens: False takes `src` as it is made there, with the CLS
    vector in slot 0 and, where it knows datasets, the dataset's in the last (`counts` are then without that slot);
    True keeps these two vectors here, and `src` has zeros in slot 0 and no slot at the end. `words`: dropout,
    checkpointing, compile. A model of theirs without counts or datasets gives one whose counts say nothing until
    trained, or without datasets. What its training alone needs (`binary_decoder`, `dataset_embedder`) stays behind.
    Raises ValueError, in one line with the key, for one that is missing, unknown, misshaped or not finite.
    """
    checks.words(words, ("dropout", "checkpointing", "compile"), "from_arc_state_dict", "option")
    given = _tensors(state_dict)
    names = _names(given)
    _complete(given, names)
    model = StateEmbeddingModel(**_shape(given, nhead), **_options(given), own_tokens=own_tokens, **words)
    own = model.state_dict()
    if COUNTS["bin_encoder"] + ".weight" not in names.values():
        own[COUNTS["bin_encoder"] + ".weight"].zero_()
    for there, here in names.items():
        if here in own:
            own[here].copy_(_fitting(given, there, own[here]))
    for token in (CLS, DATASET):
        if token in given and not own_tokens:
            _fitting(given, token, torch.empty(given["encoder.0.weight"].shape[1]))
    _twins(given)
    return model.eval()


def _tensors(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries, each a tensor of finite numbers."""
    if "state_dict" in state_dict:
        checks.refuse("state_dict: this is a whole checkpoint; pass checkpoint['state_dict']")
    for key, value in state_dict.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            checks.refuse(f"{key}: expected a tensor of floats, got {type(value).__name__}")
        if not bool(value.isfinite().all()):
            checks.refuse(f"{key}: holds NaN or infinity")
    return dict(state_dict)


def _names(given: Mapping[str, Tensor]) -> dict[str, str]:
    """Every key that must be there, and what it is called here."""
    modules = dict(PLAIN)
    for i in range(max(_layers(given), 1)):
        modules |= {f"{LAYERS}{i}.{there}": f"layers.{i}.{here}" for there, here in LAYER.items()}
    names = {CLS: CLS}
    if _has(given, COUNTS):
        modules |= COUNTS
    if _has(given, DATASETS) or DATASET in given:
        modules |= DATASETS
        names[DATASET] = DATASET
    for there, here in modules.items():
        for kind in ("weight",) if there in TABLES else ("weight", "bias"):
            names[f"{there}.{kind}"] = f"{here}.{kind}"
    return names


def _layers(given: Mapping[str, Tensor]) -> int:
    return len({key.removeprefix(LAYERS).partition(".")[0] for key in given if key.startswith(LAYERS)})


def _has(given: Mapping[str, Tensor], modules: Mapping[str, str]) -> bool:
    return any(key.rpartition(".")[0] in modules for key in given)


def _complete(given: Mapping[str, Tensor], names: Mapping[str, str]) -> None:
    """Nothing is missing, nothing is unknown."""
    for key in names:
        if key not in given:
            checks.refuse(f"{key}: missing from the state dict of arc-state's embedding network")
    for key in given:
        if key not in names and key.rpartition(".")[0] not in TWIN and not key.startswith(LEFT):
            checks.refuse(f"{key}: unknown in a state dict of arc-state's embedding network")


def _shape(given: Mapping[str, Tensor], nhead: int) -> dict[str, int]:
    """The sizes that the shapes tell."""
    for key in ("encoder.0.weight", f"{LAYERS}0.linear1.weight", "decoder.1.weight"):
        if given[key].ndim != 2:
            checks.refuse(f"{key}: expected two axes, got shape {tuple(given[key].shape)}")
    d_model, token_dim = given["encoder.0.weight"].shape
    return {
        "token_dim": token_dim,
        "d_model": d_model,
        "nhead": nhead,
        "d_hid": len(given[f"{LAYERS}0.linear1.weight"]),
        "nlayers": _layers(given),
        "output_dim": len(given["decoder.1.weight"]),
    }


def _options(given: Mapping[str, Tensor]) -> dict[str, int]:
    last = given.get("dataset_encoder.4.bias")
    return {} if last is None else {"num_datasets": last.numel()}


def _fitting(given: Mapping[str, Tensor], key: str, own: Tensor) -> Tensor:
    """The tensor of a key in the shape of ours; a token may have an axis of 1 before it."""
    value = given[key]
    expected = (1, *own.shape) if key in (CLS, DATASET) else tuple(own.shape)
    if tuple(value.shape) != expected:
        checks.refuse(f"{key}: expected shape {expected}, got {tuple(value.shape)}")
    return value.reshape(own.shape)


def _twins(given: Mapping[str, Tensor]) -> None:
    """What stands there under two names is the same under both."""
    for key, value in given.items():
        module, _, kind = key.rpartition(".")
        if module not in TWIN:
            continue
        other = given.get(f"{TWIN[module]}.{kind}")
        if other is None or not torch.equal(value, other):
            checks.refuse(f"{key}: expected the same numbers as {TWIN[module]}.{kind}")
