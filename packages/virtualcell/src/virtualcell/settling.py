"""Weights that a training does not reach, left out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


def settle(module: nn.Module, loss: Callable[[], Tensor]) -> None:
    """Leave out what a loss, a scalar, does not reach: processes that learn together wait for every gradient.

    Draws nothing from torch's generator on the CPU.
    """
    with torch.random.fork_rng(devices=[]):
        loss().backward()
    for p in module.parameters():
        p.requires_grad_(p.grad is not None)
        p.grad = None
