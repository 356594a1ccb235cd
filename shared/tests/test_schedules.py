import math

import diffusers
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cytosol import schedules

quick = settings(deadline=None, max_examples=50)
NAMES = {
    "linear": "linear",
    "quadratic": "scaled_linear",
    "cosine": "squaredcos_cap_v2",
    "sigmoid": "sigmoid",
}


@pytest.mark.parametrize("steps", [1, 2, 50, 1000])
@pytest.mark.parametrize("name", NAMES)
def test_tables_equal_diffusers(name, steps):
    oracle = diffusers.DDPMScheduler(steps, beta_schedule=NAMES[name]).alphas_cumprod
    table = schedules.alpha_bar(name, steps)
    assert table.dtype == torch.float64
    torch.testing.assert_close(table, oracle.double(), rtol=0, atol=1e-5)


def test_chosen_betas_equal_diffusers():
    oracle = diffusers.DDPMScheduler(50, beta_schedule="scaled_linear", beta_start=1e-4, beta_end=0.5)
    table = schedules.alpha_bar("quadratic", 50, betas=(1e-4, 0.5))
    torch.testing.assert_close(table, oracle.alphas_cumprod.double(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("steps", [2, 50, 1000])
@pytest.mark.parametrize("name", NAMES)
def test_tables_fall_from_data_towards_noise(name, steps):
    table = schedules.alpha_bar(name, steps)
    assert (table.diff() < 0).all()
    assert 0 < table[-1] < table[0] < 1


def test_bad_schedules_are_refused():
    with pytest.raises(ValueError, match="unknown schedule 'cosin': expected one of linear, cosine"):
        schedules.alpha_bar("cosin", 10)
    with pytest.raises(ValueError, match="steps >= 1, got 0"):
        schedules.alpha_bar("linear", 0)
    with pytest.raises(ValueError, match="no betas to choose"):
        schedules.alpha_bar("cosine", 10, betas=(0.1, 0.2))
    for betas in [(0.0, 0.1), (0.2, 0.1), (0.1, 1.0), (math.nan, 0.1)]:
        with pytest.raises(ValueError, match="0 < first <= last < 1"):
            schedules.alpha_bar("linear", 10, betas=betas)


@quick
@given(st.floats(1e-6, 1 - 1e-6))
def test_levels_survive_each_round_trip(value):
    bar = torch.tensor(value, dtype=torch.float64)
    torch.testing.assert_close(schedules.alpha_bar_from_snr(schedules.snr(bar)), bar)
    sigma = schedules.sigma_from_alpha_bar(bar)
    torch.testing.assert_close(schedules.alpha_bar_from_sigma(sigma), bar)
    torch.testing.assert_close(sigma.square() * schedules.snr(bar), torch.ones((), dtype=torch.float64))


def test_the_ends_of_the_scales_are_each_other_s():
    ends = torch.tensor([0.0, 1.0])
    assert schedules.sigma_from_alpha_bar(ends).tolist() == [math.inf, 0.0]
    assert schedules.alpha_bar_from_sigma(torch.tensor([math.inf, 0.0])).tolist() == [0.0, 1.0]


def test_spaced_levels_rise_from_the_noisiest_to_clean():
    table = schedules.alpha_bar("linear", 1000)
    assert torch.equal(schedules.spaced(table, 1000)[:-1], table.flip(0))
    levels = schedules.spaced(table, 10)
    assert levels.shape == (11,)
    assert levels[0] == table[-1]
    assert levels[-1] == 1
    assert (levels.diff() > 0).all()
    oracle = diffusers.DDIMScheduler(1000, timestep_spacing="trailing")
    oracle.set_timesteps(10)
    assert torch.equal(levels[:-1], table[oracle.timesteps])
    assert schedules.spaced(table, 1).tolist() == [table[-1], 1.0]
    with pytest.raises(ValueError, match="from 1 to 1000 sampling steps, got 1001"):
        schedules.spaced(table, 1001)


@pytest.mark.parametrize("n", [2, 5, 18])
def test_karras_sigmas_are_evenly_spaced_in_their_root(n):
    sigmas = schedules.karras_sigmas(n, sigma_min=0.002, sigma_max=80.0)
    assert sigmas.shape == (n + 1,)
    assert sigmas[-1] == 0
    assert sigmas[0].item() == pytest.approx(80.0)
    assert sigmas[-2].item() == pytest.approx(0.002)
    steps = sigmas[:-1].pow(1 / 7).diff()
    torch.testing.assert_close(steps, steps[:1].expand(n - 1))
    # eq. 5 as printed, at the second level
    i, rho = 1, 7
    printed = (80 ** (1 / rho) + i / (n - 1) * (0.002 ** (1 / rho) - 80 ** (1 / rho))) ** rho
    assert sigmas[1].item() == pytest.approx(printed)


def test_karras_sigmas_equal_diffusers():
    oracle = diffusers.EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, rho=7.0)
    oracle.set_timesteps(18)
    sigmas = schedules.karras_sigmas(18, sigma_min=0.002, sigma_max=80.0)
    torch.testing.assert_close(sigmas, oracle.sigmas.double(), rtol=1e-5, atol=1e-5)


def test_one_karras_step_goes_from_the_largest_to_zero():
    assert schedules.karras_sigmas(1, sigma_min=0.1, sigma_max=2.0).tolist() == pytest.approx([2.0, 0.0])


@pytest.mark.parametrize(
    ("n", "sigma_min", "sigma_max", "rho"),
    [
        (0, 0.1, 1, 7),
        (5, 0, 1, 7),
        (5, 1, 1, 7),
        (5, 2, 1, 7),
        (5, 0.1, math.inf, 7),
        (5, 0.1, 1, 0),
        (5, 0.1, 1, math.inf),
    ],
)
def test_bad_karras_ranges_are_refused(n, sigma_min, sigma_max, rho):
    with pytest.raises(ValueError, match="expected"):
        schedules.karras_sigmas(n, sigma_min=sigma_min, sigma_max=sigma_max, rho=rho)


def test_training_levels_are_log_normal_and_repeat_with_their_seed():
    draws = [
        schedules.lognormal_sigmas(
            (50_000,), p_mean=-1.2, p_std=1.2, generator=torch.Generator().manual_seed(0)
        )
        for _ in range(2)
    ]
    assert torch.equal(*draws)
    assert draws[0].dtype == torch.float32
    assert draws[0].log().mean().item() == pytest.approx(-1.2, abs=0.02)
    assert draws[0].log().std().item() == pytest.approx(1.2, abs=0.02)
    for p_mean, p_std in [(0.0, -1.0), (0.0, math.nan), (0.0, math.inf), (math.nan, 1.0)]:
        with pytest.raises(ValueError, match="p_std >= 0"):
            schedules.lognormal_sigmas((2,), p_mean=p_mean, p_std=p_std)
