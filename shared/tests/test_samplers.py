import math

import diffusers
import numpy as np
import pytest
import torch

from cytosol import gaussian, samplers
from cytosol.samplers import Churn, ddim, ddpm, dpm_solver_pp_2m, euler, heun, vp_as_ve
from cytosol.schedules import alpha_bar, alpha_bar_from_sigma, karras_sigmas, sigma_from_alpha_bar, spaced

MEAN, STD = 1.5, 0.5
TABLE = alpha_bar("linear", 1000)
ON_SIGMA, ON_ALPHA_BAR = [dpm_solver_pp_2m, euler, heun], [ddpm, ddim]
SIGMAS = karras_sigmas(8, sigma_min=0.02, sigma_max=20.0)
BARS = spaced(TABLE, 8)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def column(level, x):
    return level.reshape(-1, *[1] * (x.ndim - 1))


def gaussian_x0(x, sigma):
    """E[x0 | x] for x0 ~ N(MEAN, STD^2), elementwise."""
    sigma = column(sigma, x)
    return (STD**2 * x + sigma**2 * MEAN) / (STD**2 + sigma**2)


def gaussian_flow(x, sigma, sigma_next):
    """The exact solution of the probability-flow ODE for that Gaussian."""
    return MEAN + (x - MEAN) * math.sqrt((STD**2 + sigma_next**2) / (STD**2 + sigma**2))


MIXTURE = ((0.3, -1.0, 0.3), (0.7, 1.2, 0.5))  # weight, mean, std


def mixture_x0(x, sigma):
    sigma = column(sigma, x)
    logs, means = [], []
    for w, m, s in MIXTURE:
        var = s**2 + sigma**2
        logs.append(math.log(w) - (x - m) ** 2 / (2 * var) - var.log() / 2)
        means.append((s**2 * x + sigma**2 * m) / var)
    return (torch.stack(logs).softmax(0) * torch.stack(means)).sum(0)


def mixture_cdf(x, sigma):
    return sum(w * torch.special.ndtr((x - m) / math.sqrt(s**2 + sigma**2)) for w, m, s in MIXTURE)


def mixture_flow(x, sigma):
    """The exact end of the ODE: a flow in one dimension keeps every quantile (bisection on the cdf)."""
    target, low, high = mixture_cdf(x, sigma), torch.full_like(x, -10.0), torch.full_like(x, 10.0)
    for _ in range(60):
        middle = (low + high) / 2
        below = mixture_cdf(middle, 0.0) < target
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def as_vp(denoise):
    """The same denoiser for scaled x and alpha-bar levels."""
    return lambda x, bar: denoise(x / column(bar.sqrt(), x), sigma_from_alpha_bar(bar))


def walk(sampler, x, **options):
    if sampler in ON_SIGMA:
        return sampler(gaussian_x0, x * 20, SIGMAS, **options)
    return sampler(as_vp(gaussian_x0), x, BARS, **options)


# --- oracles -------------------------------------------------------------------------------------------


def oracle_walk(scheduler, n, x, denoise, **options):
    scheduler.set_timesteps(n)
    visited = []
    for t in scheduler.timesteps:
        visited.append(int(t))
        bar = scheduler.alphas_cumprod[t].expand(len(x))
        x = scheduler.step(denoise(x, bar), t, x, **options).prev_sample
    return x, torch.cat([TABLE[visited], torch.ones(1, dtype=torch.float64)])


@pytest.mark.parametrize("n", [1, 4, 25])
@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "ddim, eta 0.6"])
def test_ddpm_and_ddim_equal_diffusers(sampler, n):
    options = {"prediction_type": "sample", "clip_sample": False}
    x = torch.randn(4, 3, generator=seeded())
    if sampler == "ddpm":
        scheduler, extra, own = diffusers.DDPMScheduler(1000, **options), {}, {}
    else:
        own = {"eta": 0.6} if "eta" in sampler else {}
        scheduler, extra = diffusers.DDIMScheduler(1000, **options), own
    expected, levels = oracle_walk(scheduler, n, x, as_vp(gaussian_x0), generator=seeded(3), **extra)
    run = ddpm if sampler == "ddpm" else ddim
    got = run(as_vp(gaussian_x0), x, levels, generator=seeded(3), **own)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # the oracle's own
