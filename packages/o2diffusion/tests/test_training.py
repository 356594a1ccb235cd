"""The losses of a step: every parameter learns in one of the two runs, padding and NaN in it do not matter."""

from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from o2diffusion.config import Config, TrainConfig
from o2diffusion.corpus import facts, training_pool, training_windows
from o2diffusion.losses import MaskedReplicateLoss, pinball_loss
from o2diffusion.marginals import LEVELS, K
from o2diffusion.model import Batch
from o2diffusion.training import DrawTraining, PoolDataset, QuantileTraining, build


@pytest.fixture(scope="module")
def material(condition, curves, tiny_config):
    """Conditions of one to four replicates, two drugs, doses with and without, and media changes."""
    who = [("A", 1.0), ("A", None), ("B", 10.0), ("B", 0.0), (None, None), ("A", 3.0)]
    conditions = [
        condition(*curves(k, r=1 + k % 4), drug=d, concentration_um=c, changes=(9.3, 31.7))
        for k, (d, c) in enumerate(who)
    ]
    config = Config(model=tiny_config, train=TrainConfig(masks=3, windows=16))
    known = facts(conditions, use_drugs=True)
    pool = training_pool(conditions, known, config, seed=0)
    return known, config, pool, training_windows(conditions, known)


@pytest.fixture
def net(material):
    known, config, _, _ = material
    torch.manual_seed(0)
    net = build(config, known)
    with torch.no_grad():  # away from the start, where what is zero lets no gradient through
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net


@pytest.fixture
def module(material, net):
    return QuantileTraining(net, material[1], seed=0, windows=material[3])


@pytest.fixture(params=["quantiles", "draws"])
def either(request, material, net):
    if request.param == "draws":
        return DrawTraining(net, material[1], seed=0)
    return QuantileTraining(net, material[1], seed=0, windows=material[3])


def learned(module):
    """Names of the parameters that a run changes."""
    return {n for n, p in module.net.named_parameters() if p.requires_grad}


def generator():
    return torch.Generator().manual_seed(0)


def test_every_parameter_is_learned_in_one_run_and_gets_a_finite_gradient_there(material, net):
    _, config, pool, windows = material
    first = QuantileTraining(net, config, seed=0, windows=windows)
    by_first = learned(first)
    first.loss(pool, generator()).backward()
    second = DrawTraining(net, config, seed=0)
    by_second = learned(second)
    assert by_first | by_second == {n for n, _ in net.named_parameters()}
    assert by_second == {n for n in by_first | by_second if n.startswith(("denoiser.", "seen."))}
    assert not by_first & by_second
    second.loss(pool, generator()).backward()
    missing = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_without_media_changes_only_the_response_learns_nothing(material):
    known, config, pool, _ = material
    torch.manual_seed(0)
    module = QuantileTraining(build(config, known), config, seed=0, windows=None)
    module.loss(pool, generator()).backward()
    untouched = {n for n, p in module.net.media_dynamics.named_parameters() if p.grad is not None}
    assert untouched == set()


def test_the_first_steps_reach_encoder_denoiser_and_replicates(material):
    """The start is near the baseline on purpose; it must not be dead."""
    known, config, pool, windows = material
    torch.manual_seed(0)
    net = build(config, known)
    QuantileTraining(net, config, seed=0, windows=windows).loss(pool, generator()).backward()
    DrawTraining(net, config, seed=0).loss(pool, generator()).backward()
    for part in (net.head, net.seen, net.encoder.first, net.replicate_generator, net.media_dynamics):
        assert any(p.grad is not None and p.grad.any() for p in part.parameters())


@pytest.mark.parametrize("garbage", [1e3, float("nan")])
def test_what_stands_in_padded_replicates_changes_neither_loss_nor_gradient(either, material, garbage):
    pool = material[2]
    real = pool.replicate_mask[:, None, :].expand(pool.active.shape)
    spoilt = {
        name: torch.where(real if value.ndim == 3 else real[..., None], value, garbage)
        for name, value in ((n, getattr(pool, n)) for n in ("channels", "experts", "sd", "target"))
    }
    found = []
    for batch in (pool, replace(pool, **spoilt)):
        either.zero_grad()
        loss = either.loss(batch, generator())
        loss.backward()
        grads = {n: p.grad.clone() for n, p in either.net.named_parameters() if p.requires_grad}
        found.append((loss.detach(), grads))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1e-6)
    for name, grad in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], grad, rtol=1e-3, atol=1e-5, msg=name)


def test_the_same_step_has_the_same_loss_and_another_step_another(either, material):
    with torch.no_grad():
        a, b, c = (float(either.loss(material[2], torch.Generator().manual_seed(s))) for s in (0, 0, 1))
    assert a == b != c


