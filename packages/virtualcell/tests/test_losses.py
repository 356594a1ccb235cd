"""Losses against scipy and plain numpy; gradients right, and finite where points coincide and means are 0."""

import numpy as np
import pytest
import torch
from scipy import stats

from virtualcell import metrics
from virtualcell.losses import energy_distance, mmd, negative_binomial


def two(n=7, m=5, g=3, *, seed=0, sets=()):
    draw = torch.Generator().manual_seed(seed)
    make = lambda cells: torch.randn(*sets, cells, g, generator=draw, dtype=torch.float64)  # noqa: E731
    return make(n), 0.5 + 1.3 * make(m)


@pytest.mark.parametrize("log_dispersion", [-30.0, -6.0, -4.7, -4.5, 0.0, 3.0])
def test_the_likelihood_is_scipys(log_dispersion):
    counts, mean = np.meshgrid([0, 1, 2, 17, 400], [1e-3, 0.7, 30.0, 900.0])
    r = np.exp(-log_dispersion)
    want = stats.nbinom.logpmf(counts, r, r / (r + mean)) if r < 1e9 else stats.poisson.logpmf(counts, mean)
    args = (
        torch.tensor(counts, dtype=torch.float64),
        torch.tensor(mean),
        torch.tensor(log_dispersion, dtype=torch.float64),
    )
    np.testing.assert_allclose(negative_binomial(*args), want, rtol=1e-7, atol=1e-9)
    single = negative_binomial(*(arg.float() for arg in args))
    np.testing.assert_allclose(single, want, rtol=2e-5, atol=2e-4)


def test_the_likelihood_of_all_counts_is_one():
    counts = torch.arange(2000, dtype=torch.float64)[:, None]
    total = (
        negative_binomial(counts, torch.tensor([0.0, 0.3, 8.0]).double(), torch.tensor(0.2).double())
        .exp()
        .sum(0)
    )
    torch.testing.assert_close(total, torch.ones(3, dtype=torch.float64))


def test_the_likelihoods_gradients_are_right_and_finite_at_a_mean_of_zero():
    counts = torch.tensor([0.0, 1.0, 5.0, 40.0], dtype=torch.float64)
    mean = torch.tensor([0.2, 3.0, 6.0, 20.0], dtype=torch.float64, requires_grad=True)
    over = torch.tensor([-6.0, -1.0, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m, o: negative_binomial(counts, m, o), (mean, over))
    zero = torch.zeros(4, requires_grad=True)
    value = negative_binomial(counts.float(), zero, over.detach().float())
    (slope,) = torch.autograd.grad(value.sum(), zero)
    assert value.isfinite().all()
    assert slope.isfinite().all()


def test_the_energy_distance_in_one_dimension_is_the_square_of_scipys():
    x, y = two(g=1)
    want = stats.energy_distance(x[:, 0], y[:, 0]) ** 2
    np.testing.assert_allclose(float(energy_distance(x, y)), want, rtol=1e-9)


def by_hand(x, y, of, *, unbiased):
    """The mean of `of(distance)` over pairs: between, within x, within y."""
    d = lambda a, b: of(np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)))  # noqa: E731
    inside = lambda a: d(a, a)[~np.eye(len(a), dtype=bool)].mean() if unbiased else d(a, a).mean()  # noqa: E731
    return d(x, y).mean(), inside(x), inside(y)


@pytest.mark.parametrize(("n", "m"), [(7, 5), (2, 40)])
def test_what_is_trained_against_is_what_is_scored(n, m):
    x, y = two(n, m, g=6)
    scored = metrics.energy_distance(x.numpy(), y.numpy())
    np.testing.assert_allclose(float(energy_distance(x, y, unbiased=True)), scored, rtol=1e-9)
    scored = metrics.mmd(x.numpy(), y.numpy(), 1.7)
    np.testing.assert_allclose(float(mmd(x, y, bandwidths=(1.7,), unbiased=True)), scored, rtol=1e-9)


