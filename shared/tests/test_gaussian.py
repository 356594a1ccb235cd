import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cytosol import gaussian

quick = settings(deadline=None, max_examples=50)
levels = st.floats(1e-3, 1 - 1e-3)


def draw(seed=0, shape=(4, 3, 5)):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))


@quick
@given(levels)
def test_each_of_x0_eps_and_v_gives_back_the_others(bar):
    x0, eps = draw()
    v = math.sqrt(bar) * eps - math.sqrt(1 - bar) * x0
    x_t = gaussian.add_noise(x0, eps, bar)
    for convert, given_, expected in [
        (gaussian.x0_from_eps, eps, x0),
        (gaussian.x0_from_v, v, x0),
        (gaussian.eps_from_x0, x0, eps),
        (gaussian.eps_from_v, v, eps),
        (gaussian.v_from_x0, x0, v),
        (gaussian.v_from_eps, eps, v),
    ]:
        torch.testing.assert_close(convert(x_t, given_, bar), expected, msg=convert.__name__)


def test_no_noise_leaves_the_data_and_all_noise_leaves_none():
    x0, eps = draw()
    assert torch.equal(gaussian.add_noise(x0, eps, 1.0), x0)
    assert torch.equal(gaussian.add_noise(x0, eps, 0.0), eps)
    assert torch.equal(gaussian.x0_from_v(x0, eps, 1.0), x0)
    assert torch.equal(gaussian.eps_from_v(eps, x0, 0.0), eps)


def test_noise_has_the_variance_it_should():
    eps = gaussian.standard_normal((200_000,), generator=torch.Generator().manual_seed(0))
    x_t = gaussian.add_noise(torch.full_like(eps, 2.0), eps, 0.36)
    assert x_t.mean().item() == pytest.approx(1.2, abs=0.01)
    assert x_t.std().item() == pytest.approx(0.8, abs=0.01)


def test_a_level_for_each_of_the_batch_equals_one_at_a_time():
    x0, eps = draw()
    bars = torch.tensor([0.1, 0.5, 0.9, 0.99], dtype=torch.float64)
    whole = gaussian.add_noise(x0, eps, bars)
    for i, bar in enumerate(bars):
        torch.testing.assert_close(whole[i], gaussian.add_noise(x0[i : i + 1], eps[i : i + 1], bar)[0])


def test_float32_data_stays_float32_beside_float64_levels():
    x0, eps = (x.float() for x in draw())
    bars = torch.full((4,), 0.5, dtype=torch.float64)
    assert gaussian.add_noise(x0, eps, bars).dtype == torch.float32
    mean, variance = gaussian.posterior(x0, eps, bars, bars + 0.1)
    assert (mean.dtype, variance.dtype) == (torch.float32, torch.float32)


def test_a_level_of_another_shape_is_refused():
    for shape in [(3,), (4, 1), (2,)]:
        with pytest.raises(ValueError, match="each of the batch of 4"):
            gaussian.per_batch(torch.zeros(shape), torch.zeros(4, 3))


@quick
@given(levels, levels)
def test_the_posterior_is_bayes_rule_on_two_gaussians(a, b):
    """Oracle: precision-weighted product of q(x_prev | x0) and q(x_t | x_prev)."""
    bar, bar_prev = sorted((a, b))
    if bar_prev - bar < 1e-6:
        return
    x_t, x0 = draw()
    alpha = bar / bar_prev
    prior_precision, likelihood_precision = 1 / (1 - bar_prev), alpha / (1 - alpha)
    variance = 1 / (prior_precision + likelihood_precision)
    mean = variance * (
        prior_precision * math.sqrt(bar_prev) * x0 + likelihood_precision * x_t / math.sqrt(alpha)
    )
    got_mean, got_variance = gaussian.posterior(x_t, x0, bar, bar_prev)
    torch.testing.assert_close(got_mean, mean, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(got_variance.item(), variance, rtol=1e-6, atol=1e-12)


def test_the_posterior_of_clean_data_is_that_data():
    x_t, x0 = draw()
    mean, variance = gaussian.posterior(x_t, x0, 0.3, 1.0)
    torch.testing.assert_close(mean, x0)
    assert variance.item() == 0


def test_noise_repeats_with_its_seed_and_uses_no_global_state():
    before = torch.get_rng_state()
    first, second = (
        gaussian.randn_like(torch.zeros(3, 4), torch.Generator().manual_seed(7)) for _ in range(2)
    )
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


def test_noise_is_drawn_where_its_generator_lives(monkeypatch):
    drawn, randn = [], torch.randn
    monkeypatch.setattr(
        torch, "randn", lambda *shape, device, **o: drawn.append(device) or randn(*shape, **o)
    )
    moved = gaussian.standard_normal((2, 3), generator=torch.Generator().manual_seed(0), device="meta")
    assert (moved.device.type, drawn) == ("meta", [torch.device("cpu")])
