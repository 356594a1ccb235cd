"""Quantiles to normal scores and back, and draws with exactly the marginals they should have."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from o2diffusion.marginals import (
    LEVELS,
    LIMIT,
    SCORE_MAX,
    SCORES,
    STEP,
    WEIGHTS,
    K,
    exact_scores,
    from_scores,
    quantile,
    to_scores,
)


def ladders(seed, *shape):
    """Increasing quantiles (*shape, k)."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.rand(*shape, K, generator=generator, dtype=torch.float64) + 0.01
    return steps.cumsum(-1) * torch.exp(torch.randn(*shape, 1, generator=generator, dtype=torch.float64))


def test_the_levels_are_those_of_the_scores():
    np.testing.assert_allclose(norm.cdf(SCORES.numpy()), LEVELS.numpy(), atol=1e-6)
    np.testing.assert_allclose(np.diff(SCORES.numpy()), STEP, rtol=1e-5)
    assert (SCORES[0], SCORES[K // 2], SCORES[-1]) == (-SCORE_MAX, 0.0, SCORE_MAX)
    assert (WEIGHTS > 0).all()


@given(seed=st.integers(0, 10_000))
def test_values_come_back_from_their_scores(seed):
    q = ladders(seed, 5, 3)
    score = (2 * torch.rand(5, 3, dtype=torch.float64) - 1) * LIMIT
    value = from_scores(score, q)
    torch.testing.assert_close(to_scores(value, q), score, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(from_scores(to_scores(value, q), q), value, atol=1e-9, rtol=1e-9)


def test_the_quantiles_are_the_values_of_the_scores():
    q = ladders(1, 4)
    for k in range(K):
        score = SCORES[k].double().expand(4)
        torch.testing.assert_close(from_scores(score, q), q[:, k], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(to_scores(q[:, k], q), score, atol=1e-6, rtol=1e-6)


@given(seed=st.integers(0, 1000))
def test_scores_rise_with_values(seed):
    q = ladders(seed, 1).expand(200, K)
    value = torch.linspace(float(q.min()) - 1, float(q.max()) + 1, 200, dtype=torch.float64)
    assert (to_scores(value, q).diff() >= 0).all()
    assert (from_scores(torch.linspace(-LIMIT, LIMIT, 200, dtype=torch.float64), q).diff() > 0).all()


def test_a_fault_far_away_is_cut():
    q = ladders(0, 2)
    assert to_scores(torch.full((2,), 1e12, dtype=torch.float64), q).tolist() == [LIMIT, LIMIT]
    assert to_scores(torch.full((2,), -1e12, dtype=torch.float64), q).tolist() == [-LIMIT, -LIMIT]


def test_a_normal_law_is_recovered():
    q = (3.0 + 2.0 * SCORES.double()).expand(7, K)
    value = torch.linspace(-3, 9, 7, dtype=torch.float64)
    torch.testing.assert_close(to_scores(value, q), (value - 3) / 2, atol=1e-6, rtol=1e-6)
    for level in (0.05, 0.25, 0.5, 0.9):
        expected = torch.full((7,), float(norm.ppf(level, 3, 2)), dtype=torch.float64)
        torch.testing.assert_close(quantile(level, q), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n", [2, 32, 101])
def test_draws_get_exactly_spread_marginals_and_keep_their_order(n):
    raw = torch.randn(n, 6, 3, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    spread = exact_scores(raw)
    expected = torch.as_tensor(norm.ppf((np.arange(n) + 0.5) / n))
    torch.testing.assert_close(spread.sort(dim=0).values, expected[:, None, None].expand(n, 6, 3))
    torch.testing.assert_close(spread.argsort(dim=0), raw.argsort(dim=0))


def test_dependence_between_cells_is_kept():
    shared = torch.randn(400, 1, generator=torch.Generator().manual_seed(0))
    raw = shared + 0.1 * torch.randn(400, 5, generator=torch.Generator().manual_seed(1))
    spread = exact_scores(raw)
    assert torch.corrcoef(spread.T).min() > 0.97
