"""Every loss: zero at the truth, gradients right and finite at degenerate points, padding and rigid motion nothing."""

import pytest
import torch

from cytosol.edm import EDMScaling
from stedm.geometry import align, knn, turned
from stedm.losses import distance_score, v_geom
from stedm.objective import HIGH, LOW, TERMS, WEIGHTS, check_weights, combine

B, N, D, K = 2, 9, 2, 3
NAMES = [term.name for term in TERMS]
SHAPES = ("random", "coincident", "collinear")


def material(kind="random", *, seed=0, padding=float("nan")):
    """What the table's losses read, by name; the second set has two padded points."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda: torch.randn(B, N, D, generator=generator, dtype=torch.float64)  # noqa: E731
    target, hat = draw(), draw()
    if kind == "coincident":
        hat = torch.ones_like(hat)
    elif kind == "collinear":
        hat = hat[..., :1] * torch.tensor([1.0, 2.0], dtype=torch.float64)
    mask = torch.arange(N) < torch.tensor([N, N - 2])[:, None]
    pad = lambda x: torch.where(mask[..., None], x, padding)  # noqa: E731
    sigma = torch.tensor([0.1, 2.0], dtype=torch.float64)
    shared = mask & (torch.arange(N) % 4 != 0)
    return {
        "hat": pad(hat),
        "geom": pad(hat),
        "gen": pad(hat),
        "learned": pad(hat),
        "target": pad(target),
        "gen_target": pad(align(target, hat, mask)(target)),
        "learned_target": pad(target + 0.1 * draw()),
        "other": pad(target + 0.3 * draw()),
        "mask": mask,
        "shared": shared,
        "near": knn(pad(target), mask, K),
        "weight": EDMScaling(0.7).weight(sigma),
    }


def predicted(term):
    """The name of what is predicted among a term's inputs: its first."""
    return term.reads[0]


def value(term, given):
    return term.function(*(given[name] for name in term.reads))


def test_the_table_holds_the_twelve_losses_with_the_specifications_weights():
    assert WEIGHTS == {
        "score": 16.0,
        "gram": 2.0,
        "gram_scale": 2.0,
        "out_scale": 2.0,
        "gram_learn": 2.0,
        "knn_scale": 0.2,
        "knn_nca": 2.0,
        "edge": 4.0,
        "gen_align": 10.0,
        "gen_scale": 10.0,
        "subspace": 0.5,
        "ctx_edge": 0.05,
    }
    assert len(TERMS) == 12


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("term", TERMS, ids=NAMES)
def test_gradients_are_right_and_finite(term, kind):
    given = material(kind, padding=0.0)
    x = given[predicted(term)].clone().requires_grad_()
    function = lambda x: value(term, {**given, predicted(term): x})  # noqa: E731
    if (
        kind == "coincident" and term.name in NEAR_ROOT
    ):  # a root of TINY bends too fast for finite differences
        (grad,) = torch.autograd.grad(function(x).sum(), x)
        assert grad.isfinite().all()
    else:
        assert torch.autograd.gradcheck(function, (x,), eps=1e-7, atol=1e-4)


NEAR_ROOT = ("knn_scale", "edge", "ctx_edge", "out_scale", "gen_scale", "subspace")


@pytest.mark.parametrize("term", TERMS, ids=NAMES)
def test_a_set_of_coincident_truth_gives_finite_values_and_gradients(term):
    given = material()
    for name in ("target", "gen_target", "learned_target", "other"):
        given[name] = torch.where(given["mask"][..., None], 1.0, torch.nan).double().expand(B, N, D)
    x = given[predicted(term)].clone().requires_grad_()
    loss = value(term, {**given, predicted(term): x})
    (grad,) = torch.autograd.grad(loss.sum(), x)
    assert loss.isfinite().all()
    assert grad.isfinite().all()


