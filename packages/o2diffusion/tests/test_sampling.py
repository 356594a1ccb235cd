"""Joint draws: the same for a seed, with the head's marginals, and never touching what was observed."""

import numpy as np
import pytest
import torch
from scipy.special import ndtri

from o2diffusion import sampling
from o2diffusion.grid import to_grid
from o2diffusion.marginals import from_scores
from o2diffusion.pool import collate, item


def make_items(condition, curves, sizes=(3, 1, 4)):
    items = []
    for k, r in enumerate(sizes):
        time, oxygen = curves(k, r=r)
        grid = to_grid(condition(time, oxygen, changes=(20.0,)), 32)
        hidden = np.zeros(grid.value.shape, dtype=bool)
        hidden[8:14] = True
        items.append(item(grid, hidden, fallback=(40.0, 20.0), drug=k - 1, concentration=1.0))
    return items


def fill(net, items, n, seed=0, **options):
    return sampling.fill(net, items, n, generator=torch.Generator().manual_seed(seed), **options)


@pytest.fixture
def items(condition, curves):
    return make_items(condition, curves)


def test_the_same_seed_gives_the_same_draws_and_another_one_others(tiny_net, items):
    a, b, c = (fill(tiny_net, items, 8, seed) for seed in (0, 0, 1))
    for x, y, z in zip(a, b, c, strict=True):
        np.testing.assert_array_equal(x.draws, y.draws)
        np.testing.assert_array_equal(x.quantiles, z.quantiles)
        assert (x.draws != z.draws)[np.isfinite(x.draws)].any()


@pytest.mark.parametrize("n", [0, 1, 2, 40])
def test_as_many_draws_as_asked_for(tiny_net, items, n):
    for one, found in zip(items, fill(tiny_net, items, n), strict=True):
        assert found.draws.shape == (n, *one.active.shape)
        assert np.isfinite(found.draws[:, one.active]).all()
        assert np.isfinite(found.quantiles[one.active]).all()


def test_few_draws_are_the_first_of_many(tiny_net, items):
    few, more = fill(tiny_net, items, 2), fill(tiny_net, items, sampling.FEWEST)
    for a, b in zip(few, more, strict=True):
        np.testing.assert_array_equal(a.draws, b.draws[:2])


def test_the_marginals_of_the_draws_are_the_quantiles_of_the_head(tiny_net, items):
    n = 99
    for one, found in zip(items, fill(tiny_net, items, n), strict=True):
        q = torch.as_tensor(found.quantiles[one.active])  # (m, k)
        score = torch.as_tensor(ndtri((np.arange(n) + 0.5) / n))[:, None].expand(n, len(q))
        expected = from_scores(score, q).numpy()
        np.testing.assert_allclose(
            np.sort(found.draws[:, one.active], axis=0), expected, rtol=1e-4, atol=1e-4
        )


def test_observed_cells_are_never_changed(tiny_net, items):
    for one, found in zip(items, fill(tiny_net, items, 4), strict=True):
        shown = one.grid.observed & ~one.active
        for draw in found.draws:
            np.testing.assert_array_equal(draw[shown], one.grid.value[shown])
        assert np.isnan(found.draws[:, ~one.grid.observed & ~one.active]).all()


def test_the_units_are_those_of_the_table(tiny_net, condition, curves):
    time, oxygen = curves(0)
    found = []
    for factor, shift in ((1.0, 0.0), (0.0417, 3.0)):
        grid = to_grid(condition(time, factor * oxygen + shift), 32)
        hidden = np.zeros(grid.value.shape, dtype=bool)
        hidden[8:14] = True
        found.append(fill(tiny_net, [item(grid, hidden, fallback=(0.0, 1.0))], 6)[0])
    scale = np.nanstd(oxygen)
    np.testing.assert_allclose((found[1].draws - 3.0) / 0.0417, found[0].draws, atol=0.01 * scale)
    np.testing.assert_allclose((found[1].quantiles - 3.0) / 0.0417, found[0].quantiles, atol=0.01 * scale)