@pytest.mark.parametrize("unbiased", [False, True])
def test_both_distances_are_those_of_all_pairs(unbiased):
    x, y = two()
    between, own, other = by_hand(x.numpy(), y.numpy(), lambda d: d, unbiased=unbiased)
    found = float(energy_distance(x, y, unbiased=unbiased))
    np.testing.assert_allclose(found, 2 * between - own - other, rtol=1e-9)
    kernel = lambda d: (np.exp(-(d**2) / 2 / 0.7**2) + np.exp(-(d**2) / 2 / 2.0**2)) / 2  # noqa: E731
    between, own, other = by_hand(x.numpy(), y.numpy(), kernel, unbiased=unbiased)
    found = float(mmd(x, y, bandwidths=(0.7, 2.0), unbiased=unbiased))
    np.testing.assert_allclose(found, own + other - 2 * between, rtol=1e-9)


@pytest.mark.parametrize("loss", [energy_distance, mmd])
def test_a_population_is_at_no_distance_from_itself_and_nearer_ones_are_nearer(loss):
    x, y = two(30, 30)
    assert abs(float(loss(x, x.flip(0)))) < 1e-7
    assert 0 < float(loss(x, 0.5 * (x + y))) < float(loss(x, y))


@pytest.mark.parametrize("loss", [energy_distance, mmd])
def test_unbiased_distances_of_two_samples_of_one_population_are_zero_in_the_mean(loss):
    x, y = two(6, 6, sets=(4000,))
    y = (y - 0.5) / 1.3
    found = loss(x, y, unbiased=True)
    assert abs(float(found.mean())) < 4 * float(found.std()) / 4000**0.5
    assert float(loss(x, y).mean()) > 10 * float(found.std()) / 4000**0.5


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("loss", [energy_distance, mmd])
def test_padding_of_populations_changes_nothing(loss, unbiased):
    x, y = two(sets=(2,))
    x_mask, y_mask = (torch.ones(one.shape[:2], dtype=torch.bool) for one in (x, y))
    x_mask[1, 4:], y_mask[0, ::2] = False, False
    found = loss(
        x.masked_fill(~x_mask[..., None], float("nan")),
        y.masked_fill(~y_mask[..., None], float("nan")),
        x_mask,
        y_mask,
        unbiased=unbiased,
    )
    alone = [loss(x[i][x_mask[i]], y[i][y_mask[i]], unbiased=unbiased) for i in range(2)]
    torch.testing.assert_close(found, torch.stack(alone))


@pytest.mark.parametrize("points", ["apart", "coincident"])
@pytest.mark.parametrize("loss", [energy_distance, lambda x, y: mmd(x, y, bandwidths=(1.0, 3.0))])
def test_gradients_of_distances_are_right_and_finite_where_points_coincide(loss, points):
    x, y = two()
    if points == "apart":
        x, y = x.requires_grad_(), y.requires_grad_()
        assert torch.autograd.gradcheck(loss, (x, y))
        return
    for n in (5, 40):  # torch.cdist works another way from 26 points on
        same = torch.ones(n, 3, requires_grad=True)
        (slope,) = torch.autograd.grad(loss(same, torch.ones(n, 3)), same)
        assert (slope == 0).all()


def test_a_step_down_the_energy_distance_brings_populations_together():
    x, y = two(40, 40)
    start = float(energy_distance(x, y))
    for _ in range(30):
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(energy_distance(x, y, unbiased=True), x)
        x = x.detach() - 8 * slope
    assert float(energy_distance(x, y)) < 0.25 * start


@pytest.mark.parametrize("loss", [energy_distance, mmd])
def test_populations_that_do_not_fit_are_refused_in_one_line(loss):
    x, y = two()
    none = torch.zeros(len(x), dtype=torch.bool)
    for args, words in (
        ((x, y[:, :2]), "same genes"),
        ((x[:0], y), "1 or more real cells"),
        ((x, y, none), "1 or more real cells"),
        ((x, y, none[:2]), "expected bool"),
    ):
        with pytest.raises(ValueError, match=words) as told:
            loss(*args)
        assert "\n" not in str(told.value)
    with pytest.raises(ValueError, match="2 or more real cells"):
        loss(x[:1], y, unbiased=True)