@pytest.mark.parametrize("term", TERMS, ids=NAMES)
def test_padding_changes_nothing_and_gets_no_gradient(term):
    clean, spoilt = material(padding=0.0), material(padding=float("nan"))
    x = spoilt[predicted(term)].clone().requires_grad_()
    loss = value(term, {**spoilt, predicted(term): x})
    torch.testing.assert_close(loss, value(term, clean))
    (grad,) = torch.autograd.grad(loss.sum(), x)
    assert grad.isfinite().all()
    assert not grad[~spoilt["mask"]].any()


@pytest.mark.parametrize("term", TERMS, ids=NAMES)
def test_the_truth_is_a_minimum(term):
    given = material()
    wanted = {"learned": "learned_target", "gen": "other" if term.name == "ctx_edge" else "gen_target"}
    given[predicted(term)] = given[wanted.get(predicted(term), "target")]
    best = value(term, given)
    if term.name != "knn_nca":
        torch.testing.assert_close(best, torch.zeros_like(best), atol=1e-6, rtol=0)
    noise = torch.randn(B, N, D, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    given[predicted(term)] = given[predicted(term)] + noise
    assert (value(term, given) >= best - 1e-9).all()


@pytest.mark.parametrize(
    "name", ["gram", "gram_scale", "out_scale", "gram_learn", "knn_scale", "knn_nca", "edge"]
)
def test_intrinsic_losses_do_not_see_a_rigid_motion(name):
    term = TERMS[NAMES.index(name)]
    given = material()
    before = value(term, given)
    turn = turned(given["hat"], torch.Generator().manual_seed(1))
    given[predicted(term)] = given[predicted(term)] @ turn + 4.0
    torch.testing.assert_close(value(term, given), before)


def test_a_set_without_real_points_costs_nothing():
    given = material()
    given["mask"] = given["shared"] = torch.zeros_like(given["mask"])
    given["near"] = knn(given["target"], given["mask"], K)
    for term in TERMS:
        assert not value(term, given).any(), term.name


def test_distances_score_like_coordinates_of_independent_points():
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(1, 400, 2, generator=generator)
    hat = target + 0.01 * torch.randn(1, 400, 2, generator=generator)
    mask = torch.ones(1, 400, dtype=torch.bool)
    score = TERMS[0].function(hat, target, mask, torch.ones(1))
    assert 0.3 < float(distance_score(hat, target, mask, torch.ones(1)) / score) < 3


def test_the_scale_clamp_corrects_a_little_and_no_more():
    given = material()
    mask, target = given["mask"], given["target"]
    near = v_geom(0.8 * target, target, mask)
    torch.testing.assert_close(near[mask], v_geom(target, target, mask)[mask])
    far = v_geom(0.1 * target, target, mask)
    torch.testing.assert_close(far[mask], 0.1 * torch.e**0.5 * near[mask])


def test_losses_count_within_their_gates_only():
    given = material()
    given["mask"] = given["mask"].clone()
    _, low = combine(given, part="refiner", level=torch.tensor([0.1, 0.1]))
    _, high = combine(given, part="refiner", level=torch.tensor([9.0, 9.0]))
    assert low["gram_learn"] == 0 < high["gram_learn"]
    assert high["gram"] == 0 < low["gram"]
    assert bool((LOW(torch.tensor([1.0, 3.0])) ^ HIGH(torch.tensor([1.0, 3.0]))).all())


def test_the_total_is_the_weighted_sum_of_a_parts_losses():
    given = material()
    total, each = combine(given, part="generator", weights={"gen_scale": 3.0})
    assert set(each) == {"gen_align", "gen_scale", "ctx_edge"}
    expected = 10 * each["gen_align"] + 3 * each["gen_scale"] + 0.05 * each["ctx_edge"]
    torch.testing.assert_close(total, expected)
    _, without = combine(given, part="generator", weights={"gen_scale": 0.0})
    assert "gen_scale" not in without


def test_weights_of_unknown_losses_are_refused():
    with pytest.raises(ValueError, match="unknown loss 'grams'"):
        check_weights({"grams": 1.0})
    with pytest.raises(ValueError, match="at least 0"):
        check_weights({"gram": -1.0})