def plain_losses(module, quantiles, pool):
    """The pinball losses of each item, by the function that is tested against an oracle."""
    each = []
    for i in range(len(pool.drug)):
        mask = pool.active[i] & pool.replicate_mask[i]
        by_level = [
            pinball_loss(quantiles[i, ..., k : k + 1], pool.target[i], LEVELS[k : k + 1], mask)
            for k in range(K)
        ]
        each.append(2 * (torch.stack(by_level) * module.weights).sum())
    return torch.stack(each)


def test_the_quantile_loss_is_the_pinball_loss_and_a_mask_that_is_easy_weighs_more(module, material):
    pool = material[2]
    quantiles = torch.randn(*pool.active.shape, K, generator=generator()).sort(dim=-1).values
    plain = plain_losses(module, quantiles, pool)
    alike = [
        module._quantile_loss(quantiles, replace(pool, sd=torch.full_like(pool.sd, s))) for s in (0.1, 1.0)
    ]
    weights = torch.stack(alike) / plain.mean()  # one number for all items whose process knows equally much
    assert weights[0] > weights[1] > 0
    level = torch.linspace(0.1, 1.0, len(plain))
    mixed = module._quantile_loss(quantiles, replace(pool, sd=level[:, None, None].expand_as(pool.sd)))
    alone = []
    for k, s in enumerate(level):
        one = pool.map(lambda x, k=k: x[k : k + 1])
        same = replace(one, sd=torch.full_like(one.sd, float(s)))
        alone.append(module._quantile_loss(quantiles[k : k + 1], same))
    torch.testing.assert_close(mixed, torch.stack(alone).mean(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(alone[0] / plain[0], weights[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(alone[-1] / plain[-1], weights[1], rtol=1e-4, atol=1e-6)


def test_the_true_law_has_the_smallest_quantile_loss(module, material):
    """Hidden cells drawn from N(0, 1): its own quantiles beat wider, narrower and shifted ones."""
    pool = material[2]
    target = torch.randn(pool.target.shape, generator=generator())
    batch = replace(pool, target=target)
    scores = torch.special.ndtri(LEVELS.double()).float()

    def loss(shift, spread):
        return float(module._quantile_loss((shift + spread * scores).expand(*target.shape, K), batch))

    best = loss(0.0, 1.0)
    for shift, spread in ((0.3, 1.0), (-0.3, 1.0), (0.0, 1.6), (0.0, 0.5)):
        assert loss(shift, spread) > best


def test_the_denoiser_loss_is_of_unit_size_for_independent_scores(net, material, monkeypatch):
    """In F-space a denoiser that says nothing scores 1 on N(0, 1) scores in N(0, 1) noise (Karras 2022, eq. 8)."""
    pool, module = material[2], DrawTraining(net, material[1], seed=0)
    b, t, r = pool.active.shape
    quantiles = torch.special.ndtri(LEVELS.double()).float().expand(b, t, r, K)
    encoded = SimpleNamespace(quantiles=quantiles, correlation=torch.zeros(b))
    monkeypatch.setattr(module.net.denoiser, "raw", lambda x, *_, **__: torch.zeros_like(x))
    monkeypatch.setattr(module, "replicate_loss", MaskedReplicateLoss(coherence_weight=0.0, media_weight=0.0))
    rng = generator()
    found = []
    for _ in range(30):
        batch = replace(pool, target=torch.randn(b, t, r, generator=rng))
        found.append(float(module._denoiser_loss(encoded, batch, rng)))
    assert np.mean(found) == pytest.approx(1.0, abs=0.05)


def test_a_pool_as_a_dataset_hands_out_its_rows(material):
    data = PoolDataset(material[2])
    assert len(data) == len(material[2].drug) == 18
    batch = Batch(**data.collate([data[5], data[0]]))
    for f in fields(Batch):
        whole, part = getattr(material[2], f.name), getattr(batch, f.name)
        torch.testing.assert_close(part, whole[[5, 0]], rtol=0, atol=0, equal_nan=True)


def test_a_few_steps_on_one_batch_lower_its_loss(either, material):
    optimizer = torch.optim.Adam([p for p in either.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = either.loss(material[2], generator())
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])


def test_the_physical_units_and_the_dose_are_the_tables(material):
    known, config, _, _ = material
    net = build(config, known)
    assert float(net.media_dynamics.oxygen_scale) == pytest.approx(known.scales["%air"][1])
    for part in (net.drug_encoder, net.media_dynamics, net.replicate_generator):
        assert float(part.dose.c_ref) == pytest.approx(known.c_ref)
