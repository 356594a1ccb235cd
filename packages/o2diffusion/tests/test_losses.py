"""Losses against loops and oracles: masks, order of replicates, degenerate input, gradients."""

import pytest
import scoringrules
import torch
from torch.autograd import gradcheck

from o2diffusion.losses import MaskedReplicateLoss, fair_crps, media_proximity, pinball_loss


def _batch(dtype=torch.float64):
    g = torch.Generator().manual_seed(3)
    pred, target = torch.randn(2, 4, 7, 3, generator=g, dtype=dtype)
    replicates = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]]).bool()
    observed = torch.rand(4, 7, 3, generator=g) > 0.3
    proximity = torch.rand(4, 7, generator=g, dtype=dtype)
    return pred, target, replicates, proximity, observed


def _by_loops(pred, target, replicates, proximity, observed, coherence, media):
    total, real = 0.0, 0
    for b in range(len(pred)):
        square, weight, between, dof = 0.0, 0.0, 0.0, 0.0
        for t in range(pred.shape[1]):
            e = (pred - target)[b, t, replicates[b] & observed[b, t]]
            w = 1 + media * proximity[b, t]
            square += w * (e**2).sum()
            weight += w * len(e)
            if len(e) > 1:
                between += w * e.var(unbiased=False) * len(e)
                dof += w * (len(e) - 1)
        if weight:
            real += 1
            total += square / weight + (coherence * between / dof if dof else 0.0)
    return total / real


def test_replicate_loss_equals_its_definition_by_loops():
    batch = _batch()
    for coherence, media in ((0.0, 0.0), (0.1, 0.0), (0.3, 2.0)):
        loss = MaskedReplicateLoss(coherence, media)(*batch)
        torch.testing.assert_close(loss, _by_loops(*batch, coherence, media))


def test_padding_changes_nothing_and_gets_no_gradient():
    pred, target, replicates, proximity, observed = _batch()
    loss = MaskedReplicateLoss(0.3)
    hidden = ~(replicates[:, None] & observed)
    bad = torch.where(hidden, torch.nan, pred).requires_grad_()
    value = loss(bad, torch.where(hidden, torch.inf, target), replicates, proximity, observed)
    assert torch.equal(value, loss(pred, target, replicates, proximity, observed))
    value.backward()
    assert (bad.grad[hidden] == 0).all()
    assert (bad.grad[~hidden] != 0).all()


def test_order_of_replicates_does_not_matter():
    pred, target, replicates, proximity, observed = _batch()
    order = [2, 0, 1]
    loss = MaskedReplicateLoss(0.3)
    moved = loss(pred[..., order], target[..., order], replicates[:, order], proximity, observed[..., order])
    torch.testing.assert_close(moved, loss(pred, target, replicates, proximity, observed))


def test_one_replicate_has_no_coherence_and_nothing_real_gives_zero():
    pred, target, _, proximity, _ = _batch()
    one = torch.tensor([False, True, False]).expand(4, 3)
    assert MaskedReplicateLoss(5.0)(pred, target, one) == MaskedReplicateLoss(0.0)(pred, target, one)
    none = torch.zeros(4, 3, dtype=torch.bool)
    x = pred.clone().requires_grad_()
    loss = MaskedReplicateLoss()(x, torch.full_like(target, torch.nan), none, proximity)
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()


def test_coherence_ignores_a_shared_error_and_the_mean_minimises_it():
    _, target, _, _, _ = _batch()
    every = torch.ones(4, 3, dtype=torch.bool)
    shift = torch.randn(4, 7, 1, dtype=torch.float64)
    extra = MaskedReplicateLoss(1.0)(target + shift, target, every) - shift.square().mean()
    assert extra.abs() < 1e-12
    # proper: over many targets, the prediction of least loss is their mean
    targets = torch.randn(500, 1, 3, dtype=torch.float64) + torch.tensor([0.0, 1.0, 3.0])
    mean = targets.mean(0, keepdim=True).expand_as(targets)
    many = torch.ones(500, 3, dtype=torch.bool)
    loss = MaskedReplicateLoss(1.0)
    best = loss(mean, targets, many)
    for scale in (0.9, 1.1):
        assert loss(scale * mean, targets, many) > best


def test_weight_scales_a_condition():
    pred, target, replicates, _, observed = _batch()
    loss = MaskedReplicateLoss(0.2)
    each = [
        loss(*(x[i : i + 1] for x in (pred, target, replicates)), observed=observed[i : i + 1])
        for i in range(3)
    ]
    weight = torch.tensor([1.0, 2.0, 5.0, 7.0], dtype=torch.float64)
    both = loss(pred, target, replicates, observed=observed, weight=weight)
    torch.testing.assert_close(both, (each[0] + 2 * each[1] + 5 * each[2]) / 3)


