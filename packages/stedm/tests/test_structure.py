"""Context, generator and refiner: padding, order, where they start, what a silent refiner says."""

import pytest
import torch

from cytosol.testing import (
    assert_batch_independent,
    assert_every_parameter_trains,
    assert_padding_invariant,
    assert_permutation_equivariant,
    assert_state_round_trip,
)
from stedm.denoiser import Refiner, angle_features, skip_only
from stedm.geometry import centre, turned
from stedm.options import NetOptions
from stedm.structure import StructureNet

B, N, H, D = 3, 9, 5, 2
TINY = NetOptions(width=8, heads=2, inducing=3, context_width=12, neighbours=3, score_blocks=2)


def net(**words):
    torch.manual_seed(0)
    made = StructureNet(H, D, TINY, sigma_data=0.3, **words)
    with torch.no_grad():  # away from the start, where what is zero lets no gradient through
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(1)
    return {
        "z": torch.randn(B, N, H, generator=generator),
        "p": torch.randn(B, N, D, generator=generator),
        "mask": torch.arange(N) < torch.tensor([N, N - 2, 4])[:, None],
    }


@pytest.fixture
def noisy():
    generator = torch.Generator().manual_seed(2)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    return {
        "v": draw(B, N, D),
        "sigma": torch.tensor([0.1, 1.0, 8.0]),
        "context": draw(B, N, TINY.context_width),
        "start": draw(B, N, D),
        "guess": draw(B, N, D),
        "mask": torch.arange(N) < torch.tensor([N, N - 2, 4])[:, None],
    }


@pytest.fixture(params=["generator", "zero"])
def refiner(request):
    torch.manual_seed(0)
    options = NetOptions(width=8, heads=2, inducing=3, context_width=12, score_blocks=2, around=request.param)
    made = Refiner(D, options, spread=0.2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def test_a_structure_has_the_properties_of_a_set(inputs):
    made = net()
    assert_padding_invariant(made, inputs, padded=("z", "p"), garbage=float("nan"))
    assert_batch_independent(made, inputs)
    assert_permutation_equivariant(made, inputs, dims={"z": 1, "p": 1, "mask": 1}, out_dim=1)
    assert_every_parameter_trains(made, inputs)
    assert_state_round_trip(made, net, inputs)


def test_a_structure_is_centred_and_moves_with_nothing(inputs):
    made = net()
    out = made(**inputs)
    torch.testing.assert_close(out, centre(out, inputs["mask"]))
    shifted = made(**{**inputs, "p": inputs["p"] + 7.0})
    torch.testing.assert_close(shifted, out, atol=1e-4, rtol=1e-4)


def test_a_fresh_generator_starts_where_the_base_ends(inputs):
    torch.manual_seed(0)
    out = StructureNet(H, D, TINY, sigma_data=0.3)(**inputs)
    base = centre(inputs["p"], inputs["mask"])
    assert (out - base).square().mean() < 0.01 * base.square().mean()


def test_a_refiner_has_the_properties_of_a_set(refiner, noisy):
    padded = ("v", "context", "start", "guess")
    assert_padding_invariant(refiner, noisy, padded=padded, garbage=float("nan"))
    assert_batch_independent(refiner, noisy)
    assert_permutation_equivariant(refiner, noisy, dims=dict.fromkeys((*padded, "mask"), 1), out_dim=1)
    assert_every_parameter_trains(refiner, noisy)


def test_without_noise_a_refiner_leaves_a_structure_alone(refiner, noisy):
    noisy["sigma"] = torch.zeros(B)
    torch.testing.assert_close(refiner(**noisy), centre(noisy["v"], noisy["mask"]), atol=1e-5, rtol=1e-5)


def test_a_silent_refiner_around_the_generator_says_the_generator_at_high_noise(noisy):
    torch.manual_seed(0)
    refiner = Refiner(D, TINY, spread=0.2)
    noisy["sigma"] = torch.full((B,), 50.0)
    start = centre(noisy["start"], noisy["mask"])
    silent = refiner.silent(noisy["v"], noisy["sigma"], start=noisy["start"], mask=noisy["mask"])
    torch.testing.assert_close(silent, start, atol=1e-3, rtol=1e-3)
    assert (refiner(**noisy) - start).abs().max() < 0.1


def test_the_skip_connection_alone_is_the_reported_collapse():
    """SPATIAL: scale_r = sigma_data / sqrt(sigma^2 + sigma_data^2) of a net that says nothing."""
    generator = torch.Generator().manual_seed(0)
    sigma = torch.tensor([0.05, 0.15, 0.4, 0.7, 1.2, 2.4]) / 0.157
    v = torch.randn(6, 4000, 2, generator=generator)
    seen = v + sigma[:, None, None] * torch.randn(6, 4000, 2, generator=generator)
    out = skip_only(seen, sigma, torch.ones(6, 4000, dtype=torch.bool))
    ratio = out.square().mean((1, 2)).sqrt()
    expected = torch.tensor([0.953, 0.723, 0.365, 0.219, 0.130, 0.065])
    torch.testing.assert_close(ratio, expected, atol=0.02, rtol=0.02)


def test_angles_are_finite_at_the_centre_and_partly_free_of_the_frame():
    v = torch.zeros(1, 4, 2, requires_grad=True)
    mask = torch.ones(1, 4, dtype=torch.bool)
    angle_features(v, v, mask).sum().backward()
    assert v.grad.isfinite().all()
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 1, 4, 2, generator=generator)
    turn = turned(a, generator)
    before, after = angle_features(a, b, mask), angle_features(a @ turn, b @ turn, mask)
    torch.testing.assert_close(before[..., 2:], after[..., 2:])
