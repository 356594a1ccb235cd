"""Noise with the asked covariance, its measure under masks, and replicates that agree as learnt."""

import numpy as np
import pytest
import torch

from o2diffusion.replicates import (
    ReplicateGenerator,
    generate_replicate_aware_noise,
    pairwise_correlation,
    replicate_correlation,
)

MASK = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]).bool()


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("rho", [0.0, 0.7, 0.93, 1.0])
def test_noise_has_unit_variance_and_the_correlation_between_real_replicates_only(rho):
    x = generate_replicate_aware_noise((4, 60_000, 4), MASK, rho, _generator())
    for b in range(4):
        measured = x[b].T @ x[b] / x.shape[1]
        real = MASK[b][:, None] & MASK[b]
        expected = torch.where(torch.eye(4, dtype=torch.bool), torch.ones(4, 4), torch.full((4, 4), rho))
        assert (measured - torch.where(real, expected, 0.0)).abs().max() < 0.02
    assert (x.movedim(1, 2)[~MASK] == 0).all()
    between = x[0, :, 0] * x[1, :, 0]
    assert abs(between.mean()) < 0.02  # conditions and times are independent
    assert abs((x[0, 1:] * x[0, :-1]).mean()) < 0.02


def test_noise_takes_a_correlation_a_condition_and_repeats_with_its_seed():
    rho = torch.tensor([0.1, 0.9])
    x = generate_replicate_aware_noise((2, 50_000, 2), MASK[:1, :2].expand(2, -1), rho, _generator(4))
    assert torch.allclose((x[..., 0] * x[..., 1]).mean(1), rho, atol=0.03)
    again = generate_replicate_aware_noise((2, 50_000, 2), MASK[:1, :2].expand(2, -1), rho, _generator(4))
    assert torch.equal(x, again)


def test_noise_refuses_what_has_no_covariance():
    for rho in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="correlations from 0 to 1"):
            generate_replicate_aware_noise((4, 2, 4), MASK, rho)
    with pytest.raises(ValueError, match=r"shape \(4, 3\)"):
        generate_replicate_aware_noise((4, 2, 3), MASK, 0.5)


def test_pairwise_correlation_equals_numpy_on_common_samples():
    x = torch.randn(3, 40, 4, generator=_generator(1)) + 100.0
    observed = torch.rand(3, 40, 4, generator=_generator(2)) > 0.3
    x = torch.where(observed, x, torch.nan)
    rho, n = pairwise_correlation(x, observed, MASK[:3])
    for b, i, j in np.ndindex(3, 4, 4):
        both = observed[b, :, i] & observed[b, :, j]
        if i == j or not (MASK[b, i] and MASK[b, j]):
            assert torch.isnan(rho[b, i, j])
            continue
        assert n[b, i, j] == both.sum()
        expected = np.corrcoef(x[b, both, i].double(), x[b, both, j].double())[0, 1]
        assert float(rho[b, i, j]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.93])
def test_measured_correlation_is_that_of_the_noise_under_masks(rho):
    mask = torch.rand(200, 4, generator=_generator(3)) > 0.3
    x = generate_replicate_aware_noise((200, 100, 4), mask, rho, _generator(5))
    observed = torch.rand(200, 100, 4, generator=_generator(6)) > 0.4
    assert float(replicate_correlation(x, observed, mask)) == pytest.approx(rho, abs=0.015)
    order = [3, 1, 0, 2]
    moved = replicate_correlation(x[..., order], observed[..., order], mask[:, order])
    torch.testing.assert_close(moved, replicate_correlation(x, observed, mask))


def test_correlation_is_nan_where_no_pair_says_anything():
    every = torch.ones(2, 9, 2, dtype=torch.bool)
    pair = torch.ones(2, 2, dtype=torch.bool)
    assert torch.isnan(replicate_correlation(torch.full((2, 9, 2), 7.3), every, pair))
    assert torch.isnan(replicate_correlation(torch.randn(2, 9, 2), every, torch.tensor([[True, False]] * 2)))


