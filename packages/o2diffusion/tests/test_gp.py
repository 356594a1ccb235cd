"""The shared Gaussian process: against finite differences, a dense oracle, and parameters known beforehand."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from o2diffusion import gp

THETA = np.log([0.8, 0.2, 0.3, 0.1, 0.15, 0.05])


def cells(seed, n=40, r=3):
    rng = np.random.default_rng(seed)
    return np.sort(rng.random(n)), rng.integers(0, r, n), rng.normal(size=n)


def kernel(theta, t1, r1, t2, r2):
    """The covariance of two curves, written out number by number."""
    v_s, l_s, v_i, l_i, v_o, _ = np.exp(theta)

    def matern(d, length):
        a = np.sqrt(3) * abs(d) / length
        return (1 + a) * np.exp(-a)

    return np.array(
        [
            [
                v_s * matern(a - b, l_s) + (v_i * matern(a - b, l_i) + v_o if i == j else 0.0)
                for b, j in zip(t2, r2, strict=True)
            ]
            for a, i in zip(t1, r1, strict=True)
        ]
    )


@pytest.mark.parametrize("rounds", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_gradient_is_that_of_finite_differences(seed, rounds):
    time, replicate, y = cells(seed)
    time = np.repeat(time[::2], 2)  # pairs of samples share a moment, whatever their replicates
    samples = gp._samples(time, replicate, y, time % 0.2 if rounds else None)
    theta = np.concatenate([THETA, gp.REPLAY]) if rounds else THETA
    theta = theta + np.random.default_rng(seed).normal(0, 0.5, len(theta))

    def value(x):
        return gp._negative_log_evidence(x, samples)[0]

    gradient = gp._negative_log_evidence(theta, samples)[1]
    np.testing.assert_allclose(gradient, approx_fprime(theta, value, 1e-6), rtol=1e-4, atol=1e-4)


def test_what_is_known_of_the_rounds_fills_a_hidden_round():
    """Twelve sawteeth of two replicates, one hidden whole: the replay knows it, a stationary process cannot."""
    time = np.repeat((np.arange(96) + 0.5) / 96, 2)
    phase, replicate = (time * 12) % 1.0, np.tile([0, 1], 96)
    y = 1.0 - 2.0 * phase + 0.1 * replicate
    hidden = (time * 12).astype(int) == 6
    seen = ~hidden

    def error(with_rounds):
        p = phase if with_rounds else None
        known = p[seen] if with_rounds else None
        theta = gp.fit(time[seen], replicate[seen], y[seen], phase=known)
        post = gp.posterior(
            theta,
            time[seen],
            replicate[seen],
            y[seen],
            time[hidden],
            replicate[hidden],
            phase=known,
            query_phase=p[hidden] if with_rounds else None,
        )
        return np.abs(post.mean - y[hidden]).mean()

    assert error(with_rounds=True) < 0.05
    assert error(with_rounds=False) > 0.2


def test_the_evidence_is_the_gaussian_density_times_the_prior():
    time, replicate, y = cells(1, n=12)
    time[1::2] = time[::2]
    samples = gp._samples(time, replicate, y, None)
    k = kernel(THETA, time, replicate, time, replicate) + np.exp(THETA[5]) * np.eye(12)
    sign, log_det = np.linalg.slogdet(k)
    prior = 0.5 * (((THETA - gp.PRIOR_MEAN[:6]) / gp.PRIOR_SD[:6]) ** 2).sum()
    expected = 0.5 * y @ np.linalg.inv(k) @ y + 0.5 * sign * log_det + prior
    np.testing.assert_allclose(gp._negative_log_evidence(THETA, samples)[0], expected, rtol=1e-6)


def test_the_posterior_is_the_dense_one():
    time, replicate, y = cells(2)
    query, who = np.linspace(-0.1, 1.1, 25), np.arange(25) % 4  # replicate 3 was never seen
    k = kernel(THETA, time, replicate, time, replicate) + np.exp(THETA[5]) * np.eye(len(y))
    cross = kernel(THETA, query, who, time, replicate)
    mean = cross @ np.linalg.inv(k) @ y
    covariance = kernel(THETA, query, who, query, who) - cross @ np.linalg.inv(k) @ cross.T
    covariance += np.exp(THETA[5]) * np.eye(25)
    found = gp.posterior(THETA, time, replicate, y, query, who, joint=True)
    np.testing.assert_allclose(found.mean, mean, atol=1e-6)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-6)
    np.testing.assert_allclose(found.sd**2, np.diag(covariance), atol=1e-6)


@pytest.mark.parametrize("n", [0, 30])
def test_the_joint_belief_has_the_marginal_one_on_its_diagonal(n):
    time, replicate, y = cells(3, n=n)
    query, who = np.linspace(0, 1, 20), np.arange(20) % 3
    joint = gp.posterior(THETA, time, replicate, y, query, who, joint=True)
    alone = gp.posterior(THETA, time, replicate, y, query, who)
    assert alone.covariance is None
    np.testing.assert_array_equal(joint.mean, alone.mean)
    np.testing.assert_allclose(np.sqrt(np.diag(joint.covariance)), alone.sd, rtol=1e-9)
    np.testing.assert_allclose(joint.covariance, joint.covariance.T, atol=1e-12)
    assert np.linalg.eigvalsh(joint.covariance).min() > 0


def test_no_data_leave_the_prior():
    none = np.empty(0)
    found = gp.posterior(THETA, none, none.astype(int), none, np.linspace(0, 1, 5), np.zeros(5, dtype=int))
    variances = np.exp(THETA[[0, 2, 4, 5]])
    np.testing.assert_array_equal(found.mean, 0.0)
    np.testing.assert_allclose(found.sd, np.sqrt(variances.sum()))


def test_known_hyper_parameters_are_found_again():
    truth = np.log([1.0, 0.15, 0.1, 0.05, 0.2, 0.02])
    time, replicate = np.repeat(np.linspace(0, 1, 60), 4), np.tile(np.arange(4), 60)
    k = kernel(truth, time, replicate, time, replicate) + np.exp(truth[5]) * np.eye(240)
    root = np.linalg.cholesky(k)
    found = np.array(
        [gp.fit(time, replicate, root @ np.random.default_rng(s).normal(size=240)) for s in range(3)]
    )
    shared, noise = np.median(found[:, 1]), np.median(found[:, 5])
    assert abs(shared - truth[1]) < np.log(1.6)
    assert abs(noise - truth[5]) < np.log(1.3)
    assert abs(np.median(found[:, 2]) - truth[2]) < np.log(2.0)  # the replicates' own part


def test_the_order_of_replicates_does_not_matter_even_when_samples_are_left_out():
    time, replicate = np.repeat(np.linspace(0, 1, 128), 4), np.tile(np.arange(4), 128)
    rng = np.random.default_rng(0)
    y = np.sin(7 * time) + 0.3 * rng.normal(size=4)[replicate] + 0.1 * rng.normal(size=512)
    order = np.argsort(np.array([2, 0, 3, 1])[replicate] + 4 * np.repeat(np.arange(128), 4))
    here, there = gp.fit(time, replicate, y), gp.fit(time, np.array([2, 0, 3, 1])[replicate][order], y[order])
    np.testing.assert_allclose(here, there, atol=1e-3)
    thinned = gp.fit(time, replicate, y, max_points=64)
    assert np.isfinite(thinned).all()


def test_the_event_clock_is_time_without_events_and_fast_right_after_one():
    time = np.linspace(0, 100, 2001)
    np.testing.assert_array_equal(gp.event_clock(time, np.empty(0), 100.0), time)
    speed = np.diff(gp.event_clock(time, np.array([30.0, 60.0]), 100.0)) / np.diff(time)
    np.testing.assert_allclose(speed[time[1:] < 30], 1.0, rtol=1e-6)
    assert speed[601] == pytest.approx(1 + gp.CLOCK_RATE, rel=0.1)
    assert speed[1190] == pytest.approx(1.0, abs=0.1)
    assert (speed > 0.999).all()
    slow = gp.event_clock(7 * time, 7 * np.array([30.0, 60.0]), 700.0)
    np.testing.assert_allclose(slow, 7 * gp.event_clock(time, np.array([30.0, 60.0]), 100.0))
