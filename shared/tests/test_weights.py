"""Weights go into a module that they fit, or nowhere."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cytosol.bundle import BundleError, load_weights


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"weight": torch.zeros(2, 2)}, "missing bias"),
        ({"weight": torch.zeros(2, 2), "bias": torch.zeros(2), "x": torch.zeros(1)}, "unexpected x"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}, "weight is float32 (2, 3) where"),
        (
            {"weight": torch.zeros(2, 2), "bias": torch.zeros(2, dtype=torch.int64)},
            "bias is int64 (2,) where",
        ),
    ],
)
def test_weights_that_do_not_fit_change_nothing(tensors, words):
    module = nn.Linear(2, 2)
    before = module.weight.detach().clone()
    with pytest.raises(BundleError) as caught:
        load_weights(module, tensors)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert module.weight.equal(before)
