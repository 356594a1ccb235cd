"""The network: shapes, what must not depend on what, the drawn preset, and the same again from disk."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cytosol.bundle import BundleError, save_bundle
from cytosol.config import to_dict
from cytosol.testing import assert_batch_independent, assert_every_parameter_trains, assert_state_round_trip
from mediacvae import vae_file
from mediacvae.config import TrainConfig
from mediacvae.losses import kl
from mediacvae.model import ConditionalMediaVAE, Scale, shared
from mediacvae.parts import reading_of
from mediacvae.vae_options import VaeOptions

M, D = 7, 5
SMALL = {"latent": 4, "encoder": (16,), "decoder": (16,), "condition": 6}
KINDS = {
    "cvae": VaeOptions(**SMALL),
    "hierarchical": VaeOptions(**SMALL, genus=2),
    "spec": TrainConfig(model_type="spec", latent_dim=4).vae(),
}


def media(n: int = 9, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.lognormal(0, 2, (n, M)) * (rng.random((n, M)) < 0.6)).astype(np.float32)


def conditions(n: int = 9, seed: int = 1) -> np.ndarray:
    made = np.random.default_rng(seed).normal(3, 2, (n, D)).astype(np.float32)
    made[1::4, 2:] = np.nan
    made[2::4] = np.nan
    return made


def network(kind: str = "cvae") -> ConditionalMediaVAE:
    torch.manual_seed(0)
    reading = reading_of(conditions(50), [slice(0, 2), slice(2, D)], [True, False])
    return ConditionalMediaVAE(M, D, KINDS[kind], scale=Scale.of(media(50)), reading=reading)


@pytest.fixture(params=list(KINDS))
def net(request) -> ConditionalMediaVAE:
    return network(request.param)


class Both(nn.Module):
    """What the network says of media under conditions, as a module."""

    def __init__(self, net: ConditionalMediaVAE) -> None:
        super().__init__()
        self.net = net

    def forward(self, media, condition):
        given = self.net.given(condition)
        mean, logvar = self.net.posterior_of(media, given)
        return {"mean": mean, "logvar": logvar, **self.net.decode(mean, given)._asdict()}


INPUTS = {"media": torch.as_tensor(media()), "condition": torch.as_tensor(conditions())}


# ---- tensors


def test_each_row_alone_and_the_same_from_a_state(net):
    assert_batch_independent(Both(net), INPUTS)
    reading = reading_of(conditions(7), [slice(0, 2), slice(2, D)], [True, False])
    fresh = Losses(ConditionalMediaVAE(M, D, net.options, reading=reading))
    assert_state_round_trip(Losses(net), lambda: fresh, INPUTS)


def test_rows_in_another_order_come_out_in_that_order(net):
    order = [3, 1, 0, 2, 8, 7, 6, 5, 4]
    x, c = media(), conditions()
    np.testing.assert_allclose(net.encode(x[order], c[order]), net.encode(x, c)[order], atol=1e-5)
    np.testing.assert_allclose(
        net.predict(x[order], c[order]), net.predict(x, c)[order], rtol=1e-4, atol=1e-5
    )


class Losses(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, media, condition):
        return self.net(media, condition, torch.Generator().manual_seed(0), torch.arange(len(media)) // 2)


def test_every_parameter_trains(net):
    assert_every_parameter_trains(Losses(net), INPUTS)


def test_gradients_of_the_loss(net):
    net = net.double()
    c = torch.as_tensor(conditions(3)).double()
    weights = [p for p in net.parameters() if p.numel() < 40]

    def loss(*_):
        reconstruction, divergence = net(INPUTS["media"][:3].double(), c, torch.Generator().manual_seed(0))
        return reconstruction.sum() + divergence.sum()

    assert torch.autograd.gradcheck(loss, weights[:4], eps=1e-6, atol=1e-4)


def test_a_fresh_network_has_no_dropout():
    net = network()
    np.testing.assert_array_equal(net.encode(media(), conditions()), net.encode(media(), conditions()))


def test_divergence_is_nothing_where_the_posterior_is_the_prior():
    net = network("spec")
    with torch.no_grad():
        net.posterior.weight.zero_()
        net.posterior.bias.zero_()
    divergence = net(*INPUTS.values(), torch.Generator())[1]
    assert not divergence.any()


# ---- the specification's drawing


def test_the_preset_is_the_drawn_network():
    options = TrainConfig(model_type="spec", latent_dim=32).vae()
    net = ConditionalMediaVAE(256, 256, options)
    layers = {
        name: [
            (part.in_features, part.out_features)
            for part in net.get_submodule(name).modules()
            if isinstance(part, nn.Linear)
        ]
        for name in ("encoder", "posterior", "decoder", "amount")
    }
    assert layers == {
        "encoder": [(256 + 256, 256), (256, 128)],
        "posterior": [(128, 2 * 32)],
        "decoder": [(32 + 256, 128), (128, 64)],
        "amount": [(64, 256)],
    }
    for name in ("encoder", "decoder"):
        kinds = [type(part).__name__ for part in net.get_submodule(name)]
        assert kinds == ["Linear", "ReLU", "BatchNorm1d"] * 2
    drawn = sum(a * b + b for parts in layers.values() for a, b in parts)
    norms = 2 * (256 + 128 + 128 + 64)
    assert sum(p.numel() for p in net.parameters()) == drawn + norms  # and nothing beside it
    made = net.generate(20, np.zeros((1, 256)))
    assert (made == 0).any()
    assert (made >= 0).all()


# ---- genus above strain


def test_media_of_a_genus_share_one_posterior_the_product_of_theirs():
    g = torch.Generator().manual_seed(0)
    mean, logvar, noise = (torch.randn(6, 4, generator=g, dtype=torch.float64) for _ in range(3))
    genus = torch.tensor([5, 2, 5, -1, 5, -1])
    m, v, n, rows = shared(mean, logvar, noise, genus, 2)
    same = [0, 2, 4]
    precision = (-logvar[same, :2]).exp()
    for row in same:
        torch.testing.assert_close(v[row, :2].exp(), 1 / precision.sum(dim=0))
        product = (precision * mean[same, :2]).sum(dim=0) / precision.sum(dim=0)
        torch.testing.assert_close(m[row, :2], product)
        torch.testing.assert_close(n[row, :2], noise[0, :2])
    for row in (1, 3, 5):  # alone, or of no genus
        for made, before in ((m, mean), (v, logvar), (n, noise)):
            torch.testing.assert_close(made[row], before[row])
    for made, before in ((m, mean), (v, logvar), (n, noise)):
        torch.testing.assert_close(made[:, 2:], before[:, 2:])
    assert rows[:, 0].tolist() == [3, 1, 3, 1, 3, 1]


@given(st.permutations(range(6)))
def test_the_order_in_a_genus_changes_its_draw_only(order):
    g = torch.Generator().manual_seed(0)
    mean, logvar, noise = (torch.randn(6, 4, generator=g) for _ in range(3))
    genus = torch.tensor([0, 1, 0, -1, 1, 0])
    m, v, _, _ = shared(mean, logvar, noise, genus, 2)
    moved = shared(mean[order], logvar[order], noise[order], genus[order], 2)
    torch.testing.assert_close(moved[0], m[order])
    torch.testing.assert_close(moved[1], v[order])


def test_a_genus_pays_once_for_what_it_shares():
    net = network("hierarchical")
    x, c = torch.as_tensor(media(1)), torch.as_tensor(conditions(1))
    one = net(x, c, torch.Generator(), torch.tensor([4]))[1]
    four = net(x.expand(4, -1), c.expand(4, -1), torch.Generator(), torch.full((4,), 4))[1]
    torch.testing.assert_close(four[:, 2:], one[:, 2:].expand(4, -1))
    mean, logvar = net.posterior_of(x, net.given(c))
    sharper = kl(mean, logvar - np.log(4), *net.prior_of(net.given(c)))[:, :2]
    torch.testing.assert_close(four[:, :2].sum(dim=0), sharper[0])


# ---- arrays


def test_shapes(net):
    x, c = media(), conditions()
    assert net.encode(x, c).shape == (9, 4)
    assert net.predict(x, c).shape == (9, M)
    assert net.generate(3, c[:1]).shape == (3, M)
    assert net.generate(0, c[:1]).shape == (0, M)
    assert net.encode(x[:0], c[:0]).shape == (0, 4)


EXTREME = st.sampled_from([0.0, 1.0, -50.0, 1e6, -1e30, 3e38, np.nan])


@given(st.sampled_from(list(KINDS)), st.lists(EXTREME, min_size=D, max_size=D))
def test_whatever_the_condition_recipes_are_finite_and_not_negative(kind, condition):
    net = network(kind)
    c = np.array([condition], dtype=np.float32)
    for made in (net.generate(5, c), net.predict(media(1) * 1e30, c), net.predict(media(1) * 1e-30, c)):
        assert np.isfinite(made).all()
        assert (made >= 0).all()
    assert np.isfinite(net.encode(media(1), c)).all()


def test_generation_is_seeded(net):
    c = conditions()[:1]
    one, same, other = (net.generate(4, c, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    state = torch.get_rng_state()
    net.generate(2, c)
    assert torch.equal(state, torch.get_rng_state())


def test_generation_follows_the_likelihood():
    """Of one latent: each ingredient as often as its logit says, its logs as far apart as its spread says."""
    net = network()
    with torch.no_grad():
        net.decoder[0].weight.zero_()  # the latent says nothing
        net.amount_log_sd.copy_(torch.linspace(-1, 0, M))
        net.presence.bias.copy_(torch.linspace(-2, 2, M))
    c = conditions()[:1]
    logits, amount = net.draws(1, c)
    made = net.generate(20_000, c)
    np.testing.assert_allclose((made > 0).mean(axis=0), 1 / (1 + np.exp(-logits[0])), atol=0.015)
    logs = np.log(np.where(made > 0, made, np.nan))
    sd = net.log_sd.numpy()
    np.testing.assert_allclose(np.nanmean(logs, axis=0), amount[0] * sd + net.log_mean.numpy(), atol=0.1)
    spread = np.exp(np.linspace(-1, 0, M)) * sd
    np.testing.assert_allclose(np.nanstd(logs, axis=0), spread, rtol=0.05)


def test_amounts_come_back_from_their_logs():
    net, x = network(), torch.as_tensor(media())
    there = x > 0
    torch.testing.assert_close(net.grams(net.standard(x))[there], x[there], rtol=1e-4, atol=0)
    assert not net.standard(x)[~there].any()
    np.testing.assert_allclose(net.in_grams(net.standard(x).numpy())[there.numpy()], x[there], rtol=1e-4)


def test_scale_is_of_what_is_there():
    x = np.array([[1.0, 0, 2], [np.e, 0, 2], [0, 0, 2]])
    scale = Scale.of(x)
    np.testing.assert_allclose(scale.mean, [0.5, 0, np.log(2)])
    np.testing.assert_allclose(scale.sd, [0.5, 0.1, 0.1])


@pytest.mark.parametrize(
    ("x", "c", "message"),
    [
        (media()[:, 1:], conditions(), r"media: expected the shape \(n, 7\), got \(9, 6\)"),
        (media()[0], conditions()[:1], r"media: expected the shape \(n, 7\), got \(7,\)"),
        (media(), conditions()[:, 1:], r"condition: expected the shape \(n, 5\), got \(9, 4\)"),
        (media(), conditions()[:3], "expected as many conditions as media, got 3 and 9"),
        (-media(), conditions(), "media: expected finite amounts of at least 0 g/L"),
        (media() * np.nan, conditions(), "media: expected finite amounts"),
        (media(), conditions() * np.inf, "condition: expected finite numbers, or NaN"),
    ],
)
def test_wrong_arrays_are_refused(x, c, message):
    net = network()
    for method in (net.encode, net.predict):
        with pytest.raises(ValueError, match=message):
            method(x, c)


def test_one_organism_at_a_time():
    with pytest.raises(
        ValueError, match="condition: expected one row, got 2; generate for one organism at a time"
    ):
        network().generate(1, conditions()[:2])


# ---- on disk

CHILD = """
import sys, numpy as np
from mediacvae.model import ConditionalMediaVAE
folder = sys.argv[1]
x, c = np.load(folder + "/x.npy"), np.load(folder + "/c.npy")
for kind in sys.argv[2:]:
    net = ConditionalMediaVAE.load(f"{folder}/{kind}")
    np.savez(f"{folder}/{kind}.npz", a=net.encode(x, c), b=net.predict(x, c), c=net.generate(5, c[:1], seed=3))
