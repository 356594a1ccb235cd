"""Blocks of the network: padded replicates leave no trace, the order of replicates does not matter."""

import pytest
import torch
from torch import nn

from cytosol import testing
from o2diffusion.parts import ReplicateMaskAttention, TimeBlock

MASK = torch.tensor([[True, True, True, False], [True, False, True, False], [True, False, False, False]])


class ByReplicate(nn.Module):
    """Attention on curves (b, r, d, t), as the helpers want them: batch and replicates first."""

    def __init__(self, d=8):
        super().__init__()
        torch.manual_seed(0)
        self.inner = ReplicateMaskAttention(d)

    def forward(self, x, mask):
        return self.inner(x.flatten(0, 1), mask).unflatten(0, mask.shape)


@pytest.fixture
def inputs():
    return {"x": torch.randn(3, 4, 8, 10, generator=torch.Generator().manual_seed(1)), "mask": MASK}


@pytest.mark.parametrize("garbage", [1e3, float("nan")])
def test_padded_replicates_change_nothing(inputs, garbage):
    testing.assert_padding_invariant(ByReplicate(), inputs, garbage=garbage)


def test_padded_replicates_come_out_zero_and_none_real_is_zero(inputs):
    module = ByReplicate()
    found = module(**inputs)
    assert (found[~MASK] == 0).all()
    assert (found[MASK] != 0).any()
    assert (module(inputs["x"], torch.zeros_like(MASK)) == 0).all()


def test_the_order_of_replicates_does_not_matter(inputs):
    testing.assert_permutation_equivariant(ByReplicate(), inputs, dims={"x": 1, "mask": 1}, out_dim=1)


def test_how_many_padded_replicates_there_are_does_not_matter(inputs):
    module = ByReplicate()
    x = torch.cat([inputs["x"], torch.randn(3, 2, 8, 10)], dim=1)
    mask = torch.cat([MASK, torch.zeros(3, 2, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(module(x, mask)[:, :4], module(**inputs), atol=1e-6, rtol=1e-5)


def test_replicates_see_each_other(inputs):
    module = ByReplicate()
    moved = inputs["x"].clone()
    moved[0, 1] += torch.randn(8, 10)
    difference = (module(**inputs) - module(moved, MASK)).abs().amax((2, 3))
    assert (difference[0, :3] > 1e-4).all()
    assert (difference[1:] == 0).all()


def test_a_condition_does_not_depend_on_its_batch(inputs):
    testing.assert_batch_independent(ByReplicate(), inputs)


def test_every_parameter_of_the_attention_trains(inputs):
    testing.assert_every_parameter_trains(ByReplicate(), inputs)


def block(d_in, d):
    torch.manual_seed(0)
    made = TimeBlock(d_in, d, 6)
    nn.init.normal_(made.film.weight)  # it starts at zero, and would let no gradient through to the condition
    return made


@pytest.mark.parametrize(("d_in", "d", "t"), [(8, 8, 12), (8, 12, 7), (12, 8, 1)])
def test_a_time_block_keeps_the_length_and_trains(d_in, d, t):
    inputs = {"x": torch.randn(3, d_in, t), "cond": torch.randn(3, 6)}
    made = block(d_in, d)
    assert made(**inputs).shape == (3, d, t)
    testing.assert_batch_independent(made, inputs)
    testing.assert_every_parameter_trains(made, inputs)


def test_a_new_time_block_ignores_the_condition_and_learns_to_use_it():
    made = TimeBlock(8, 8, 6)
    x = torch.randn(2, 8, 9)
    torch.testing.assert_close(made(x, torch.zeros(2, 6)), made(x, torch.ones(2, 6)))
    assert (block(8, 8)(x, torch.zeros(2, 6)) - block(8, 8)(x, torch.ones(2, 6))).abs().max() > 1e-3
