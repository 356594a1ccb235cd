"""Set blocks: padding, order and batch do not matter, cost grows like n, recomputing changes nothing."""

import pytest
import torch
from torch import nn

from cytosol.testing import (
    assert_batch_independent,
    assert_every_parameter_trains,
    assert_padding_invariant,
    assert_permutation_equivariant,
)
from stedm.attention import ISAB, MAB, Nearest, Stack
from stedm.geometry import knn

W, HEADS = 8, 2


class NearestByPlace(nn.Module):
    """`Nearest` with the neighbours made inside, so that a reordering moves them too."""

    def __init__(self):
        super().__init__()
        self.block = Nearest(W, HEADS)

    def forward(self, x, mask):
        return self.block(x, mask, knn(x, mask, 3))


@pytest.fixture(params=["isab", "film", "stack", "nearest"])
def block(request):
    torch.manual_seed(0)
    return {
        "isab": lambda: ISAB(W, HEADS, 3),
        "film": lambda: ISAB(W, HEADS, 3, d_cond=5),
        "stack": lambda: Stack(2, W, HEADS, 3),
        "nearest": NearestByPlace,
    }[request.param]()


@pytest.fixture
def inputs(block):
    generator = torch.Generator().manual_seed(1)
    given = {
        "x": torch.randn(3, 7, W, generator=generator),
        "mask": torch.arange(7) < torch.tensor([7, 5, 1])[:, None],
    }
    if isinstance(block, ISAB) and block.gather.film is not None:
        given["cond"] = torch.randn(3, 5, generator=generator)
        for film in (block.gather.film, block.spread.film):
            nn.init.normal_(film.to_scale_shift.weight)
    return given


def test_padding_may_hold_anything(block, inputs):
    assert_padding_invariant(block, inputs, garbage=float("nan"))
    assert not block(**inputs)[~inputs["mask"]].any()


def test_sets_do_not_meet(block, inputs):
    assert_batch_independent(block, inputs)


def test_points_have_no_order(block, inputs):
    assert_permutation_equivariant(block, inputs, dims={"x": 1, "mask": 1}, out_dim=1)


def test_everything_learns(block, inputs):
    assert_every_parameter_trains(block, inputs)


def test_a_set_without_real_points_is_finite_with_finite_gradients(block, inputs):
    inputs["mask"] = torch.zeros_like(inputs["mask"])
    inputs["x"] = torch.full_like(inputs["x"], torch.nan).requires_grad_()
    out = block(**inputs)
    out.sum().backward()
    assert not out.any()
    assert all(p.grad is None or p.grad.isfinite().all() for p in block.parameters())


def test_the_condition_reaches_the_points(block, inputs):
    if "cond" not in inputs:
        pytest.skip("this block knows no condition")
    other = block(**{**inputs, "cond": inputs["cond"] + 1})
    assert (other - block(**inputs)).abs().max() > 1e-3


def test_a_condition_is_given_where_it_is_read_and_nowhere_else(block, inputs):
    if isinstance(block, NearestByPlace):
        pytest.skip("this block knows no condition")
    inputs["cond"] = None if "cond" in inputs else torch.randn(3, 5)
    with pytest.raises(ValueError, match="expected cond exactly where d_cond is above 0"):
        block(**inputs)


def test_recomputing_gives_the_same_gradients():
    torch.manual_seed(0)
    stack = Stack(2, W, HEADS, 3)
    x, mask = torch.randn(2, 6, W), torch.ones(2, 6, dtype=torch.bool)
    grads = []
    for recompute in (False, True):
        stack.recompute = recompute
        stack.zero_grad()
        stack(x, mask).square().sum().backward()
        grads.append([p.grad.clone() for p in stack.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_inducing_points_keep_the_cost_linear():
    """Every attention matrix of a set of n points has n times m entries."""
    sizes = []
    block = ISAB(W, HEADS, 4)
    for part in (block.gather, block.spread):
        part.register_forward_hook(lambda m, args, out: sizes.append(args[0].shape[1] * args[1].shape[1]))
    block(torch.randn(1, 50, W), torch.ones(1, 50, dtype=torch.bool))
    assert sizes == [4 * 50, 50 * 4]


def test_queries_may_be_other_points_than_keys():
    block = MAB(W, HEADS)
    out = block(torch.randn(2, 3, W), torch.randn(2, 9, W), torch.ones(2, 9, dtype=torch.bool))
    assert out.shape == (2, 3, W)