@pytest.mark.parametrize("n", [1, 2, 10, 30])
@pytest.mark.parametrize(("algorithm", "eta"), [("dpmsolver++", 0.0), ("sde-dpmsolver++", 1.0)])
def test_dpm_solver_equals_diffusers_through_the_change_of_variable(algorithm, eta, n):
    scheduler = diffusers.DPMSolverMultistepScheduler(
        1000, prediction_type="sample", algorithm_type=algorithm, solver_order=2, lower_order_final=False
    )
    x = torch.randn(4, 3, generator=seeded())
    denoise = as_vp(gaussian_x0)
    expected, levels = oracle_walk(scheduler, n, x, denoise, generator=seeded(3))
    start = x / levels[0].sqrt().float()
    got = dpm_solver_pp_2m(
        vp_as_ve(denoise), start, sigma_from_alpha_bar(levels), eta=eta, generator=seeded(3)
    )
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_euler_equals_diffusers():
    scheduler = diffusers.EDMEulerScheduler(sigma_min=0.02, sigma_max=20.0, sigma_data=STD)
    scheduler.set_timesteps(8)
    x = start = 20 * torch.randn(4, 3, generator=seeded())
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
        x0 = gaussian_x0(x, sigma.expand(4))
        x = scheduler.step(x0, t, x, pred_original_sample=x0).prev_sample
    torch.testing.assert_close(euler(gaussian_x0, start, SIGMAS), x, atol=1e-5, rtol=1e-5)


def test_ddim_with_all_its_noise_is_ddpm():
    x = torch.randn(5, 3, generator=seeded(), dtype=torch.float64)
    pair = [
        sampler(as_vp(gaussian_x0), x, BARS, generator=seeded(1), **options)
        for sampler, options in [(ddim, {"eta": 1.0}), (ddpm, {})]
    ]
    torch.testing.assert_close(*pair)


def test_ddim_without_noise_is_euler_in_the_other_variable():
    x = torch.randn(5, 3, generator=seeded(), dtype=torch.float64)
    implicit = ddim(as_vp(gaussian_x0), x, BARS)
    explicit = euler(gaussian_x0, x / BARS[0].sqrt(), sigma_from_alpha_bar(BARS))
    torch.testing.assert_close(implicit, explicit)


# --- exact solutions and orders of convergence ------------------------------------------------------------


def slope(sampler, counts=(16, 32, 64, 128)):
    x = 5 * torch.randn(64, 1, generator=seeded(), dtype=torch.float64)
    errors = []
    for n in counts:
        levels = karras_sigmas(n + 1, sigma_min=0.1, sigma_max=5.0)[:-1]
        errors.append((sampler(gaussian_x0, x, levels) - gaussian_flow(x, 5.0, 0.1)).abs().mean().item())
    return np.polyfit(np.log(counts), np.log(errors), 1)[0]


@pytest.mark.parametrize(("sampler", "order"), [(euler, 1), (heun, 2), (dpm_solver_pp_2m, 2)])
def test_solvers_converge_at_their_order(sampler, order):
    assert slope(sampler) == pytest.approx(-order, abs=0.15)


