"""Exponential moving average of the weights, exact across an interruption.

Lightning's own callback swaps the averaged weights in for validation and, stopped there, saves them as if
they were the trained ones; it also goes through the parameters one by one in Python. This one saves both sets
under their own names and averages all of them in one call.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from cytosol.sharding import local, shared_as

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor, nn


class WeightAverage:
    """Average of the trainable parameters of a module; buffers are the module's own.

    average: by name, each `(d, ...)` as its parameter. The decay, 0 to below 1, is after step s
    min(decay, (1 + s) / (10 + s)): a short run is not an average of its beginning.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._live = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.average = {name: p.detach().clone() for name, p in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step `step`, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        average = [local(value) for value in self.average.values()]
        get_ema_multi_avg_fn(decay)(average, [local(weight) for weight in self._weights()], step)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the module hold the average inside the block."""
        trained = [weight.clone() for weight in self._weights()]
        self.copy_to_module()
        try:
            yield
        finally:
            _copy(trained, self._weights())

    def copy_to_module(self) -> None:
        """Let the module hold the average from now on."""
        _copy(self.average.values(), self._weights())

    def load(self, average: Mapping[str, Tensor]) -> None:
        """Take up a saved average, whole tensors (d, ...); raises KeyError where a name of the module's is missing."""
        _copy([shared_as(average[name], own) for name, own in self.average.items()], self.average.values())

    def _weights(self) -> list[Tensor]:
        return [p.detach() for p in self._live.values()]


def _copy(source: Iterable[Tensor], target: Iterable[Tensor]) -> None:
    for here, there in zip(source, target, strict=True):
        there.copy_(here)
