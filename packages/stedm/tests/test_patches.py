"""Sets to learn from and pieces to infer with: repeatable, complete, overlapping, stitched exactly."""

import numpy as np
import pytest
import torch

from stedm.geometry import turned
from stedm.options import PatchOptions
from stedm.patches import Cells, PatchDataset, collate, cut, measured_sigma, pieces, stitch

OPTIONS = PatchOptions(least=8, most=20, random=0.4)


def section(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    v = torch.rand(n, 2, generator=generator)
    return Cells(torch.randn(n, 3, generator=generator), v + 0.01, v)


@pytest.fixture
def data():
    return PatchDataset([section(60), section(12, 1)], OPTIONS, count=40, seed=3)


def test_items_depend_on_their_number_only(data):
    again = PatchDataset(data.sections, OPTIONS, count=40, seed=3)
    for i in (0, 7, 7, 39):
        assert data[i][0] is again[i][0]
        assert np.array_equal(data[i][1], again[i][1])
    assert len({tuple(data[i][1]) for i in range(40)}) > 30


def test_a_set_is_a_neighbourhood_and_some_others(data):
    spreads = []
    for i in range(40):
        cells, rows = data[i]
        assert len(set(rows)) == len(rows) <= len(cells)
        if cells is data.sections[0]:
            assert OPTIONS.least <= len(rows) <= OPTIONS.most
            spreads.append(data.sections[0].v[torch.as_tensor(rows)].std())
    assert np.mean(spreads) < 0.95 * float(data.sections[0].v.std())


def test_a_batch_is_padded(data):
    batch = collate([data[i] for i in range(5)])
    sizes = [len(data[i][1]) for i in range(5)]
    assert batch["mask"].sum(1).tolist() == sizes
    assert batch["z"].shape == (5, max(sizes), 3)
    cells, rows = data[0]
    assert torch.equal(batch["v"][0][batch["mask"][0]], cells.v[torch.as_tensor(rows)])


def test_pieces_hold_every_cell_and_share_anchors():
    cells = section(503)
    made = pieces(cells.v, OPTIONS, torch.Generator().manual_seed(0))
    assert torch.equal(torch.cat(made.rows).unique(), torch.arange(503))
    for rows in made.rows:
        assert len(rows) <= OPTIONS.most
        assert torch.equal(rows[: len(made.anchors)], made.anchors)
        assert len(rows.unique()) == len(rows)
    own = [cells.v[rows[len(made.anchors) :]] for rows in made.rows]
    assert np.mean([float(v.std(0).mean()) for v in own]) < 0.5 * float(cells.v.std(0).mean())
    assert len(made.rows) < 4 * 503 / (OPTIONS.most - len(made.anchors))


def test_a_small_section_is_one_set():
    made = pieces(section(20).v, OPTIONS, torch.Generator())
    assert len(made.rows) == 1
    assert len(made.anchors) == 20


def test_cells_at_one_place_are_cut_up_too():
    assert sum(len(r) for r in cut(torch.zeros(100, 2), 7, torch.Generator().manual_seed(0))) == 100


def test_stitching_undoes_the_frame_of_every_set():
    cells, generator = section(200), torch.Generator().manual_seed(0)
    made = pieces(cells.v, OPTIONS, generator)
    turns = turned(torch.zeros(len(made.rows), 1, 2), generator)
    structures = [cells.v[rows] @ turn + 3.0 for rows, turn in zip(made.rows, turns, strict=True)]
    known = torch.zeros(200, dtype=torch.bool)
    known[made.anchors] = True
    reference = torch.where(known[:, None], cells.v, torch.nan)
    v, count = stitch(200, made.rows, structures, reference, known)
    torch.testing.assert_close(v, cells.v, atol=1e-5, rtol=1e-5)
    assert count.min() == 1
    assert (count[made.anchors] == len(made.rows)).all()


def test_sigma_is_measured_an_axis():
    v = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * 3
    cells = Cells(torch.zeros(500, 1), v, v)
    options = PatchOptions(least=200, most=200, random=1.0)
    assert measured_sigma(PatchDataset([cells], options, count=8, seed=0)) == pytest.approx(3, rel=0.05)
    flat = Cells(torch.zeros(500, 1), 0 * v, 0 * v)
    with pytest.raises(ValueError, match="different places"):
        measured_sigma(PatchDataset([flat], options, count=8, seed=0))


def test_cells_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match="expected z"):
        Cells(torch.zeros(3, 1), torch.zeros(3, 2), torch.zeros(4, 2))
    with pytest.raises(ValueError, match="finite values in v"):
        Cells(torch.zeros(3, 1), torch.zeros(3, 2), torch.full((3, 2), torch.nan))
    with pytest.raises(ValueError, match="at least one section"):
        PatchDataset([], OPTIONS, count=1, seed=0)