TEN_STEPS = {
    "linear": sigma_from_alpha_bar(spaced(TABLE, 10)),
    "quadratic": sigma_from_alpha_bar(spaced(alpha_bar("quadratic", 1000), 10)),
    "cosine": sigma_from_alpha_bar(spaced(alpha_bar("cosine", 1000), 10)),
    "karras": karras_sigmas(10, sigma_min=0.02, sigma_max=20.0),
}
TARGETS = {
    "one Gaussian": (gaussian_x0, lambda x, sigma: gaussian_flow(x, sigma, 0.0)),
    "two Gaussians": (mixture_x0, mixture_flow),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("levels", TEN_STEPS)
def test_dpm_solver_beats_ddim_at_ten_steps(levels, target):
    sigmas, (denoise, flow) = TEN_STEPS[levels], TARGETS[target]
    bars = alpha_bar_from_sigma(sigmas)
    x = torch.randn(500, 1, generator=seeded(), dtype=torch.float64)
    start = x / bars[0].sqrt()
    exact = flow(start, sigmas[0].item())
    implicit = (ddim(as_vp(denoise), x, bars) - exact).abs().mean()
    second = (dpm_solver_pp_2m(denoise, start, sigmas) - exact).abs().mean()
    assert second < 0.8 * implicit


def test_many_heun_steps_follow_the_quantiles_of_two_gaussians():
    x = 10 * torch.randn(200, 1, generator=seeded(), dtype=torch.float64)
    got = heun(mixture_x0, x, karras_sigmas(300, sigma_min=1e-3, sigma_max=10.0))
    torch.testing.assert_close(got, mixture_flow(x, 10.0), atol=3e-4, rtol=0)


STOCHASTIC = {
    "ddpm": lambda x, g: ddpm(as_vp(gaussian_x0), x, spaced(TABLE, 500), generator=g),
    "ddim, eta 0.5": lambda x, g: ddim(as_vp(gaussian_x0), x, spaced(TABLE, 100), generator=g, eta=0.5),
    "heun, churn": lambda x, g: heun(
        gaussian_x0,
        20 * x,
        karras_sigmas(50, sigma_min=0.02, sigma_max=20.0),
        generator=g,
        churn=Churn(s_churn=20.0),
    ),
    "euler, churn": lambda x, g: euler(
        gaussian_x0,
        20 * x,
        karras_sigmas(200, sigma_min=0.02, sigma_max=20.0),
        generator=g,
        churn=Churn(s_churn=20.0),
    ),
    "2m, eta 1": lambda x, g: dpm_solver_pp_2m(
        gaussian_x0, 20 * x, karras_sigmas(50, sigma_min=0.02, sigma_max=20.0), generator=g, eta=1.0
    ),
}


@pytest.mark.parametrize("name", STOCHASTIC)
def test_stochastic_samplers_reach_the_right_distribution(name):
    generator = seeded()
    x = STOCHASTIC[name](torch.randn(20_000, 1, generator=generator, dtype=torch.float64), generator)
    assert x.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert x.std().item() == pytest.approx(STD, abs=0.02)


# --- what every sampler promises -----------------------------------------------------------------------

EVERY = pytest.mark.parametrize("sampler", ON_SIGMA + ON_ALPHA_BAR, ids=lambda f: f.__name__)
NOISY = {ddim: {"eta": 0.7}, dpm_solver_pp_2m: {"eta": 0.7}, euler: {"churn": Churn(s_churn=4.0)}}
NOISY[heun] = NOISY[euler]


@EVERY
def test_the_same_seed_twice_is_bit_equal_and_touches_no_global_state(sampler):
    x, state = torch.randn(3, 4, generator=seeded()), torch.get_rng_state()
    first, second, other = (
        walk(sampler, x, generator=seeded(s), **NOISY.get(sampler, {})) for s in (5, 5, 6)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())
    assert first.dtype == torch.float32


@EVERY
@pytest.mark.parametrize("held", [0.25, math.nan])
def test_what_is_not_to_be_generated_stays_bit_by_bit(sampler, held):
    x = torch.randn(3, 4, generator=seeded())
    mask = torch.tensor([True, False, True, False])
    given = torch.where(mask, x, held)
    seen = []

    def denoise(x, level):
        seen.append(x)
        return torch.where(mask, 0.5 * x, math.nan)

    levels = SIGMAS if sampler in ON_SIGMA else BARS
    out = sampler(denoise, given, levels, mask=mask, generator=seeded(), **NOISY.get(sampler, {}))
    assert out[:, mask].isfinite().all()
    for y in [out, *seen]:
        torch.testing.assert_close(y[:, ~mask], given[:, ~mask], rtol=0, atol=0, equal_nan=True)


@EVERY
def test_a_full_mask_changes_nothing_and_an_empty_one_everything_stays(sampler):
    x = torch.randn(3, 4, generator=seeded())
    free, full = (
        walk(sampler, x, mask=mask, generator=seeded()) for mask in (None, torch.ones(3, 4, dtype=torch.bool))
    )
    assert torch.equal(free, full)
    scale = 20 if sampler in ON_SIGMA else 1
    none = walk(sampler, x, mask=torch.zeros(4, dtype=torch.bool), generator=seeded())
    assert torch.equal(none, x * scale)


@pytest.mark.parametrize("sampler", [ddpm, ddim, euler, heun], ids=lambda f: f.__name__)
def test_a_start_at_an_intermediate_level_is_the_tail_of_the_whole_walk(sampler):
    x = torch.randn(3, 4, generator=seeded(), dtype=torch.float64)
    stops, generator = [], seeded(9)
    whole = walk(
        sampler, x, generator=generator, on_step=lambda i, x, x0: stops.append((x, generator.get_state()))
    )
    denoise, levels = (gaussian_x0, SIGMAS) if sampler in ON_SIGMA else (as_vp(gaussian_x0), BARS)
    for i, (middle, state) in enumerate(stops[:-1]):
        generator.set_state(state)
        tail = sampler(denoise, middle, levels[i + 1 :], generator=generator)
        torch.testing.assert_close(tail, whole, rtol=0, atol=0)


def test_dpm_solver_started_lower_down_tends_to_the_same():
    x = 20 * torch.randn(50, 1, generator=seeded(), dtype=torch.float64)
    levels, stops = karras_sigmas(200, sigma_min=0.02, sigma_max=20.0), []
    whole = dpm_solver_pp_2m(gaussian_x0, x, levels, on_step=lambda i, x, x0: stops.append(x))
    tail = dpm_solver_pp_2m(gaussian_x0, stops[99], levels[100:])
    torch.testing.assert_close(tail, whole, atol=1e-3, rtol=0)


@EVERY
def test_on_step_sees_every_step_and_is_not_asked(sampler):
    x, seen = torch.randn(3, 4, generator=seeded()), []

    def on_step(i, x, x0):
        seen.append((i, x, x0))
        return False

    out = walk(sampler, x, generator=seeded(), on_step=on_step)
    assert [i for i, _, _ in seen] == list(range(8))
    assert torch.equal(seen[-1][1], out)
    assert torch.equal(out, walk(sampler, x, generator=seeded()))
    torch.testing.assert_close(seen[-1][2], out)  # the last step ends on the estimate


@EVERY
def test_noise_is_the_caller_s(sampler):
    x = torch.randn(3, 4, generator=seeded())

    def shared(x, generator):
        return gaussian.randn_like(x[:, :1], generator).expand_as(x)

    same = x[:, :1].expand(3, 4).clone()
    out = walk(sampler, same, generator=seeded(1), noise=shared, **NOISY.get(sampler, {}))
    torch.testing.assert_close(out, out[:, :1].expand(3, 4))
    independent = walk(sampler, same, generator=seeded(1), **NOISY.get(sampler, {}))
    assert not torch.allclose(independent, independent[:, :1].expand(3, 4))


@EVERY
def test_rows_do_not_depend_on_their_batch_and_levels_have_its_shape(sampler):
    x, shapes = torch.randn(3, 2, 4, generator=seeded()), set()

    def denoise(x, level):
        shapes.add((tuple(level.shape), level.dtype))
        return 0.9 * x.tanh()

    levels = SIGMAS if sampler in ON_SIGMA else BARS
    quiet = {"noise": lambda x, generator: torch.zeros_like(x)}
    whole = sampler(denoise, x, levels, **quiet)
    torch.testing.assert_close(whole[1:2], sampler(denoise, x[1:2], levels, **quiet))
    assert shapes == {((3,), torch.float32), ((1,), torch.float32)}


@EVERY
def test_levels_may_be_a_plain_list_and_no_gradient_is_kept(sampler):
    x = torch.randn(3, 4, generator=seeded(), requires_grad=True)
    levels = SIGMAS if sampler in ON_SIGMA else BARS
    scale, denoise = 1.0, gaussian_x0 if sampler in ON_SIGMA else as_vp(gaussian_x0)
    pair = [sampler(denoise, x * scale, kind, generator=seeded()) for kind in (levels, levels.tolist())]
    assert torch.equal(*pair)
    assert not pair[0].requires_grad


def test_churn_acts_only_between_its_levels():
    x = 20 * torch.randn(3, 4, generator=seeded())
    quiet = heun(gaussian_x0, x, SIGMAS)
    outside = heun(gaussian_x0, x, SIGMAS, generator=seeded(), churn=Churn(s_churn=8.0, s_tmin=30.0))
    inside = heun(gaussian_x0, x, SIGMAS, generator=seeded(), churn=Churn(s_churn=8.0, s_tmax=1.0))
    assert torch.equal(quiet, outside)
    assert not torch.equal(quiet, inside)


def test_one_churned_heun_step_is_algorithm_2_as_printed():
    x, t, t_next = torch.randn(3, 4, generator=seeded(), dtype=torch.float64), 2.0, 0.5
    eps = torch.randn(3, 4, generator=seeded(4), dtype=torch.float64)
    gamma = min(0.3 / 1, math.sqrt(2) - 1)
    t_hat = t + gamma * t
    x_hat = x + math.sqrt(t_hat**2 - t**2) * 1.007 * eps
    d = (x_hat - gaussian_x0(x_hat, torch.full((3,), t_hat))) / t_hat
    x_next = x_hat + (t_next - t_hat) * d
    d_next = (x_next - gaussian_x0(x_next, torch.full((3,), t_next))) / t_next
    expected = x_hat + (t_next - t_hat) * (d / 2 + d_next / 2)
    churn = Churn(s_churn=0.3, s_noise=1.007)
    got = heun(gaussian_x0, x, [t, t_next], generator=seeded(4), churn=churn)
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)


