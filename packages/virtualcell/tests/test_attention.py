"""Attention with a backward pass of its own: torch's says the same, and what is (n, n) is never kept by a layer."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from virtualcell import attention as own
from virtualcell.attention import Edges, attention, scores
from virtualcell.layers import read_with_first

B, H, N, M, W = 3, 2, 5, 7, 4


def drawn(*, keys=M, dtype=torch.float32) -> list[torch.Tensor]:
    torch.manual_seed(0)
    shapes = ((B, H, N, W), (B, H, keys, W), (B, H, keys, W))
    return [torch.randn(shape).to(dtype).requires_grad_() for shape in shapes]


def edges() -> Edges:
    torch.manual_seed(1)
    cell, query, key = (torch.tensor(x) for x in ((0, 0, 2, 2), (1, 3, 0, 4), (2, 0, 4, 1)))
    return Edges(cell, query, key, torch.randn(4, H, requires_grad=True), (B, N))


SEEN = {
    "none": None,
    "bool": torch.rand(B, 1, N, M, generator=torch.Generator().manual_seed(2)) < 0.7,
    "a row for all": torch.arange(M)[None, None, None] < 4,
    "float": torch.randn(B, H, N, M, generator=torch.Generator().manual_seed(3)),
}
SEEN["bool"][..., 0] = True


@pytest.mark.parametrize("room", [1, 1 << 18])
@pytest.mark.parametrize("kind", SEEN)
def test_gradients_are_those_of_torch(kind, room, monkeypatch) -> None:
    monkeypatch.setattr(own, "ROOM", room)
    given, seen = drawn(), SEEN[kind]
    expected = F.scaled_dot_product_attention(*given, attn_mask=seen)
    found = own._attend(*given, seen, None, None, None, None)
    slope = torch.randn_like(found)
    assert torch.equal(found, expected)
    for x, y in zip(
        torch.autograd.grad(found, given, slope), torch.autograd.grad(expected, given, slope), strict=True
    ):
        torch.testing.assert_close(x, y, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("room", [1, 1 << 18])
@pytest.mark.parametrize("padded", [False, True])
def test_edges_learn_as_in_a_dense_bias(padded, room, monkeypatch) -> None:
    monkeypatch.setattr(own, "ROOM", room)
    given, few = drawn(keys=N), edges()
    seen = (torch.arange(N) < torch.tensor([5, 5, 4])[:, None])[:, None, None] if padded else None
    told = []
    for sparse in (True, False):
        out = attention(*given, scores(few, seen, torch.float32, sparse=sparse))
        told.append((out, *torch.autograd.grad(out.square().sum(), [*given, few.value])))
    for x, y in zip(*told, strict=True):
        torch.testing.assert_close(x, y, atol=1e-6, rtol=1e-5)
    assert bool(told[0][-1].any())


def test_the_first_query_alone_learns_from_its_edges() -> None:
    (q, k, v), few = drawn(keys=N), edges()
    kept = scores(few, None, torch.float32, sparse=True)
    whole, first = attention(q, k, v, kept)[:, :, :1], attention(q[:, :, :1], k, v, kept.first())
    torch.testing.assert_close(first, whole)
    for x, y in zip(
        *(torch.autograd.grad(o.sum(), (q, k, v, few.value)) for o in (first, whole)), strict=True
    ):
        torch.testing.assert_close(x, y, atol=1e-6, rtol=1e-5)


def test_half_precision_is_near_the_truth() -> None:
    given = drawn(dtype=torch.bfloat16)
    exact = [x.detach().float().requires_grad_() for x in given]
    found, expected = attention(*given, None), F.scaled_dot_product_attention(*exact)
    slope = torch.randn_like(expected)
    torch.testing.assert_close(found.float(), expected, atol=0.02, rtol=0.02)
    grads = torch.autograd.grad(found, given, slope.bfloat16()), torch.autograd.grad(expected, exact, slope)
    for x, y in zip(*grads, strict=True):
        assert x.dtype == torch.bfloat16
        torch.testing.assert_close(x.float(), y, atol=0.03, rtol=0.03)


def test_no_layer_keeps_what_is_tokens_by_tokens() -> None:
    given, few = drawn(keys=N), edges()
    kept = scores(few, None, torch.float32, sparse=True)
    shared, sizes = kept.all.data_ptr(), []

    def pack(x):
        if x.data_ptr() != shared:
            sizes.append(x.numel())
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        attention(*given, kept)
    assert max(sizes) == B * H * N * W


def test_reading_with_a_first_vector_is_two_maps() -> None:
    torch.manual_seed(0)
    read, first = torch.nn.Linear(6, 4), torch.randn(6, requires_grad=True)
    src = torch.randn(B, N, 6, requires_grad=True)
    own_slot = F.pad(first[None, None].expand(B, 1, 6), (0, 0, 0, N - 1))
    found, expected = read_with_first(src, first, read), read(src + own_slot)
    torch.testing.assert_close(found, expected)
    slope = torch.randn_like(found)
    leaves = [src, first, read.weight, read.bias]
    for x, y in zip(
        torch.autograd.grad(found, leaves, slope), torch.autograd.grad(expected, leaves, slope), strict=True
    ):
        torch.testing.assert_close(x, y, atol=1e-6, rtol=1e-5)


def test_a_cast_made_without_gradient_reaches_no_one_else() -> None:
    torch.manual_seed(0)
    read, first = torch.nn.Linear(6, 4), torch.randn(6)
    src = torch.randn(B, N, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        read_with_first(src, first, read)
        again = read(src)
    assert again.requires_grad
    again.float().sum().backward()
    assert bool(read.weight.grad.any())
