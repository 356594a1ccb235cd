import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cytosol.masking import broadcast_mask, key_padding, lengths_to_mask, masked_mean, masked_mse, masked_var

quick = settings(deadline=None, max_examples=50)


def draw(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    return x, torch.rand(shape, generator=generator) < 0.5


@quick
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 7))
def test_whole_statistics_equal_those_of_the_selected_entries(seed, b, t):
    x, mask = draw(seed, b, t)
    mask[0, 0] = True
    torch.testing.assert_close(masked_mean(x, mask), x[mask].mean())
    torch.testing.assert_close(masked_var(x, mask), x[mask].var(correction=0))
    torch.testing.assert_close(masked_mse(x, 2 * x, mask), nn.functional.mse_loss(x[mask], 2 * x[mask]))


@quick
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 7))
def test_statistics_along_an_axis_equal_those_of_each_row(seed, b, t):
    x, mask = draw(seed, b, t)
    for row, real, mean, var in zip(x, mask, masked_mean(x, mask, 1), masked_var(x, mask, 1), strict=True):
        expected = row[real]
        torch.testing.assert_close(mean, expected.mean() if len(expected) else mean * 0)
        torch.testing.assert_close(var, expected.var(correction=0) if len(expected) else var * 0)


@pytest.mark.parametrize("dim", [None, 0, 1, -1, (0, 2)])
@pytest.mark.parametrize("keepdim", [False, True])
def test_a_full_mask_gives_the_plain_statistics(dim, keepdim):
    x, _ = draw(0, 3, 4, 5)
    real = torch.ones(3, 4, 5, dtype=torch.bool)
    axes = (0, 1, 2) if dim is None else dim
    torch.testing.assert_close(masked_mean(x, real, dim, keepdim=keepdim), x.mean(axes, keepdim=keepdim))
    torch.testing.assert_close(
        masked_var(x, real, dim, keepdim=keepdim), x.var(axes, correction=0, keepdim=keepdim)
    )


def test_a_broadcast_mask_counts_every_entry_it_covers():
    x, _ = draw(1, 2, 3, 4)
    mask = torch.tensor([[True, False, True], [False, False, True]])
    expected = torch.stack([x[0, [0, 2]].mean(), x[1, [2]].mean()])
    torch.testing.assert_close(masked_mean(x, mask[..., None], (1, 2)), expected)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("statistic", [masked_mean, masked_var])
def test_what_is_masked_reaches_neither_value_nor_gradient(statistic, poison):
    x, mask = draw(2, 4, 6)
    mask[0], mask[1] = False, True
    clean = x.where(mask, torch.zeros(())).requires_grad_()
    dirty = x.where(mask, torch.tensor(poison, dtype=x.dtype)).requires_grad_()
    values = [statistic(value, mask, 1) for value in (clean, dirty)]
    torch.testing.assert_close(values[1], values[0], rtol=0, atol=0)
    for value in values:
        value.square().sum().backward()
    torch.testing.assert_close(dirty.grad, clean.grad, rtol=0, atol=0)
    assert not dirty.grad[~mask].any()


@pytest.mark.parametrize("poisoned", ["pred", "target", "both"])
def test_mse_ignores_nan_on_either_side(poisoned):
    pred, mask = draw(3, 4, 6)
    target = pred.roll(1).clone()
    expected = (pred - target)[mask].square().mean()
    if poisoned != "target":
        pred = pred.masked_fill(~mask, math.nan)
    if poisoned != "pred":
        target = target.masked_fill(~mask, math.inf)
    pred.requires_grad_()
    value = masked_mse(pred, target, mask)
    value.backward()
    torch.testing.assert_close(value, expected)
    assert pred.grad.isfinite().all()
    assert not pred.grad[~mask].any()


@pytest.mark.parametrize("fill", [1.0, math.nan])
def test_nothing_real_gives_zero_and_zero_gradients(fill):
    x = torch.full((3, 4), fill, requires_grad=True)
    nothing = torch.zeros(3, 4, dtype=torch.bool)
    total = masked_mean(x, nothing) + masked_var(x, nothing, 1).sum() + masked_mse(x, x * 2, nothing)
    total.backward()
    assert total.item() == 0
    assert (x.grad == 0).all()


def test_no_entries_at_all_give_zero():
    assert masked_mean(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.bool)).item() == 0


def test_the_variance_of_one_entry_is_zero_with_a_zero_gradient():
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    masked_var(x, torch.tensor([True, False])).backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_gradients_are_those_of_finite_differences():
    x, mask = draw(4, 3, 4)
    target = x.roll(1).clone()
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: masked_mean(x, mask, 1), x)
    assert torch.autograd.gradcheck(lambda x: masked_var(x, mask, 1), x)
    assert torch.autograd.gradcheck(lambda x: masked_mse(x, target, mask), x)


def test_half_precision_does_not_overflow():
    x = torch.full((1000,), 300.0, dtype=torch.float16)
    mean = masked_mean(x, torch.ones(1000, dtype=torch.bool))
    assert mean.dtype == torch.float16
    assert mean.item() == 300


def test_wrong_masks_and_shapes_are_refused():
    x = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="expected a bool mask"):
        masked_mean(x, torch.ones(2, 3))
    for shape in [(2,), (2, 1, 3), (3, 3), (2, 2)]:
        with pytest.raises(ValueError, match=r"broadcasts to \(2, 3\)"):
            broadcast_mask(torch.ones(shape, dtype=torch.bool), x)
    with pytest.raises(ValueError, match=r"one shape, got \(2, 1\) and \(2,\)"):
        masked_mse(torch.zeros(2, 1), torch.zeros(2), torch.ones(2, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="floating point"):
        masked_mean(torch.ones(2, dtype=torch.int64), torch.ones(2, dtype=torch.bool))


@quick
@given(st.lists(st.integers(0, 6), min_size=1, max_size=5))
def test_lengths_come_back_as_sums(lengths):
    mask = lengths_to_mask(torch.tensor(lengths), 6)
    assert mask.shape == (len(lengths), 6)
    assert mask.sum(1).tolist() == lengths
    assert (mask.int().diff(dim=1) <= 0).all()


def test_lengths_beyond_the_row_are_refused():
    with pytest.raises(ValueError, match="from 0 to 3, got 4 in row 1"):
        lengths_to_mask(torch.tensor([1, 4]), 3)
    with pytest.raises(ValueError, match="got -1 in row 0"):
        lengths_to_mask(torch.tensor([-1, 2]), 3)


def test_attention_under_key_padding_ignores_padding_and_survives_an_empty_row():
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x = torch.randn(3, 5, 8)
    mask = lengths_to_mask(torch.tensor([5, 2, 0]), 5)
    spoilt = torch.where(mask[..., None], x, 100.0)
    before, after = (attention(y, y, y, key_padding_mask=key_padding(mask))[0] for y in (x, spoilt))
    torch.testing.assert_close(before[mask], after[mask])
    assert before.isfinite().all()
    assert torch.equal(key_padding(mask)[:2], ~mask[:2])
