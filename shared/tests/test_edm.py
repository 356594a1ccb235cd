import math

import pytest
import torch
from diffusers import EDMEulerScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cytosol.edm import EDMScaling, Preconditioned
from cytosol.masking import masked_mse
from cytosol.testing import assert_batch_independent, assert_state_round_trip

quick = settings(deadline=None, max_examples=50)
positive = st.floats(1e-3, 1e3)


class Net(nn.Module):
    """Keeps what it was given, and answers like a net."""

    def __init__(self, d=5):
        super().__init__()
        self.layer = nn.Linear(d, d)

    def forward(self, x, c_noise, shift=0.0):
        self.seen = (x, c_noise)
        return torch.tanh(self.layer(x)) + c_noise.reshape(-1, *[1] * (x.ndim - 1)) + shift


def made(sigma_data=0.5, d=5):
    torch.manual_seed(0)
    return Preconditioned(Net(d), EDMScaling(sigma_data))


@quick
@given(positive, positive)
def test_the_four_c_and_the_weight_are_those_of_table_1(sigma, sigma_data):
    scaling, s = EDMScaling(sigma_data), torch.tensor(sigma, dtype=torch.float64)
    total = sigma**2 + sigma_data**2
    assert scaling.c_skip(s).item() == pytest.approx(sigma_data**2 / total)
    assert scaling.c_out(s).item() == pytest.approx(sigma * sigma_data / math.sqrt(total))
    assert scaling.c_in(s).item() == pytest.approx(1 / math.sqrt(total))
    assert scaling.c_noise(s).item() == pytest.approx(math.log(sigma) / 4)
    assert scaling.weight(s).item() == pytest.approx(total / (sigma * sigma_data) ** 2)


@quick
@given(st.floats(0.01, 100))
def test_input_and_output_scaling_equal_diffusers(sigma):
    scheduler = EDMEulerScheduler(sigma_data=0.5)
    x, f, s = torch.randn(2, 3), torch.randn(2, 3), torch.tensor(sigma)
    scaling = EDMScaling(0.5)
    expected = scheduler.precondition_outputs(x, f, s)
    torch.testing.assert_close(scaling.c_skip(s) * x + scaling.c_out(s) * f, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(scaling.c_in(s) * x, scheduler.precondition_inputs(x, s), rtol=1e-5, atol=1e-5)


@quick
@given(positive, positive)
def test_input_and_target_have_unit_variance_at_every_level(sigma, sigma_data):
    """For x0 ~ N(0, sigma_data^2) both variances are exact algebra: the paper's appendix B.6."""
    scaling, s = EDMScaling(sigma_data), torch.tensor(sigma, dtype=torch.float64)
    variance_in = scaling.c_in(s).square() * (sigma**2 + sigma_data**2)
    c_skip = scaling.c_skip(s)
    variance_target = ((1 - c_skip) ** 2 * sigma_data**2 + c_skip**2 * sigma**2) / scaling.c_out(s).square()
    assert variance_in.item() == pytest.approx(1)
    assert variance_target.item() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("sigma_data", [0.0, -1.0, math.nan, math.inf])
def test_a_useless_sigma_data_is_refused(sigma_data):
    with pytest.raises(ValueError, match="finite sigma_data > 0"):
        EDMScaling(sigma_data)


def test_without_noise_the_denoiser_is_the_identity():
    x = torch.randn(3, 4, 5)
    assert torch.equal(made()(x, 0.0), x)
    torch.testing.assert_close(made()(x, 1e-6), x, atol=1e-4, rtol=0)


def test_under_endless_noise_only_the_net_speaks():
    denoiser, x = made(sigma_data=0.5), torch.randn(3, 4, 5)
    noisy = x * 1e6
    out = denoiser(noisy, 1e6)
    torch.testing.assert_close(out, 0.5 * denoiser.raw(noisy, 1e6), atol=1e-5, rtol=1e-5)
    huge = torch.tensor(1e30)
    assert EDMScaling(0.5).c_skip(huge).item() == 0
    assert EDMScaling(0.5).c_out(huge).item() == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(3, 5), (3, 4, 5), (3, 2, 4, 5)])
def test_a_level_for_each_of_the_batch_meets_any_number_of_axes(shape):
    denoiser, x = made(), torch.randn(shape)
    assert_batch_independent(denoiser, {"x": x, "sigma": torch.tensor([0.1, 1.0, 10.0])})
    assert denoiser.net.seen[1].shape == (1,)
    denoiser(x, 0.7)
    assert denoiser.net.seen[1].tolist() == pytest.approx([math.log(0.7) / 4] * 3)


def test_the_loss_in_f_space_is_the_weighted_loss_in_x0_space():
    denoiser = made()
    x0, sigma = torch.randn(6, 5), torch.logspace(-2, 2, 6)
    x = x0 + sigma[:, None] * torch.randn(6, 5)
    mask = torch.rand(6, 5) < 0.7
    in_f = masked_mse(denoiser.raw(x, sigma), denoiser.loss_target(x0, x, sigma), mask, 1)
    in_x0 = masked_mse(denoiser(x, sigma), x0, mask, 1) * denoiser.scaling.weight(sigma)
    torch.testing.assert_close(in_f, in_x0, rtol=1e-3, atol=1e-5)


def test_a_net_that_hits_its_target_denoises_exactly():
    class Oracle(nn.Module):
        def forward(self, x, c_noise, target):
            return target

    denoiser = Preconditioned(Oracle(), EDMScaling(0.8))
    x0, noise, sigma = torch.randn(3, 4, 5), torch.randn(3, 4, 5), torch.tensor([0.05, 1.0, 20.0])
    x = x0 + sigma[:, None, None] * noise
    target = denoiser.loss_target(x0, x, sigma)
    torch.testing.assert_close(denoiser(x, sigma, target=target), x0, atol=1e-5, rtol=1e-5)


def test_inputs_reach_the_net_and_unknown_ones_are_refused():
    denoiser, x = made(), torch.randn(2, 5)
    assert not torch.equal(denoiser(x, 1.0, shift=1.0), denoiser(x, 1.0))
    with pytest.raises(TypeError, match="shfit"):
        denoiser(x, 1.0, shfit=1.0)


def test_the_state_survives_and_half_precision_inside_stays_inside():
    x = torch.randn(2, 5)
    assert_state_round_trip(made(), lambda: Preconditioned(Net(), EDMScaling(0.5)), {"x": x, "sigma": 1.0})
    plain = Preconditioned(Half(), EDMScaling(0.5))
    assert plain(x, 1.0).dtype == plain.raw(x, 1.0).dtype == torch.float32


class Half(nn.Module):
    def forward(self, x, c_noise):
        return x.bfloat16()
