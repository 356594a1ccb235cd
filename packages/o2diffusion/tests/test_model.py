"""The assembled network: the promises of its shape, whatever its weights."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import nn

from cytosol import testing
from o2diffusion.grid import to_grid
from o2diffusion.marginals import K
from o2diffusion.model import Batch, FlexibleReplicateDiffusionModel, common_part
from o2diffusion.pool import collate, item

BY_REPLICATE = ("channels", "experts", "sd", "active", "target")  # (b, t, r, ...)


def make_batch(condition, curves, *, sizes=(3, 1, 4, 2), seed=0, hide=0.3, cells=32):
    """Conditions of several sizes, drugs and doses, one of them without any visible cell."""
    rng = np.random.default_rng(seed)
    items = []
    for k, r in enumerate(sizes):
        time, oxygen = curves(seed + k, r=r)
        grid = to_grid(condition(time, oxygen, changes=(7.3, 30.1)[: k % 3]), cells)
        hidden = rng.random(grid.value.shape) < (hide if k != 1 else 2.0)
        drug, dose = [(0, 1.0), (1, 3.0), (-1, 0.0), (-1, float("nan"))][k % 4]
        items.append(item(grid, hidden, fallback=(40.0, 20.0), drug=drug, concentration=dose))
    return collate(items)


@pytest.fixture
def batch(condition, curves):
    return make_batch(condition, curves)


def as_inputs(batch, **more):
    """The batch as keywords, replicates right behind the batch axis, as the helpers want them."""
    plain = {f.name: getattr(batch, f.name) for f in fields(Batch)}
    return {n: v.transpose(1, 2) if n in BY_REPLICATE else v for n, v in plain.items()} | more


class ByReplicate(nn.Module):
    """Quantiles (b, r, t, k) and the denoised scores (b, r, t) of a batch given as keywords."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, sigma, **inputs):
        batch = Batch(**{n: v.transpose(1, 2) if n in BY_REPLICATE else v for n, v in inputs.items()})
        encoded = self.net.encode(batch)
        scores = self.net.denoise(x.transpose(1, 2), sigma, encoded=encoded, batch=batch)
        return {"quantiles": encoded.quantiles.transpose(1, 2), "scores": scores.transpose(1, 2)}


@pytest.fixture
def module(tiny_net):
    return ByReplicate(tiny_net)


@pytest.fixture
def inputs(batch):
    generator = torch.Generator().manual_seed(3)
    b, t, r = batch.active.shape
    x = torch.randn(b, r, t, generator=generator)
    return as_inputs(batch, x=x, sigma=torch.tensor([0.05, 0.5, 2.0, 9.0]))


@pytest.mark.parametrize("garbage", [1e3, float("nan")])
def test_padded_replicates_change_nothing(module, inputs, garbage):
    testing.assert_padding_invariant(
        module,
        inputs,
        padded=("x", "channels", "experts", "sd", "target"),
        mask="replicate_mask",
        garbage=garbage,
        atol=1e-4,
    )


def test_more_padding_changes_nothing(tiny_net, condition, curves):
    time, oxygen = curves(0, r=2)
    grid = to_grid(condition(time, oxygen), 32)
    one = item(grid, np.zeros(grid.value.shape, dtype=bool), fallback=(0.0, 1.0))
    with torch.no_grad():
        narrow, wide = (tiny_net.encode(collate([one], replicates=n)).quantiles for n in (2, 4))
    torch.testing.assert_close(narrow, wide[:, :, :2], atol=1e-4, rtol=1e-4)


def test_replicates_in_another_order_come_out_in_that_order(module, inputs):
    names = ("x", *BY_REPLICATE, "replicate_mask")
    testing.assert_permutation_equivariant(module, inputs, dims=dict.fromkeys(names, 1), out_dim=1, atol=1e-4)


def test_a_condition_does_not_depend_on_its_batch(module, inputs):
    testing.assert_batch_independent(module, inputs, atol=1e-4)


def test_quantiles_increase_strictly_even_far_from_training(tiny_config, batch):
    for seed in range(3):
        torch.manual_seed(seed)
        net = FlexibleReplicateDiffusionModel(tiny_config, n_drugs=2)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(5.0).add_(torch.randn_like(parameter))
            quantiles = net.encode(batch).quantiles
        assert quantiles.shape == (*batch.active.shape, K)
        assert quantiles.isfinite().all()
        assert (quantiles.double().diff() > 0)[batch.replicate_mask[:, None].expand(batch.active.shape)].all()


