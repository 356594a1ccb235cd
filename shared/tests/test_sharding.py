"""Weights in shares; that they learn as whole ones do is in the repository's tests/test_two_processes.py."""

from __future__ import annotations

import torch
from torch import nn

from cytosol.sharding import local, shared_as, shared_like, total_norm, whole, whole_module


def test_the_norm_of_all_gradients():
    gradients = [torch.tensor([3.0, 0.0]), torch.tensor(4.0)]
    assert total_norm(gradients) == 5
    assert total_norm([]) == 0


def test_what_is_whole_stays_as_it_is():
    net = nn.Linear(2, 2)
    own = dict(net.state_dict())
    assert local(net.weight) is net.weight
    assert shared_as(own["bias"], net.bias) is own["bias"]
    assert shared_like(own | {"more": net.bias}, net).keys() == {"weight", "bias", "more"}
    assert whole({"a": [net.weight, 3]})["a"][0] is net.weight
    with whole_module(net):
        assert dict(net.named_parameters())["weight"] is net.weight
