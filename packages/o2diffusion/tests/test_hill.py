"""The Hill posterior: against the same integral done by brute force, and its limits."""

import numpy as np
import pytest

from o2diffusion.dose_points import Points
from o2diffusion.hill import Prior, grid, hill, learn, posterior

DOSE = np.array([0.0, 0.1, 0.3, 1.0, 3.0, 10.0])


def points(y, sd=1.0, dose=DOSE) -> Points:
    y = np.asarray(y, dtype=float)
    spread = np.full(len(y), sd**2)
    wells = np.full(len(y), 3)
    return Points("a", dose, y[None], spread[None], spread, wells, np.repeat(y, 3), np.repeat(dose, 3))


def test_half_effect_at_the_ec50_none_at_zero_all_at_infinity():
    at = np.array([0.0, 2.0, 1e12])
    for n in (0.5, 1.0, 8.0):
        np.testing.assert_allclose(hill(np.log(2.0), np.log(n), at), [0, 0.5, 1], atol=1e-5)
    assert hill(np.log(2.0), np.log(1.0), np.array([6.0]))[0] == pytest.approx(0.75)
    assert (np.diff(hill(0.0, 0.5, np.geomspace(1e-4, 1e4, 99))) >= 0).all()


def test_the_posterior_is_the_integral_over_bottom_and_span():
    prior = Prior(span=8.0, span_sd=6.0, log_n=0.5, log_n_sd=0.8, bottom=1.0, bottom_sd=5.0)
    rng = np.random.default_rng(0)
    log_ec50, log_n = np.log([0.4, 1.0, 2.5]), np.log([1.0, 2.0, 0.7])
    h = hill(log_ec50[:, None], log_n[:, None], DOSE)
    y, variance = 2 + 7 * h[1] + rng.normal(0, 1, len(DOSE)), rng.uniform(0.5, 2, len(DOSE))
    post = posterior(h, log_n, y[None], variance[None], prior)
    b, s = np.meshgrid(np.linspace(-14, 16, 601), np.linspace(-25, 41, 601), indexing="ij")
    log_prior = -0.5 * (((b - 1) / 5) ** 2 + ((s - 8) / 6) ** 2)
    sums = []
    for g in range(3):
        rest = y - b[..., None] - s[..., None] * h[g]
        density = np.exp(log_prior - 0.5 * (rest**2 / variance).sum(-1))
        sums.append(density.sum() * np.exp(-0.5 * ((log_n[g] - 0.5) / 0.8) ** 2))
        assert post.bottom[0, g] == pytest.approx((density * b).sum() / density.sum(), rel=1e-3, abs=1e-3)
        assert post.span[0, g] == pytest.approx((density * s).sum() / density.sum(), rel=1e-3)
    np.testing.assert_allclose(post.probability()[0], np.array(sums) / np.sum(sums), rtol=1e-3)


def test_the_grid_reaches_beyond_the_tested_doses_on_both_sides():
    log_ec50, log_n, step = grid(DOSE)
    assert np.exp(log_ec50.min()) == pytest.approx(0.01)
    assert np.exp(log_ec50.max()) == pytest.approx(100)
    assert step < 0.1
    assert len(np.unique(log_n)) * round(np.ptp(log_ec50) / step + 1) == len(log_n)


def test_drugs_teach_each_other_their_plateau():
    rng = np.random.default_rng(1)
    curves = [20 + 60 * hill(np.log(e), np.log(3.0), DOSE) for e in (0.5, 0.8, 1.5, 2.0, 4.0, 40.0)]
    prior = learn([points(c + rng.normal(0, 1, len(DOSE))) for c in curves])
    assert prior.span == pytest.approx(60, rel=0.1)
    assert prior.span_sd < 20
    lone = learn([points(curves[-1])])
    assert lone.span_sd > abs(lone.span)  # one drug that hardly acts says nothing of the plateau


def test_curves_that_fall_are_as_good_as_curves_that_rise():
    y = 10 * hill(np.log(1.0), np.log(2.0), DOSE)
    for sign in (1, -1):
        p = points(sign * y, sd=0.1)
        log_ec50, log_n, _ = grid(DOSE)
        h = hill(log_ec50[:, None], log_n[:, None], DOSE)
        weight = posterior(h, log_n, p.mean, p.variance, learn([p])).probability()[0]
        assert np.exp(weight @ log_ec50) == pytest.approx(1.0, rel=0.1)
