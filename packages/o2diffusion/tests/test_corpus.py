"""What a model knows of its table: drugs, doses, scales, media-change windows; what it says of others."""

import json

import numpy as np
import pytest

from o2diffusion.config import Config, ModelConfig, TrainConfig
from o2diffusion.corpus import Facts, facts, training_pool, training_windows
from o2diffusion.drugs import UNKNOWN


@pytest.fixture
def table(condition, curves):
    """Six conditions: two drugs, a control, one of a drug called None, one without any, in two units."""
    who = [("A", 1.0), ("A", 10.0), ("B", 0.0), ("control", 0.0), ("None", 3.0), (None, None)]
    return [
        condition(
            *curves(k),
            drug=d,
            concentration_um=c,
            unit="mg/L" if k == 5 else "%air",
            changes=(20.0,),
            series_id=f"s{k}",
        )
        for k, (d, c) in enumerate(who)
    ]


def test_the_facts_of_a_table(table):
    known = facts(table, use_drugs=True)
    assert known.drugs == ("A", "B", "None")
    assert known.c_ref == 1.0
    assert known.concentrations == (0.0, 1.0, 3.0, 10.0)
    assert known.units == ("%air", "mg/L")
    values = np.concatenate([c.oxygen.ravel() for c in table[:5]])
    assert known.scales["%air"] == pytest.approx((values.mean(), values.std()))
    assert known.hours == pytest.approx(max(np.ptp(c.time_h) for c in table))


def test_facts_come_back_from_json(table):
    known = facts(table, use_drugs=True)
    assert Facts.from_dict(json.loads(json.dumps(known.as_dict()))) == known


def test_who_a_condition_is(table):
    known = facts(table, use_drugs=True)
    found = [known.who(c) for c in table]
    assert found[:5] == [(0, 1.0), (0, 10.0), (UNKNOWN, 0.0), (UNKNOWN, 0.0), (2, 3.0)]
    assert found[5][0] == UNKNOWN
    assert np.isnan(found[5][1])
    assert known.identify("  a ", 2.0) == (0, 2.0)
    for name in ("DMSO", "Vehicle", "untreated"):
        assert known.identify(name, None) == (UNKNOWN, 0.0)


def test_dose_zero_is_the_control_for_any_drug_even_one_never_met(table):
    known = facts(table, use_drugs=True)
    for drug in ("A", "B", "None", "never met", None):
        assert known.identify(drug, 0.0) == (UNKNOWN, 0.0)


def test_an_unknown_drug_is_refused_with_the_nearest_and_the_way_out(table):
    known = facts(table, use_drugs=True)
    with pytest.raises(ValueError, match=r"unknown drug 'C'.*did you mean.*--unknown-drug"):
        known.identify("C", 1.0)
    assert known.identify("C", 1.0, unknown=True) == (UNKNOWN, 1.0)


def test_a_model_without_drugs_reads_none(table):
    known = facts(table, use_drugs=False)
    assert known.drugs == ()
    drug, dose = known.identify("anything", 5.0)
    assert drug == UNKNOWN
    assert np.isnan(dose)


def test_a_unit_has_its_scale_in_any_spelling(table):
    known = facts(table, use_drugs=True)
    assert known.scale("%air") == known.scales["%air"]
    assert known.scale("% air") == known.scales["%air"]
    assert known.scale("mmHg") is None
    assert known.scale(None) is None


def test_nothing_to_learn_from_is_refused(condition, curves):
    with pytest.raises(ValueError, match="at least one"):
        facts([], use_drugs=True)
    time, oxygen = curves(0)
    empty = condition(time, np.full_like(oxygen, np.nan))
    assert facts([empty], use_drugs=True).scales == {}


def test_the_windows_are_deviations_from_the_level_before(table):
    known = facts(table, use_drugs=True)
    windows = training_windows(table, known)
    assert windows is not None
    assert len(windows) == 6
    assert windows.deviation.shape == windows.time.shape == windows.weight.shape
    one = table[0]
    inside = (one.time_h >= 18.0) & (one.time_h < 42.0)
    level = one.oxygen[(one.time_h >= 18.0) & (one.time_h < 20.0)].mean(axis=0)
    expected = (one.oxygen[inside] - level).mean(axis=1) / known.scales["%air"][1]
    n = int(inside.sum())
    np.testing.assert_allclose(windows.deviation[0, :n], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(windows.time[0, :n], one.time_h[inside] - 20.0, rtol=1e-4, atol=1e-5)
    assert (windows.weight[0, :n] == 3).all()
    assert (windows.weight[0, n:] == 0).all()
    assert windows.drug.tolist() == [0, 0, UNKNOWN, UNKNOWN, 2, UNKNOWN]


def test_no_media_change_no_windows(condition, curves):
    still = [condition(*curves(0)), condition(*curves(1), changes=(20.0,), kinds=["flush"])]
    assert training_windows(still, facts(still, use_drugs=True)) is None


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 12)])
def test_some_drugs_are_hidden_in_training(table, share, expected):
    config = Config(model=ModelConfig(cells=16), train=TrainConfig(masks=4, unknown_drug=share))
    pool = training_pool(table, facts(table, use_drugs=True), config, seed=0)
    dosed = pool.concentration > 0  # of "A", "A" and "None"
    assert dosed.sum() == 12
    assert (pool.drug[dosed] == UNKNOWN).sum() == expected
