"""Factors of the latent: what each moves, against the decoder itself."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mediacvae.factors import factors

CONDITION = ("kmer6c",)


def test_moves_are_what_the_decoder_says(ruled: Any) -> None:
    model = ruled.model("cvae", *CONDITION)
    data = ruled.dataset(*CONDITION)
    condition = data.conditions[data.organisms["split"] == "test"][:1]
    found = factors(model, condition, top=len(model.ingredients))
    organism, medium = model.pairs.T
    x, c = (
        torch.as_tensor(a, dtype=torch.float32) for a in (model.media[medium], model.conditions[organism])
    )
    with torch.no_grad():
        mean, logvar = model.vae.posterior_of(x, model.vae.given(c))
        np.testing.assert_allclose(found.variance, mean.var(dim=0, correction=0), rtol=1e-4)
        first = int(found.variance.argmax())
        sd = (mean.var(dim=0, correction=0) + logvar.exp().mean(dim=0)).sqrt()[first]
        ends = mean.mean(dim=0).repeat(2, 1)
        ends[0, first] += 2 * sd
        ends[1, first] -= 2 * sd
        out = model.vae.decode(ends, model.vae.given(torch.as_tensor(condition)).expand(2, -1))
        there = out.logits.sigmoid()
    own = found.moves[found.moves["factor"] == 1].set_index("ingredient")
    expected = (there[0] - there[1]).numpy()
    np.testing.assert_allclose(own["chance"].loc[list(model.ingredients)], expected, atol=1e-5)
    assert (own["variance"] == found.variance[first]).all()


def test_active_features_are_counted(ruled: Any) -> None:
    found = factors(ruled.model("cvae", *CONDITION), top=2)
    assert found.active == (found.variance > 0.01).sum()
    assert 1 <= found.active <= 6
    assert found.moves.groupby("factor").size().tolist() == [2] * 6
    assert (np.diff(found.moves["variance"]) <= 0).all()
    assert np.isfinite(found.moves[["chance", "amount"]]).all(axis=None)


def test_a_latent_that_nobody_reads_moves_nothing(ruled: Any) -> None:
    model = ruled.model("cvae", *CONDITION)
    net = copy.deepcopy(model.vae)
    with torch.no_grad():
        net.decoder[0].weight[:, : net.options.latent] = 0.0
    found = factors(replace(model, vae=net))
    assert np.abs(found.moves[["chance", "amount"]]).to_numpy().max() < 1e-5


def test_what_a_genus_shares_is_told(ruled: Any) -> None:
    found = factors(ruled.model("hierarchical", *CONDITION), top=1)
    assert sorted(found.moves["level"]) == ["genus"] * 2 + ["strain"] * 4
    assert set(factors(ruled.model("cvae", *CONDITION), top=1).moves["level"]) == {"strain"}


def test_a_model_without_a_network_has_no_latent(ruled: Any) -> None:
    with pytest.raises(ValueError, match="it has no latent"):
        factors(ruled.model("base", *CONDITION))
