"""Weights in shares; that they learn as whole ones do is in the repository's tests/test_two_processes.py."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cytosol.sharding import Sharded, local, shared_as, shared_like, whole, whole_module


def test_a_weight_without_shares_is_refused_by_name():
    strategy, net = Sharded(), nn.Linear(2, 2)
    net.scale = nn.Parameter(torch.tensor(1.0))
    strategy.model = net
    with pytest.raises(ValueError, match="the weight scale is a single number and has no shares; take ddp"):
        strategy.configure_ddp()


def test_what_is_whole_stays_as_it_is():
    net = nn.Linear(2, 2)
    own = dict(net.state_dict())
    assert local(net.weight) is net.weight
    assert shared_as(own["bias"], net.bias) is own["bias"]
    assert shared_like(own | {"more": net.bias}, net).keys() == {"weight", "bias", "more"}
    assert whole({"a": [net.weight, 3]})["a"][0] is net.weight
    with whole_module(net):
        assert dict(net.named_parameters())["weight"] is net.weight
