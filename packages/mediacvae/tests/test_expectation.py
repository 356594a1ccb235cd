"""What the network expects against what it generates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mediacvae.base import MAIN
from mediacvae.expectation import doubt, expected


def test_it_is_the_mean_of_what_is_generated(model, dataset):
    c = dataset.conditions[:1]
    made = np.concatenate([model.vae.generate(2000, c, seed=seed) for seed in range(5)])
    found = expected(model.vae, c, draws=4000)
    np.testing.assert_allclose(found.there[0], (made > 0).mean(axis=0), atol=0.03)
    np.testing.assert_allclose(found.amount[0], np.log1p(made).mean(axis=0), atol=0.08)
    main = (made > MAIN).mean(axis=0)
    sure = (main < 0.02) | (
        np.abs(main - (made > 0).mean(axis=0)) < 0.02
    )  # nodes are coarse about the border
    np.testing.assert_allclose(found.main[0][sure], main[sure], atol=0.05)


def test_no_one_else_who_is_asked_about_changes_it(model, dataset):
    c = dataset.conditions[[3, 20, 50]]
    whole = expected(model.vae, c, draws=8)
    for row in range(3):
        alone = expected(model.vae, c[row : row + 1], draws=8)
        for one, other in zip(alone, whole, strict=True):
            np.testing.assert_allclose(one[0], other[row], rtol=1e-4, atol=1e-6)


def test_ranges_seeds_and_nothing_known(model, dataset):
    c = np.concatenate([dataset.conditions[:2], np.full_like(dataset.conditions[:1], np.nan)])
    one, same, other = (expected(model.vae, c, draws=4, seed=seed) for seed in (0, 0, 1))
    for part, again in zip(one, same, strict=True):
        np.testing.assert_array_equal(part, again)
        assert np.isfinite(part).all()
        assert (part >= 0).all()
    assert (one.main <= one.there + 1e-6).all()
    assert (one.there <= 1).all()
    assert (one.there != other.there).any()
    assert expected(model.vae, c[:0], draws=2).there.shape == (0, len(dataset.ingredients))


def test_every_draw_has_its_own_thinned_network(model, dataset):
    net, c = model.vae, dataset.conditions[:3]
    left = doubt(net, c, draws=64)
    assert left.shape == (3, len(dataset.ingredients))
    assert 0 < left.mean() < 0.5
    np.testing.assert_array_equal(left, doubt(net, c, draws=64))
    with torch.no_grad():  # the masks are dropout's, by torch's own hand
        given = net.given(torch.as_tensor(c))
        latent = net.prior_of(given)[0]
        torch.manual_seed(0)
        net.train()
        dropped = torch.stack([net.decode(latent, given).logits.sigmoid() for _ in range(1000)])
        net.eval()
    np.testing.assert_allclose(doubt(net, c, draws=1000), dropped.std(dim=0), atol=0.03)


def test_without_a_hurdle_it_is_the_recipe_itself():
    from mediacvae.config import TrainConfig
    from mediacvae.model import ConditionalMediaVAE

    torch.manual_seed(0)
    net = ConditionalMediaVAE(6, 3, TrainConfig(model_type="spec").vae())
    c = np.ones((1, 3), np.float32)
    found = expected(net, c, draws=2000)
    made = net.generate(2000, c)
    assert found.amount[0] == pytest.approx(np.log1p(made).mean(axis=0), abs=0.02)
    np.testing.assert_allclose(found.there[0], (made > MAIN).mean(axis=0), atol=0.05)
