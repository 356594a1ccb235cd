"""The optimizer of a training: AdamW, its rate a warm-up and half a cosine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.lr_scheduler import LambdaLR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn
    from torch.optim import Optimizer


def adamw(
    weights: Iterable[nn.Parameter | dict[str, Any]],
    *,
    steps: int,
    warmup_steps: int,
    lr: float,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
) -> dict[str, Any]:
    """What Lightning's `configure_optimizers` returns: AdamW (Loshchilov & Hutter 2019) under `cosine_warmup`.

    weights: parameters, of which those without a gradient are left out; or torch's groups, of which empty ones are.
    steps: of the whole training; the warm-up takes at most half of them. Raises ValueError as torch does.
    """
    learned: list[Any] = [w for w in weights if (w["params"] if isinstance(w, dict) else w.requires_grad)]
    optimizer = torch.optim.AdamW(learned, lr=lr, weight_decay=weight_decay, betas=betas)
    schedule = cosine_warmup(optimizer, min(warmup_steps, steps // 2), steps)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def cosine_warmup(optimizer: Optimizer, warmup_steps: int, total_steps: int) -> LambdaLR:
    """Return a schedule: linear from 0 over `warmup_steps`, then half a cosine down to 0 at `total_steps`.

    The first step has rate 1 / (warmup_steps + 1) of the optimizer's, so that no step is lost.
    Raises ValueError unless 0 <= warmup_steps < total_steps.
    """
    if not 0 <= warmup_steps < total_steps:
        msg = f"expected 0 <= warmup_steps < total_steps, got {warmup_steps} and {total_steps}"
        raise ValueError(msg)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        share = min((step - warmup_steps) / (total_steps - warmup_steps), 1.0)
        return 0.5 * (1 + math.cos(math.pi * share))

    return LambdaLR(optimizer, factor)
