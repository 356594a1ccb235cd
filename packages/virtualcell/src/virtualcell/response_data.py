"""Rows that a response network learns from and predicts: features, what a baseline says, and what came of it.

A row is a population, or a cell; or a set of cells that are one population together. Letters: N rows, c cells of a set,
n tokens (slot 0 the CLS), f features, m real cells, b rows of a batch, k draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from virtualcell import checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtualcell.response_net import ResponseNet

Batch = dict[str, Tensor]
OF_GENES = ("src", "mask", "counts", "gene_ids", "pathway_ids", "compartment_ids", "gene_types", "tf_mask",
            "target_mask", "pathway_groups")  # fmt: skip
OF_CELLS = (
    "time_steps",
    "previous_states",
    "previous_energy_state",
    "previous_resource_state",
    "dataset_nums",
)
ANSWERS = ("baseline", "target", "weight", "cells")
INPUTS = (*OF_GENES, *OF_CELLS)


class ResponseData(Dataset[Batch]):
    """Rows by number, from plain tensors with the rows first.

    Needed are src (N, n, f) and mask (N, n) bool; every other word is optional: inputs of the network (counts,
    pathway_ids, time_steps, ...), baseline (N, n) that the network adds to, target (N, n) to be reached by the mean,
    weight (N, n) or (N,) of a target, cells (N, m, n) real cells (NaN in rows of fewer: whole cells). With src
    (N, c, n, f) a row is a set of c cells, and all inputs and the baseline have the axis c after N. Raises ValueError.
    """

    def __init__(self, **tensors: Tensor) -> None:
        checks.words(tensors, (*INPUTS, *ANSWERS), type(self).__name__, "word")
        for word in ("src", "mask"):
            if word not in tensors:
                checks.refuse(f"ResponseData: {word} is needed")
        shape = tensors["mask"].shape
        if tensors["src"].ndim not in (3, 4) or tensors["src"].shape[:-1] != shape:
            found = tuple(tensors["src"].shape)
            checks.refuse(
                f"src: expected (rows, tokens, features) or a set more, for a mask {tuple(shape)}, got {found}"
            )
        row = (*shape[:1], *shape[-1:])
        expected = {"baseline": shape, "target": row}
        for word, x in tensors.items():
            if x.shape[0] != shape[0]:
                checks.refuse(f"{word}: expected {shape[0]} rows, got {x.shape[0]}")
            fits = (
                x.shape == expected[word]
                if word in expected
                else word not in OF_GENES or x.shape[: len(shape)] == shape
            )
            fits = fits and (word != "weight" or x.shape in (row, row[:1]))
            fits = fits and (word != "cells" or (x.ndim == 3 and x.shape[::2] == row))
            if not fits:
                checks.refuse(f"{word}: got shape {tuple(x.shape)} for a mask {tuple(shape)}")
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors["mask"])

    def __getitem__(self, index: int) -> Batch:
        """One row."""
        return {word: x[index] for word, x in self.tensors.items()}

    def batches(self, size: int) -> Iterator[Batch]:
        """All rows in order, `size` at a time."""
        for first in range(0, len(self), size):
            yield {word: x[first : first + size] for word, x in self.tensors.items()}


def drawn_tokens(batch: Batch, count: int, generator: torch.Generator) -> Batch:
    """The batch with `count` genes drawn at random, in their order, and its CLS slot."""
    n = batch["mask"].shape[-1]
    if not 0 < count < n - 1:
        return batch
    picked = torch.randperm(n - 1, generator=generator)[:count].sort().values + 1
    kept = torch.cat([torch.zeros(1, dtype=torch.long), picked]).to(batch["mask"].device)
    axis = batch["mask"].ndim - 1
    made = dict(batch)
    for word, x in batch.items():
        if word in (*OF_GENES, "baseline"):
            made[word] = x.index_select(axis, kept)
        elif word == "cells":
            made[word] = x.index_select(2, kept)
        elif word == "target" or (word == "weight" and x.ndim == 2):
            made[word] = x.index_select(1, kept)
    return made


class Predicted(NamedTuple):
    """values (b, p, n): baseline and change, of p cells a row (those of a set times the draws); real (b, n) bool: what
    is scored; log_dispersion (b, p, n) or None.
    """

    values: Tensor
    real: Tensor
    log_dispersion: Tensor | None


def predicted(
    net: ResponseNet, batch: Batch, *, draws: int = 1, generator: torch.Generator | None = None
) -> Predicted:
    """What the network makes of a batch; with a generator a network with noise draws `draws` cells a row.

    Raises ValueError for several draws without a generator.
    """
    if draws > 1 and generator is None:
        checks.refuse(f"draws: expected 1 without a generator, got {draws}")
    own = {word: x for word, x in batch.items() if word in INPUTS}
    rows, cells = batch["mask"].shape[0], 1
    mask = batch["mask"]
    if mask.ndim == 3:
        cells = mask.shape[1]
        own, mask = {word: x.flatten(0, 1) for word, x in own.items()}, mask.all(1)
    if generator is None or not net.draws:
        got, each = net(**own), 1
    else:
        got, each = net.several(draws, generator, own), draws
    real = mask.clone()
    real[:, 0] = False
    values = got.delta.reshape(rows, cells, each, -1)
    if "baseline" in batch:
        values = values + batch["baseline"].reshape(rows, cells, 1, -1).masked_fill(~real[:, None, None], 0.0)
    spread = got.log_dispersion
    return Predicted(
        values.flatten(1, 2), real, None if spread is None else spread.reshape(rows, cells * each, -1)
    )


@torch.no_grad()
def respond(
    net: ResponseNet,
    data: ResponseData,
    *,
    batch_size: int = 32,
    draws: int = 1,
    generator: torch.Generator | None = None,
) -> Predicted:
    """Predictions of all rows, in eval mode, on the network's device; given back on the CPU. Raises as `predicted`."""
    device, training = next(net.parameters()).device, net.training
    net.eval()
    try:
        found = [
            predicted(net, {w: x.to(device) for w, x in batch.items() if w in (*INPUTS, "baseline")},
                      draws=draws, generator=generator)
            for batch in data.batches(batch_size)
        ]  # fmt: skip
    finally:
        net.train(training)
    joined: list[Any] = [
        None if column[0] is None else torch.cat([x.cpu() for x in column])
        for column in zip(*found, strict=True)
    ]
    return Predicted(*joined)