# --- refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "levels", [[1.0], [], [1.0, 1.0], [0.5, 1.0], [1.0, -0.1], [math.inf, 1.0], [1.0, math.nan]]
)
@pytest.mark.parametrize("sampler", ON_SIGMA, ids=lambda f: f.__name__)
def test_bad_sigmas_are_refused(sampler, levels):
    with pytest.raises(ValueError, match="expected"):
        sampler(gaussian_x0, torch.zeros(2, 3), levels)


@pytest.mark.parametrize("levels", [[0.5], [0.5, 0.5], [0.9, 0.1], [-0.1, 1.0], [0.1, 1.1], [math.nan, 1.0]])
@pytest.mark.parametrize("sampler", ON_ALPHA_BAR, ids=lambda f: f.__name__)
def test_bad_alpha_bars_are_refused(sampler, levels):
    with pytest.raises(ValueError, match="expected"):
        sampler(as_vp(gaussian_x0), torch.zeros(2, 3), levels)


@pytest.mark.parametrize("sampler", [ddim, dpm_solver_pp_2m])
@pytest.mark.parametrize("eta", [-0.1, 1.1, math.nan])
def test_bad_eta_is_refused(sampler, eta):
    with pytest.raises(ValueError, match="eta from 0"):
        sampler(gaussian_x0, torch.zeros(2, 3), [0.1, 1.0], eta=eta)


@EVERY
def test_an_estimate_of_another_shape_is_refused(sampler):
    with pytest.raises(ValueError, match=r"x's shape \(2, 3\), got \(2, 1\)"):
        sampler(lambda x, level: x[:, :1], torch.zeros(2, 3), SIGMAS if sampler in ON_SIGMA else BARS)


@pytest.mark.parametrize("sampler", ON_ALPHA_BAR)
def test_a_start_from_pure_noise_is_defined(sampler):
    x = torch.randn(3, 4, generator=seeded())
    out = sampler(lambda x, bar: torch.full_like(x, 2.0), x, [0.0, 0.5, 1.0], generator=seeded())
    torch.testing.assert_close(out, torch.full_like(x, 2.0))


def test_every_public_sampler_is_tested_here():
    public = {
        n
        for n, f in vars(samplers).items()
        if callable(f) and getattr(f, "__module__", "") == samplers.__name__
    }
    named = {f.__name__ for f in ON_SIGMA + ON_ALPHA_BAR} | {"Churn", "vp_as_ve"}
    assert {n for n in public if not n.startswith("_")} == named
