"""Stage A: cell by cell, contrast that is least where neighbours are alike."""

import pytest
import torch

from stedm.encoder import ExpressionEncoder, contrast_loss, neighbour_targets
from stedm.options import EncoderOptions


@pytest.fixture
def cells():
    generator = torch.Generator().manual_seed(0)
    v = torch.rand(40, 2, generator=generator)
    return v, torch.arange(40) % 2


@pytest.mark.parametrize("across", [True, False])
def test_neighbours_are_near_and_never_oneself(cells, across):
    v, section = cells
    targets = neighbour_targets(v, section, 0.1, across=across)
    torch.testing.assert_close(targets.sum(1), torch.ones(40))
    assert not targets.diagonal().any()
    other = targets[section[:, None] != section[None, :]]
    assert bool(other.any()) == across
    distance = torch.cdist(v, v)
    assert (targets * distance).sum(1).mean() < 0.5 * distance.mean()


def test_a_lonely_cell_has_no_neighbours_and_costs_nothing():
    v = torch.tensor([[0.0, 0.0], [9.0, 9.0]])
    targets = neighbour_targets(v, torch.zeros(2), 0.1, across=False)
    assert not targets.any()
    assert contrast_loss(torch.eye(2), targets, 0.1) == 0


def test_the_contrast_is_least_for_signatures_that_know_the_place(cells):
    v, section = cells
    targets = neighbour_targets(v, section, 0.1, across=True)
    angle = 3 * v
    knowing = torch.nn.functional.normalize(torch.cat([angle.cos(), angle.sin()], 1), dim=1)
    guessing = knowing[torch.randperm(40, generator=torch.Generator().manual_seed(1))]
    assert 0 < contrast_loss(knowing, targets, 0.1) < 0.5 * contrast_loss(guessing, targets, 0.1)


def test_an_encoder_goes_cell_by_cell():
    torch.manual_seed(0)
    encoder = ExpressionEncoder(7, 2, EncoderOptions(width=8, features=4))
    x = torch.randn(5, 7)
    z = encoder(x)
    torch.testing.assert_close(z[2], encoder(x[2]))
    torch.testing.assert_close(encoder.signature(z).norm(dim=1), torch.ones(5))
    (encoder.signature(z).sum() + encoder.place(z).square().sum()).backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())
    hidden = encoder.hidden(torch.ones(200, 50), torch.Generator().manual_seed(0))
    assert float(hidden.mean()) == pytest.approx(1, abs=0.05)
    assert float((hidden == 0).float().mean()) == pytest.approx(0.2, abs=0.02)
