"""The one optimizer: which weights, and how its rate goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cytosol.optimizers import adamw


def test_the_rate_rises_for_at_most_half_of_the_steps_and_falls_to_nothing() -> None:
    weight = nn.Parameter(torch.ones(1))
    made = adamw([weight], steps=6, warmup_steps=50, lr=1.0, weight_decay=0.0)
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(7):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    fall = 0.5 * (1 + np.cos(np.pi * np.arange(4) / 3))
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.75, *fall], atol=1e-12)


def test_what_does_not_learn_and_what_is_empty_is_left_out() -> None:
    still, own = nn.Parameter(torch.ones(1), requires_grad=False), nn.Parameter(torch.ones(2))
    rates = {"steps": 4, "warmup_steps": 1, "lr": 0.1, "weight_decay": 0.01}
    (only,) = adamw([still, own], **rates)["optimizer"].param_groups
    assert [p is own for p in only["params"]] == [True]
    groups = [{"params": []}, {"params": [own], "weight_decay": 0.0, "lr": 1.0}]
    (only,) = adamw(groups, **rates)["optimizer"].param_groups
    assert (only["weight_decay"], only["initial_lr"]) == (0.0, 1.0)
    with pytest.raises(ValueError, match="empty parameter list"):
        adamw([still], **rates)
