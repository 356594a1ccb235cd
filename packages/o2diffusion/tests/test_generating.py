"""Whole curves: shapes, units, the control, and requests that make no sense."""

import numpy as np
import pytest

from o2diffusion.corpus import Facts
from o2diffusion.generating import blank_condition, generate_curves, generate_table
from o2diffusion.media import MediaChangeSchedule

SCALE = (40.0, 20.0)
KNOWN = Facts(
    drugs=("A", "B"), scales={"%air": SCALE, "mg/L": (4.0, 2.0)}, units=("%air", "mg/L"), hours=100.0
)
CHANGES = MediaChangeSchedule([20.0, 60.0])


def curves(net, who=(0, 1.0), **options):
    known = {"scale": SCALE, "hours": 100.0, "draws": 3, "seed": 0}
    return generate_curves(net, who, CHANGES, **(known | options))


@pytest.mark.parametrize("r", [1, 2, 4])
def test_times_and_curves_of_every_draw_and_replicate(tiny_net, r):
    time, found = curves(tiny_net, n_replicates=r)
    cells = tiny_net.config.cells
    assert time.shape == (cells,)
    assert found.shape == (3, cells, r)
    np.testing.assert_allclose(time, (np.arange(cells) + 0.5) * 100.0 / cells)
    assert np.isfinite(found).all()


def test_the_same_seed_gives_the_same_curves(tiny_net):
    a, b, c = (curves(tiny_net, seed=s)[1] for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_the_scale_is_the_tables(tiny_net):
    a, b = (curves(tiny_net, scale=s)[1] for s in (SCALE, (0.0, 1.0)))
    np.testing.assert_allclose((a - SCALE[0]) / SCALE[1], b, atol=1e-5)


def test_at_dose_zero_every_drug_is_the_control(tiny_net):
    control, a, b, dosed = (curves(tiny_net, who=w)[1] for w in ((-1, 0.0), (0, 0.0), (1, 0.0), (0, 5.0)))
    np.testing.assert_array_equal(a, control)
    np.testing.assert_array_equal(b, control)
    assert (dosed != control).any()


def test_a_long_table(tiny_net):
    table = generate_table(
        tiny_net,
        KNOWN,
        (0, 1.0),
        replicates=2,
        media_changes=[20.0],
        hours=80.0,
        draws=3,
        unit="mg/L",
        seed=0,
    )
    cells = tiny_net.config.cells
    assert list(table.columns) == ["draw", "replicate", "time_h", "oxygen", "unit"]
    assert len(table) == 3 * 2 * cells
    assert set(table["unit"]) == {"mg/L"}
    time, found = generate_curves(
        tiny_net, (0, 1.0), MediaChangeSchedule([20.0]), scale=(4.0, 2.0), n_replicates=2, hours=80.0, draws=3
    )
    one = table[(table["draw"] == 2) & (table["replicate"] == 2)]
    np.testing.assert_array_equal(one["time_h"], time)
    np.testing.assert_array_equal(one["oxygen"], found[1, :, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"draws": 0}, "draws: expected at least 1, got 0"),
        ({"unit": "mmHg"}, r"unit: expected one the model was trained on \(%air, mg/L\), got 'mmHg'"),
        ({"replicates": 0}, "replicates: expected 1 to 4, got 0"),
        ({"replicates": 5}, "replicates: expected 1 to 4, got 5"),
        ({"hours": 0.0}, "hours: expected a duration"),
        ({"hours": float("inf")}, "hours: expected a duration"),
        ({"media_changes": [200.0]}, "media_changes: expected times .* between 0 and 80, got 200"),
        ({"media_changes": [-1.0]}, "media_changes: expected times .* got -1"),
    ],
)
def test_requests_without_sense_are_refused(tiny_net, change, message):
    asked = {"replicates": 2, "media_changes": [20.0], "hours": 80.0, "draws": 1, "unit": "%air", "seed": 0}
    with pytest.raises(ValueError, match=message):
        generate_table(tiny_net, KNOWN, (0, 1.0), **(asked | change))


def test_a_blank_condition_has_its_changes_and_nothing_else():
    one = blank_condition(80.0, 3, MediaChangeSchedule([60.0, 20.0]), unit="%air")
    assert one.oxygen.shape == (2, 3)
    assert np.isnan(one.oxygen).all()
    assert one.wanted.all()
    np.testing.assert_array_equal(one.events.time_h, [20.0, 60.0])
    assert one.events.kind == ("media_change", "media_change")