@pytest.fixture
def generator() -> ReplicateGenerator:
    torch.manual_seed(0)
    return ReplicateGenerator(5).requires_grad_(False)


def _condition(b):
    return torch.zeros(b, 5), torch.full((b,), 1.0)


def _curve(t=128):
    u = torch.linspace(0, 1, t)
    return 2 * torch.exp(-8 * (u - 0.3).clamp(min=0)) * (u > 0.3) + torch.sin(3 * u)


@pytest.mark.parametrize("rho", [0.6, 0.83, 0.93, 0.96])
@pytest.mark.parametrize("shape", ["spike", "line", "waves"])
def test_generated_replicates_correlate_as_learnt_and_are_smooth(generator, rho, shape):
    u = torch.linspace(0, 1, 128)
    base = {"spike": _curve(), "line": u, "waves": torch.cos(20 * u)}[shape]
    base = (base - base.mean()) / base.std(unbiased=False)
    generator.net[-1].weight.zero_()
    generator.net[-1].bias[0] = torch.logit(torch.tensor(rho))
    curves = generator.generate_replicates(base.expand(600, -1), 4, *_condition(600), generator=_generator())
    assert curves.shape == (600, 128, 4)
    every = torch.ones(curves.shape, dtype=torch.bool)
    measured = replicate_correlation(curves, every, every[:, 0])
    assert float(measured) == pytest.approx(rho, abs=0.005)
    drift = curves - base[:, None]
    drift = drift - drift.mean(1, keepdim=True)
    lag = (drift[:, 1:] * drift[:, :-1]).mean() / drift.square().mean()
    assert lag > 0.9
    assert (curves.mean((0, 2)) - base).abs().max() < 0.15  # the base is the condition's mean


def test_generated_replicates_spread_as_learnt(generator):
    base = (_curve() / _curve().std()).expand(800, -1) * 3.0
    generator.net[-1].bias[1] = 1.0
    spread = generator.spread(*_condition(800))[0]
    curves = generator.generate_replicates(base, 4, *_condition(800), scale=3.0, generator=_generator())
    assert float(curves.std(2).square().mean().sqrt()) == pytest.approx(3 * float(spread), rel=0.05)


def test_one_replicate_varies_as_each_of_four_and_none_is_refused(generator):
    base = _curve().expand(3000, -1)
    one = generator.generate_replicates(base, 1, *_condition(3000), generator=_generator(1)) - base[..., None]
    four = (
        generator.generate_replicates(base, 4, *_condition(3000), generator=_generator(2)) - base[..., None]
    )
    assert one.shape == (3000, 128, 1)
    assert float(one.std()) == pytest.approx(float(four.std()), rel=0.05)
    with pytest.raises(ValueError, match="at least one replicate"):
        generator.generate_replicates(base, 0, *_condition(3000))
    assert generator.generate_replicates(torch.ones(2, 1), 2, *_condition(2)).isfinite().all()


def _pairs(curves):
    every = torch.ones(curves.shape, dtype=torch.bool)
    rho, _ = pairwise_correlation(curves, every, every[:, 0])
    r = curves.shape[2]
    return rho[:, *torch.triu_indices(r, r, 1)].flatten()