def test_a_new_network_starts_at_the_process(tiny_config, batch):
    torch.manual_seed(0)
    net = FlexibleReplicateDiffusionModel(tiny_config, n_drugs=2)
    with torch.no_grad():
        quantiles = net.encode(batch).quantiles
    off = (quantiles[..., K // 2] - batch.experts[..., 0]) / batch.sd
    low, high = batch.experts.amin(-1), batch.experts.amax(-1)
    real = batch.replicate_mask[:, None].expand(batch.active.shape)
    middle = quantiles[..., K // 2][real]
    assert ((middle > low[real] - 0.1) & (middle < high[real] + 0.1)).all()
    assert off[real].abs().median() < 0.5


def test_everything_hidden_gives_finite_and_replicate_wise_equal_quantiles(tiny_net, batch):
    with torch.no_grad():
        found = tiny_net.encode(batch).quantiles[1]
    assert not batch.channels[1, ..., 1].any()
    assert found.isfinite().all()


@pytest.mark.parametrize("cells", [17, 31, 32, 50])
def test_lengths_that_do_not_halve(tiny_net, condition, curves, cells):
    batch = make_batch(condition, curves, sizes=(2, 1), cells=cells)
    with torch.no_grad():
        encoded = tiny_net.encode(batch)
        x = torch.randn(batch.active.shape)
        scores = tiny_net.denoise(x, torch.ones(2), encoded=encoded, batch=batch)
    assert encoded.quantiles.shape == (2, cells, 4, K)
    assert scores.shape == (2, cells, 4)
    assert encoded.quantiles.isfinite().all()
    assert scores.isfinite().all()


def test_at_dose_zero_every_drug_is_the_control(tiny_net, batch):
    zero = torch.zeros_like(batch.concentration)
    with torch.no_grad():
        found = [
            tiny_net.encode(replace(batch, drug=torch.full_like(batch.drug, k), concentration=zero))
            for k in (-1, 0, 1)
        ]
        dosed = tiny_net.encode(replace(batch, drug=torch.zeros_like(batch.drug), concentration=zero + 5.0))
    for other in found[1:]:
        torch.testing.assert_close(other.quantiles, found[0].quantiles, rtol=0, atol=0)
        torch.testing.assert_close(other.seen, found[0].seen, rtol=0, atol=0)
    assert (dosed.quantiles - found[0].quantiles).abs().max() > 1e-4


def test_the_drug_matters_at_a_dose(tiny_net, batch):
    with torch.no_grad():
        dose = torch.full_like(batch.concentration, 5.0)
        a, b = (
            tiny_net.encode(replace(batch, drug=torch.full_like(batch.drug, k), concentration=dose)).quantiles
            for k in (0, 1)
        )
    assert (a - b).abs().max() > 1e-4


def test_the_denoiser_knows_the_drug_the_level_and_what_the_encoder_saw(tiny_net, batch):
    x = torch.randn(batch.active.shape, generator=torch.Generator().manual_seed(0))

    def scores(encoded, sigma=1.0):
        return tiny_net.denoiser.raw(
            x,
            torch.full((len(x),), sigma),
            encoded=encoded,
            active=batch.active,
            replicate_mask=batch.replicate_mask,
        )

    with torch.no_grad():
        encoded = tiny_net.encode(batch)
        there = scores(encoded)
        others = [
            scores(replace(encoded, cond=torch.zeros_like(encoded.cond))),
            scores(replace(encoded, seen=torch.zeros_like(encoded.seen))),
            scores(encoded, 1.1),
        ]
    for other in others:
        assert (other - there).abs().max() > 1e-4


def test_without_media_changes_the_pace_does_not_matter(tiny_net, batch):
    still = replace(batch, event_mask=torch.zeros_like(batch.event_mask))
    with torch.no_grad():
        a = tiny_net.encode(still).quantiles
        b = tiny_net.encode(replace(still, time=100 * still.time)).quantiles
        c = tiny_net.encode(replace(batch, time=100 * batch.time)).quantiles
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert (c - a).abs().max() > 1e-5  # a change has its own hours


def test_a_network_comes_back_from_its_state(module, inputs, tiny_config):
    def make():
        return ByReplicate(FlexibleReplicateDiffusionModel(tiny_config, n_drugs=2).eval())

    testing.assert_state_round_trip(module, make, inputs)


def test_the_common_part_is_the_posterior_mean_of_cells_that_share_one_score():
    """Against the dense Gaussian posterior of a constant, cell by cell of the group."""
    rng = torch.Generator().manual_seed(0)
    active = torch.rand(2, 12, 3, generator=rng) < 0.5
    noisy, sigma = torch.randn(2, 12, 3, generator=rng), torch.tensor([0.4, 7.0])
    scaled = noisy / torch.sqrt(1 + sigma**2)[:, None, None]
    found = common_part(scaled, sigma.log() / 4, active)
    for b in range(2):
        for group, members in (
            (0, [[(t, r) for t in range(12)] for r in range(3)]),
            (1, [[(t, r) for r in range(3)] for t in range(12)]),
            (2, [[(t, r) for t in range(12) for r in range(3)]]),
        ):
            for cells in members:
                on = [c for c in cells if active[b][c]]
                if not on:
                    continue
                x = torch.stack([noisy[b][c] for c in on]).double()
                k = torch.ones(len(on), len(on), dtype=torch.float64) + sigma[b].double() ** 2 * torch.eye(
                    len(on), dtype=torch.float64
                )
                expected = torch.ones(len(on), dtype=torch.float64) @ torch.linalg.solve(k, x)
                for c in on:
                    assert found[b][c][group] == pytest.approx(float(expected), rel=1e-4, abs=1e-6)
    assert not found[~active].any()
    spoilt = torch.where(active, scaled, torch.nan)
    torch.testing.assert_close(common_part(spoilt, sigma.log() / 4, active), found)


def test_a_replicate_that_shows_nothing_is_centred_between_the_fills(tiny_net, condition, curves):
    grid = to_grid(condition(*curves(0, r=3)), 32)
    hidden = np.zeros(grid.value.shape, dtype=bool)
    hidden[:, 1] = True
    hidden[5:9, 0] = True
    batch = collate([item(grid, hidden, fallback=(40.0, 20.0))])
    middle = tiny_net.encode(batch).quantiles[0, ..., K // 2]
    low, high = batch.experts[0].min(-1).values - 1e-5, batch.experts[0].max(-1).values + 1e-5
    assert ((middle >= low) & (middle <= high))[:, 1].all()
    assert not ((middle >= low) & (middle <= high))[
        :, 0
    ].all()  # where something is seen, fills are corrected
