"""Round trips, frames, degenerate points and padding of the geometry of masked point sets."""

import math

import pytest
import torch

from stedm.geometry import (
    align,
    centre,
    factor_from_gram,
    gram,
    intrinsic,
    knn,
    rms_radius,
    square_distances,
    turned,
)


@pytest.fixture
def points():
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(3, 12, 2, generator=generator, dtype=torch.float64) + 5.0
    mask = torch.arange(12) < torch.tensor([12, 9, 7])[:, None]
    return torch.where(mask[..., None], v, torch.nan), mask


def degenerate(kind):
    line = torch.linspace(-1, 1, 6, dtype=torch.float64)
    return {
        "coincident": torch.ones(1, 6, 2, dtype=torch.float64),
        "collinear": torch.stack([line, 2 * line], -1)[None],
        "single": torch.ones(1, 1, 2, dtype=torch.float64),
    }[kind]


def test_a_factor_has_the_gram_matrix_it_came_from(points):
    v, mask = points
    g = gram(v, mask)
    back = factor_from_gram(g, 2)
    torch.testing.assert_close(back @ back.mT, g)
    assert torch.equal(factor_from_gram(g, 5)[..., 2:].abs() > 1e-6, torch.zeros(3, 12, 3, dtype=torch.bool))


def test_a_factor_forgets_the_frame_and_follows_the_order_of_points(points):
    v, mask = points
    v, mask = v[:1], mask[:1]
    g = gram(v, mask)
    moved = centre(v, mask) @ turned(v, torch.Generator().manual_seed(1)) + 3.0
    torch.testing.assert_close(factor_from_gram(gram(moved, mask), 2), factor_from_gram(g, 2))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    mixed = factor_from_gram(g[:, order][:, :, order], 2)
    torch.testing.assert_close(mixed, factor_from_gram(g, 2)[:, order])


def test_the_small_problem_gives_the_same_factor(points):
    v, mask = points
    torch.testing.assert_close(
        intrinsic(v, mask, 2), factor_from_gram(gram(v, mask), 2), atol=1e-7, rtol=1e-7
    )
    assert intrinsic(v, mask, 3)[..., 2].abs().max() == 0


@pytest.mark.parametrize("kind", ["coincident", "collinear", "single"])
def test_degenerate_points_have_a_finite_factor_outside_the_graph(kind):
    v = degenerate(kind).requires_grad_()
    mask = torch.ones(v.shape[:2], dtype=torch.bool)
    back = factor_from_gram(gram(v, mask), 2)
    assert not back.requires_grad
    assert not intrinsic(v, mask, 2).requires_grad
    assert back.isfinite().all()
    torch.testing.assert_close(
        square_distances(back, mask), square_distances(v.detach(), mask), atol=1e-9, rtol=0
    )


def test_what_is_no_gram_matrix_is_refused():
    with pytest.raises(ValueError, match="square"):
        factor_from_gram(torch.zeros(3, 4), 2)
    with pytest.raises(ValueError, match="finite"):
        factor_from_gram(torch.full((3, 3), torch.nan), 2)


@pytest.mark.parametrize("reflect", [True, False])
def test_an_alignment_undoes_a_motion(points, reflect):
    v, mask = points
    turn = turned(v, torch.Generator().manual_seed(3))
    if not reflect:
        turn = turn * torch.det(turn)[:, None, None].sign() ** torch.tensor([1.0, 0.0]).double()
    moved = 0.3 * (v @ turn) + 2.0
    fit = align(moved, v, mask, reflect=reflect, scale=True)
    torch.testing.assert_close(fit(moved)[mask], v[mask])
    torch.testing.assert_close(fit.scale, torch.full((3,), 1 / 0.3, dtype=torch.float64))


def test_without_reflections_a_mirror_image_stays_one(points):
    v, mask = points
    mirrored = v * torch.tensor([-1.0, 1.0], dtype=torch.float64)
    fit = align(mirrored, v, mask, reflect=False)
    torch.testing.assert_close(torch.det(fit.rotation), torch.ones(3, dtype=torch.float64))
    assert (fit(mirrored) - v)[mask].abs().max() > 0.1


def test_points_without_weight_do_not_count(points):
    v, mask = points
    weight = mask.double()
    weight[:, 0] = 0
    spoilt = v.clone()
    spoilt[:, 0] = 1e3
    torch.testing.assert_close(align(spoilt, v, mask, weight=weight)(v)[mask], v[mask])


@pytest.mark.parametrize("kind", ["coincident", "collinear", "single"])
def test_an_aligned_error_has_finite_gradients_for_degenerate_points(kind):
    v = degenerate(kind).requires_grad_()
    mask = torch.ones(v.shape[:2], dtype=torch.bool)
    target = torch.randn(v.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for reflect in (True, False):
        moved = align(target, v, mask, reflect=reflect, scale=True)(target)
        assert moved.isfinite().all()
        (grad,) = torch.autograd.grad((moved - v).square().sum() + rms_radius(v, mask).sum(), v)
        assert grad.isfinite().all()


def test_nearest_neighbours_are_real_others(points):
    v, mask = points
    near = knn(v, mask, 8)
    assert near.index.shape == near.valid.shape == (3, 12, 8)
    assert near.valid.sum(-1)[mask].tolist() == [8] * 12 + [8] * 9 + [6] * 7
    assert not near.valid[~mask].any()
    own = torch.arange(12)[:, None]
    for b in range(3):
        assert (near.index[b] != own)[near.valid[b]].all()
        assert mask[b][near.index[b][near.valid[b]]].all()
    distance = square_distances(v, mask)[0].masked_fill(torch.eye(12, dtype=torch.bool), math.inf)
    assert torch.equal(near.index[0, :, 0], distance.argmin(-1))