@pytest.mark.parametrize("rho", [0.7, 0.93])
def test_curves_drawn_too_much_alike_are_set_apart_as_learnt(generator, rho):
    """Fisher's z of the pairs is around the learned one and spreads as learned; what is fast or constant stays."""
    generator.net[-1].weight.zero_()
    generator.net[-1].bias[0] = torch.logit(torch.tensor(rho))
    generator.dispersion.fill_(-1.0)
    base = (_curve() - _curve().mean()) / _curve().std()
    rng = _generator()
    drift = 0.05 * torch.randn(800, 128, 4, generator=rng).cumsum(1)
    drift = drift - drift.mean(1, keepdim=True)
    offset = torch.randn(800, 1, 4, generator=rng)
    curves = 10 * (base[:, None] + offset + drift / 100)
    assert float(_pairs(curves).min()) > 0.99
    apart = generator.set_apart(curves, *_condition(800), generator=rng)
    z = torch.atanh(_pairs(apart))
    assert float(z.median()) == pytest.approx(float(torch.atanh(torch.tensor(rho))), abs=0.15)
    generator.dispersion.fill_(0.0)
    odd = torch.atanh(_pairs(generator.set_apart(curves, *_condition(800), generator=rng)))
    assert float(odd.std()) > 1.3 * float(z.std())
    torch.testing.assert_close(apart.mean(1), curves.mean(1), atol=1e-3, rtol=1e-4)
    jump = torch.diff(apart, dim=1) - torch.diff(curves, dim=1)
    assert float(jump.abs().mean()) < 0.1 * float(apart.std(2).mean())


def test_setting_apart_leaves_one_replicate_and_repeats_with_its_seed(generator):
    curves = torch.randn(3, 128, 2, generator=_generator(1)).cumsum(1)
    alone = curves[..., :1]
    assert generator.set_apart(alone, *_condition(3)) is alone
    a, b, c = (generator.set_apart(curves, *_condition(3), generator=_generator(s)) for s in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    same = torch.ones(3, 128, 2)
    torch.testing.assert_close(generator.set_apart(same, *_condition(3)), same)


def test_likelihood_finds_correlation_and_spread_by_drug():
    torch.manual_seed(0)
    learner, truth = ReplicateGenerator(2), ReplicateGenerator(2)
    embedding = torch.eye(2).repeat(150, 1)
    c = torch.ones(300)
    with torch.no_grad():
        truth.net[0].weight.zero_()
        truth.net[0].bias.zero_()
        truth.net[0].weight[0, 0] = 5.0
        truth.net[-1].weight.zero_()
        truth.net[-1].weight[:, 0] = torch.tensor([-0.35, 0.3])
    base = _curve().expand(300, -1)
    base = base / base[0].std()
    with torch.no_grad():
        curves = truth.generate_replicates(base, 4, embedding, c, generator=_generator(8))
    mask = torch.rand(300, 4, generator=_generator(9)) > 0.2
    observed = torch.rand(curves.shape, generator=_generator(10)) > 0.2
    curves = torch.where(observed & mask[:, None], curves, torch.nan)
    optimiser = torch.optim.Adam(learner.parameters(), lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        loss = learner.nll(curves, observed, mask, embedding, c)
        loss.backward()
        optimiser.step()
    for ask in ("correlation", "spread"):
        got = getattr(learner, ask)(embedding[:2], c[:2])
        expected = getattr(truth, ask)(embedding[:2], c[:2])
        assert (expected[0] - expected[1]).abs() > 0.04
        torch.testing.assert_close(got, expected, rtol=0.12, atol=0.03)


def test_likelihood_is_zero_without_pairs_and_does_not_see_the_order(generator):
    curves = torch.randn(4, 30, 4, generator=_generator(2)).cumsum(1)
    observed = torch.rand(4, 30, 4, generator=_generator(3)) > 0.2
    single = torch.eye(4, dtype=torch.bool)
    generator.requires_grad_(True)
    alone = generator.nll(curves, observed, single, *_condition(4))
    alone.backward()
    assert alone == 0
    assert all(torch.isfinite(p.grad).all() for p in generator.parameters())
    order = [2, 0, 3, 1]
    value = generator.nll(curves, observed, MASK, *_condition(4))
    moved = generator.nll(curves[..., order], observed[..., order], MASK[:, order], *_condition(4))
    torch.testing.assert_close(value, moved)
    hidden = torch.where(MASK[:, None] & observed, curves, torch.nan)
    assert torch.equal(generator.nll(hidden, observed, MASK, *_condition(4)), value)
    assert torch.isfinite(generator.nll(torch.ones(4, 30, 4), observed, MASK, *_condition(4)))