def test_nan_target_that_counts_is_refused():
    pred, target, replicates, proximity, _ = _batch()
    target[0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="finite targets"):
        MaskedReplicateLoss()(pred, target, replicates, proximity)
    with pytest.raises(ValueError, match="at least 0"):
        MaskedReplicateLoss(-1.0)


def test_pinball_finds_the_quantiles_and_ignores_the_masked():
    y = torch.randn(20001, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    levels = torch.tensor([0.05, 0.5, 0.9], dtype=torch.float64)
    q = torch.quantile(y, levels)

    def loss(q):
        return pinball_loss(q.expand(len(y), 3), y, levels)

    oracle = torch.as_tensor(
        [
            scoringrules.quantile_score(y.numpy(), float(v), float(a)).mean()
            for v, a in zip(q, levels, strict=True)
        ]
    )
    torch.testing.assert_close(loss(q), oracle.mean())
    for i in range(3):
        for step in (-0.05, 0.05):
            moved = q.clone()
            moved[i] += step
            assert loss(moved) > loss(q)
    mask = torch.zeros(4, dtype=torch.bool)
    mask[1] = True
    bad = torch.tensor([torch.nan, 1.0, torch.inf, 2.0], dtype=torch.float64)
    assert pinball_loss(q.expand(4, 3), bad, levels, mask) == pinball_loss(q[None], bad[1:2], levels)
    assert pinball_loss(q.expand(4, 3), bad, levels, torch.zeros(4, dtype=torch.bool)) == 0


@pytest.mark.parametrize("n", [2, 3, 50])
def test_fair_crps_equals_the_oracle_and_the_pair_sum(n):
    g = torch.Generator().manual_seed(n)
    draws, y = torch.randn(n, 3, 4, generator=g, dtype=torch.float64), torch.randn(3, 4, generator=g).double()
    oracle = scoringrules.crps_ensemble(y.numpy(), draws.movedim(0, -1).numpy(), estimator="fair")
    torch.testing.assert_close(fair_crps(draws, y), torch.as_tensor(oracle))
    pairs = (draws[:, None] - draws[None]).abs().sum((0, 1)) / (2 * n * (n - 1))
    torch.testing.assert_close(fair_crps(draws, y), (draws - y).abs().mean(0) - pairs)
    shifted = fair_crps(draws + 1e6, y + 1e6)
    torch.testing.assert_close(shifted, fair_crps(draws, y), rtol=1e-6, atol=1e-8)


def test_fair_crps_is_unbiased_in_the_number_of_draws_and_refuses_one():
    g = torch.Generator().manual_seed(1)
    y = torch.randn(100_000, generator=g)
    two, many = (fair_crps(torch.randn(n, 100_000, generator=g), y).mean() for n in (2, 40))
    assert abs(two - many) < 0.01
    with pytest.raises(ValueError, match="at least two draws"):
        fair_crps(y[None], y)


def test_media_proximity_is_one_at_a_change_and_zero_before():
    times = torch.tensor([[0.0, 10.0, 16.0, 40.0, 46.0]])
    near = media_proximity(times, torch.tensor([[10.0, 40.0, 3.0]]), torch.tensor([[True, True, False]]), 6.0)
    one = torch.exp(torch.tensor(-1.0))
    torch.testing.assert_close(near, torch.tensor([[0.0, 1.0, one, 1.0, one]]))
    none = media_proximity(times, torch.empty(1, 0), torch.empty(1, 0, dtype=torch.bool), torch.tensor([6.0]))
    assert torch.equal(none, torch.zeros_like(times))
    with pytest.raises(ValueError, match="positive tau_h"):
        media_proximity(times, torch.tensor([[10.0]]), torch.tensor([[True]]), 0.0)


def test_gradients_in_double_precision_with_degenerate_input():
    pred, target, replicates, proximity, observed = _batch()
    target = torch.where(observed, target, torch.nan)
    loss = MaskedReplicateLoss(0.3, 2.0)
    pred.requires_grad_()
    assert gradcheck(lambda x: loss(x, target, replicates, proximity, observed), (pred,))
    assert gradcheck(lambda x: loss(x, target, torch.zeros_like(replicates), proximity), (pred,))
    levels = torch.tensor([0.1, 0.9], dtype=torch.float64)
    assert gradcheck(lambda q: pinball_loss(q, target[..., 0], levels, observed[..., 0]), (pred[..., :2],))
    assert gradcheck(fair_crps, (pred[:, :2, 0], torch.zeros(2, dtype=torch.float64)))
    tied = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    fair_crps(tied, torch.ones(2, dtype=torch.float64)).sum().backward()
    assert torch.isfinite(tied.grad).all()
    tau = torch.tensor([2.0, 3.0], dtype=torch.float64, requires_grad=True)
    times, change = torch.arange(5.0).double().expand(2, -1), torch.tensor([[1.5], [2.5]]).double()
    mask = torch.tensor([[True], [False]])
    assert gradcheck(lambda x: media_proximity(times, change, mask, x), (tau,))
