"""Neighbours in expression over a whole section, exact where it is small, close where it is large."""

import pytest
import torch

from stedm import surroundings
from stedm.patches import Cells
from stedm.surroundings import nearest_cells, with_surroundings


def test_neighbours_are_the_nearest_others():
    key = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
    near = nearest_cells(key, 4, torch.Generator())
    expected = torch.cdist(key, key).fill_diagonal_(torch.inf).topk(4, largest=False).indices
    assert torch.equal(near, expected)
    assert nearest_cells(key[:3], 5, torch.Generator()).shape == (3, 5)
    with pytest.raises(ValueError, match="two cells"):
        nearest_cells(key[:1], 4, torch.Generator())


def test_a_large_section_is_cut_up_and_most_neighbours_are_found(monkeypatch):
    monkeypatch.setattr(surroundings, "WHOLE", 500)
    monkeypatch.setattr(surroundings, "PIECE", 200)
    key = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0))
    near = nearest_cells(key, 6, torch.Generator().manual_seed(1))
    exact = torch.cdist(key, key).fill_diagonal_(torch.inf).topk(6, largest=False).indices
    assert (near.sort(1).values.diff(dim=1) > 0).all()
    assert (near != torch.arange(2000)[:, None]).all()
    assert (near[:, :, None] == exact[:, None, :]).any(-1).float().mean() > 0.97


def test_surroundings_make_a_noisy_base_better_known():
    generator = torch.Generator().manual_seed(0)
    v = torch.rand(400, 2, generator=generator)
    cells = Cells(3 * v, v + 0.2 * torch.randn(400, 2, generator=generator), v)
    made = with_surroundings(cells, 12, generator)
    assert made.z.shape == (400, 2 + 2 + 2 + 2)
    assert torch.equal(made.z[:, :2], cells.z)
    smoothed = cells.p + made.z[:, 4:6]
    assert (smoothed - v).square().mean() < 0.3 * (cells.p - v).square().mean()
    assert not with_surroundings(Cells(v[:1], v[:1], v[:1]), 3, generator).z[:, 2:].any()
