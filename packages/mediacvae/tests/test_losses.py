"""Losses against torch.distributions, and their gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Bernoulli, LogNormal, Normal, kl_divergence

from mediacvae.losses import free_bits, hurdle, kl

G = torch.Generator().manual_seed(0)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=G, dtype=torch.float64)


def test_divergence_is_that_of_two_gaussians():
    mean, logvar, prior, spread = (normal(5, 3) for _ in range(4))
    expected = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(prior, (0.5 * spread).exp()))
    torch.testing.assert_close(kl(mean, logvar, prior, spread), expected)
    assert not kl(mean, logvar, mean, logvar).any()


def test_hurdle_is_a_bernoulli_times_a_normal():
    logits, mean, amount, log_sd = normal(6, 4), normal(6, 4), normal(6, 4), normal(4)
    there = (normal(6, 4) > 0).double()
    parts = Bernoulli(logits=logits).log_prob(there) + there * Normal(mean, log_sd.exp()).log_prob(amount)
    torch.testing.assert_close(hurdle(there, amount, logits, mean, log_sd), -parts.sum(dim=1))


def test_hurdle_of_standardised_logs_is_a_log_normal_but_for_the_change_of_scale():
    grams, shift, scale, log_sd = normal(6, 1).exp(), 0.3, 2.0, normal(1)
    mean, there = normal(6, 1), torch.ones(6, 1, dtype=torch.float64)
    far = torch.full_like(mean, 50.0)  # surely there
    found = hurdle(there, (grams.log() - shift) / scale, far, mean, log_sd)
    density = LogNormal(mean * scale + shift, log_sd.exp() * scale).log_prob(grams)
    torch.testing.assert_close(found, -(density + grams.log() + math.log(scale))[:, 0])


def test_the_amount_of_what_is_absent_is_nobodys_business():
    logits, mean, log_sd = normal(3, 4), normal(3, 4).requires_grad_(), normal(4)
    there = torch.zeros(3, 4, dtype=torch.float64)
    amount = torch.full((3, 4), torch.nan, dtype=torch.float64)
    loss = hurdle(there, amount, logits, mean, log_sd)
    assert loss.isfinite().all()
    loss.sum().backward()
    assert mean.grad is not None
    assert not mean.grad.any()


def test_free_bits_are_free():
    divergence = torch.tensor([[0.0, 0.3], [0.1, 0.5]], dtype=torch.float64, requires_grad=True)
    value = free_bits(divergence, 0.1)
    assert value.item() == pytest.approx(0.1 + 0.4)
    value.backward()
    torch.testing.assert_close(divergence.grad, torch.tensor([[0.0, 0.5], [0.0, 0.5]], dtype=torch.float64))
    torch.testing.assert_close(free_bits(divergence, 0.0), divergence.mean(dim=0).sum())


@pytest.mark.parametrize("n", [1, 5])
def test_gradients(n):
    four = [normal(n, 3).requires_grad_() for _ in range(4)]
    assert torch.autograd.gradcheck(kl, four)
    present = (normal(n, 3) > 0).double()
    amount, logits, mean, log_sd = normal(n, 3), normal(n, 3), normal(n, 3), normal(3)
    inputs = [t.requires_grad_() for t in (amount, logits, mean, log_sd)]
    assert torch.autograd.gradcheck(lambda *t: hurdle(present, *t), inputs)
    none, every = torch.zeros_like(present), torch.ones_like(present)
    for degenerate in (none, every):
        assert torch.autograd.gradcheck(lambda *t, d=degenerate: hurdle(d, *t), inputs)
    assert torch.autograd.gradcheck(lambda d: free_bits(d, 0.7), [normal(n, 3).exp().requires_grad_()])
