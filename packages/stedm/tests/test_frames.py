"""The four words of the gauge: which frame the target has, and that distances survive in all."""

import pytest
import torch

from stedm.frames import loss_target, make_example
from stedm.geometry import align, centre, square_distances, turned


@pytest.fixture
def sets():
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(2, 10, 2, generator=generator)
    mask = torch.arange(10) < torch.tensor([10, 8])[:, None]
    v = torch.where(mask[..., None], v, torch.nan)
    start = torch.where(
        mask[..., None], v @ turned(v, generator) + 0.05 * torch.randn(v.shape, generator=generator), 0
    )
    return v, start, mask


@pytest.mark.parametrize("gauge", ["frame", "generator", "output", "distance"])
def test_an_example_keeps_the_shape_and_has_the_noise_it_says(sets, gauge):
    v, start, mask = sets
    sigma = torch.tensor([0.0, 3.0])
    made = make_example(v, start, mask, sigma, gauge, torch.Generator().manual_seed(1))
    for x in (made.target, made.start, made.noisy):
        assert x.isfinite().all()
        torch.testing.assert_close(x, centre(x, mask))
    torch.testing.assert_close(
        square_distances(made.target, mask), square_distances(v, mask), atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(made.noisy[0], made.target[0])
    assert 1 < (made.noisy - made.target)[1][mask[1]].std() < 5


def test_each_word_has_its_frame(sets):
    v, start, mask = sets
    sigma = torch.full((2,), 1e-3)
    example = {
        g: make_example(v, start, mask, sigma, g, torch.Generator().manual_seed(1))
        for g in ("frame", "generator", "output")
    }
    torch.testing.assert_close(example["frame"].target, centre(v, mask))
    assert (example["generator"].target - centre(start, mask)).abs().max() < 0.4
    assert (example["output"].target - example["output"].start).abs().max() < 0.4
    other = make_example(v, start, mask, sigma, "output", torch.Generator().manual_seed(2))
    assert (other.target - example["output"].target).abs().max() > 0.1


def test_the_loss_of_an_aligned_gauge_does_not_see_the_outputs_frame(sets):
    v, start, mask = sets
    made = make_example(v, start, mask, torch.ones(2), "output", torch.Generator().manual_seed(1))
    turn = turned(made.target, torch.Generator().manual_seed(3))
    torch.testing.assert_close(loss_target(made, made.target @ turn, "output"), made.target @ turn)
    assert loss_target(made, made.target @ turn, "generator") is made.target
    fit = align(made.target, made.noisy, mask)
    assert fit.rotation.isfinite().all()