def test_a_small_chunk_and_a_small_batch_only_bound_memory(tiny_net, items, monkeypatch):
    whole = fill(tiny_net, items, 40)
    alone = fill(tiny_net, items[:1], 40)
    monkeypatch.setattr(sampling, "CHUNK", 16)
    parts = fill(tiny_net, items, 40, batch_size=2)
    for one, a, b in zip(items, whole, parts, strict=True):
        assert b.draws.shape == a.draws.shape
        np.testing.assert_allclose(a.quantiles[one.active], b.quantiles[one.active], rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(
            np.sort(a.draws[:, one.active], axis=0),
            np.sort(b.draws[:, one.active], axis=0),
            rtol=1e-4,
            atol=1e-3,
        )
    np.testing.assert_allclose(alone[0].quantiles, whole[0].quantiles, rtol=1e-4, atol=1e-3)


def test_the_size_of_a_chunk_changes_no_draw(tiny_net, items, monkeypatch):
    batch = collate(items)
    encoded = tiny_net.encode(batch)
    found = []
    for size in (16, 48, 100_000):
        monkeypatch.setattr(sampling, "CHUNK", size)
        seeded = torch.Generator().manual_seed(0)
        found.append(
            sampling.draw_scores(tiny_net, encoded, batch.active, batch.replicate_mask, 9, generator=seeded)
        )
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-4, atol=1e-4)
    assert found[0].std(dim=0)[batch.active].min() > 0.01  # draws of one cell differ


def test_conditions_of_few_replicates_are_filled_alike_alone_and_beside_fuller_ones(tiny_net, items):
    together, alone = fill(tiny_net, items, 0), fill(tiny_net, items[1:2], 0)
    assert items[1].active.shape[1] == 1
    np.testing.assert_allclose(alone[0].quantiles, together[1].quantiles, rtol=1e-4, atol=1e-3)


class Known(torch.nn.Module):
    """A denoiser that knows its scores: one number for all cells of a condition, N(0, 1) between conditions."""

    def __init__(self, net):
        super().__init__()
        self.net = net  # the encoder enters what it saw here

    def forward(self, x, sigma, *, encoded, active, replicate_mask):
        count = active.sum((1, 2)).clamp(min=1)
        mean = (x * active).sum((1, 2)) / count  # the posterior mean given cells that share one number
        return (mean / (1 + sigma**2 / count))[:, None, None] * active


def test_draws_are_joint(tiny_net, items):
    """With the exact denoiser of perfectly dependent cells the draws of a block rise and fall together."""
    net = tiny_net
    kept = net.denoiser
    try:
        net.denoiser = Known(kept.net)
        found = fill(net, items[1:2], 200, steps=20)[0]
    finally:
        net.denoiser = kept
    draws = found.draws[:, items[1].active]
    assert np.corrcoef(draws.T).min() > 0.9


def test_without_denoising_replicates_are_drawn_together(tiny_net, items):
    batch = collate(items)
    encoded = tiny_net.encode(batch)
    scores = sampling.shared_scores(
        encoded, batch.active, batch.replicate_mask, 2000, generator=torch.Generator().manual_seed(0)
    )
    assert scores.shape == (2000, *batch.active.shape)
    assert not scores[:, ~batch.active].any()
    block = batch.active[2].all(dim=1).nonzero()[0, 0]
    found = np.corrcoef(scores[:, 2, block].T.numpy())
    assert found[0, 1] == pytest.approx(float(encoded.correlation[2].detach()), abs=0.05)
    joint, apart = fill(tiny_net, items, 50), fill(tiny_net, items, 50, joint=False)
    for a, b, one in zip(joint, apart, items, strict=True):
        np.testing.assert_allclose(np.sort(a.draws, axis=0), np.sort(b.draws, axis=0), rtol=1e-4)
        assert np.isfinite(b.draws[:, one.active]).all()
