import math

import pytest
import torch

from cytosol.features import FiLM, Fourier, sinusoidal
from cytosol.testing import (
    assert_batch_independent,
    assert_permutation_equivariant,
    assert_state_round_trip,
)


def test_sinusoidal_features_are_those_of_the_formula():
    features = sinusoidal(torch.tensor([0.0, 3.0]), 6)
    for k in range(3):
        angle = 3 / 10_000 ** (2 * k / 6)
        assert features[1, k].item() == pytest.approx(math.sin(angle))
        assert features[1, 3 + k].item() == pytest.approx(math.cos(angle))
    assert features[0].tolist() == [0, 0, 0, 1, 1, 1]


def test_a_shift_of_time_is_a_rotation_that_keeps_inner_products():
    t = torch.linspace(0, 50, 11, dtype=torch.float64)
    plain, later = sinusoidal(t, 32), sinusoidal(t + 7.5, 32)
    torch.testing.assert_close(plain @ plain.T, later @ later.T)


def test_the_longest_period_is_the_one_asked_for():
    t = torch.tensor([0.0, 1.0])
    assert sinusoidal(t, 2, max_period=1.0).shape == (2, 2)
    slow, quick = (sinusoidal(t, 64, max_period=p).diff(dim=0).norm() for p in (1e6, 2.0))
    assert slow < quick


def test_fourier_features_have_unit_mean_square_and_their_kernel():
    fourier = Fourier(4096, scale=0.5, seed=3)
    t = torch.tensor([0.0, 0.3, 1.0])
    features = fourier(t)
    torch.testing.assert_close(features.square().mean(-1), torch.ones(3))
    # random frequencies ~ N(0, scale^2) approximate a Gaussian kernel: exp(-2 (pi scale dt)^2)
    kernel = features @ features.T / 4096
    expected = torch.exp(-2 * (math.pi * 0.5 * (t[:, None] - t)) ** 2)
    torch.testing.assert_close(kernel, expected, atol=0.06, rtol=0)


def test_frequencies_repeat_with_their_seed_are_saved_and_are_not_trained():
    state = torch.get_rng_state()
    first, second, other = Fourier(8, seed=1), Fourier(8, seed=1), Fourier(8, seed=2)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.frequency, second.frequency)
    assert not torch.equal(first.frequency, other.frequency)
    assert not list(first.parameters())
    assert_state_round_trip(first, lambda: Fourier(8, seed=2), {"t": torch.randn(3, 2)})


@pytest.mark.parametrize("shape", [(), (3,), (3, 4)])
def test_features_append_one_axis(shape):
    t = torch.rand(shape)
    assert sinusoidal(t, 10).shape == (*shape, 10)
    assert Fourier(10)(t).shape == (*shape, 10)


def test_whole_numbers_are_seen_as_the_same_numbers():
    t = torch.arange(5)
    assert torch.equal(sinusoidal(t, 16), sinusoidal(t.float(), 16))
    assert torch.equal(Fourier(16)(t), Fourier(16)(t.float()))


@pytest.mark.parametrize("d", [0, 1, 7, -2])
def test_an_odd_number_of_features_is_refused(d):
    with pytest.raises(ValueError, match=f"even number of features >= 2, got {d}"):
        sinusoidal(torch.zeros(2), d)
    with pytest.raises(ValueError, match=f"even number of features >= 2, got {d}"):
        Fourier(d)


def opened():
    torch.manual_seed(0)
    film = FiLM(3, 4)
    torch.nn.init.normal_(film.to_scale_shift.weight)
    return film


@pytest.mark.parametrize("shape", [(2, 4), (2, 5, 4), (2, 6, 5, 4)])
def test_film_starts_as_the_identity_and_then_bends(shape):
    h, cond = torch.randn(shape), torch.randn(2, 3)
    assert torch.equal(FiLM(3, 4)(h, cond), h)
    bent = opened()(h, cond)
    assert bent.shape == h.shape
    scale, shift = opened().to_scale_shift(cond).chunk(2, -1)
    for i in range(2):
        torch.testing.assert_close(bent[i], h[i] * (1 + scale[i]) + shift[i])


def test_film_takes_a_condition_at_each_place_and_learns_at_once():
    h, cond = torch.randn(2, 5, 4), torch.randn(2, 5, 3)
    inputs = {"h": h, "cond": cond}
    assert_permutation_equivariant(opened(), inputs, dims={"h": 1, "cond": 1}, out_dim=1)
    assert_batch_independent(opened(), inputs)
    film = FiLM(3, 4)
    film(h, cond).square().sum().backward()
    assert all(p.grad.abs().max() > 0 for p in film.parameters())