"""


def test_the_same_in_a_new_process(tmp_path):
    x, c = media(), conditions()
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "c.npy", c)
    for kind in KINDS:
        network(kind).save(tmp_path / kind)
    subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), *KINDS], check=True, timeout=120)
    for kind in KINDS:
        net = network(kind)
        with np.load(tmp_path / f"{kind}.npz") as out:
            np.testing.assert_array_equal(out["a"], net.encode(x, c))
            np.testing.assert_array_equal(out["b"], net.predict(x, c))
            np.testing.assert_array_equal(out["c"], net.generate(5, c[:1], seed=3))


def test_nothing_is_overwritten_unasked(tmp_path):
    network().save(tmp_path / "net")
    with pytest.raises(BundleError, match="already holds a model"):
        network().save(tmp_path / "net")
    network("spec").save(tmp_path / "net", force=True)
    assert ConditionalMediaVAE.load(tmp_path / "net").options == KINDS["spec"]


@pytest.mark.parametrize(
    "config", [{"latent": 5}, {"latent": "x"}, {"condition": 7}, {"likelihood": "mse"}, {"new": 1}]
)
def test_settings_that_do_not_fit_are_told(tmp_path, config):
    net = network()
    save_bundle(
        tmp_path, kind=vae_file.KIND, package="mediacvae", version="0", tensors=net.state_dict(),
        config={**to_dict(net.options), **config}, extra=net.stored.widths,
    )  # fmt: skip
    with pytest.raises(BundleError) as caught:
        ConditionalMediaVAE.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_damage_is_told(tmp_path):
    network().save(tmp_path / "net")
    weights = tmp_path / "net/model.safetensors"
    spoilt = bytearray(weights.read_bytes())
    spoilt[-5] ^= 1
    weights.write_bytes(spoilt)
    with pytest.raises(BundleError, match="sha256"):
        ConditionalMediaVAE.load(tmp_path / "net")


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"latent": 0}, "expected at least 1"),
        ({"encoder": (8, 0)}, "expected at least 1"),
        ({"genus": 32}, "genus: expected from 0 to less than latent = 32, got 32"),
        ({"dropout": 1.0}, r"dropout: expected a share in \[0, 1\), got 1.0"),
        ({"dropout": float("nan")}, "dropout: expected a share"),
        ({"likelihood": "poisson"}, "likelihood: expected one of hurdle, mse, got 'poisson'"),
        ({"prior": "flat"}, "prior: expected one of conditional, normal, got 'flat'"),
    ],
)
def test_options_outside_their_range_are_refused(told, message):
    with pytest.raises(ValueError, match=message):
        VaeOptions(**told)
