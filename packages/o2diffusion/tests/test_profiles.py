"""Profiles: read off simulated plates within the bar, and off a network without training it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from o2diffusion.conditions import read_conditions
from o2diffusion.config import SimulationConfig
from o2diffusion.corpus import Facts
from o2diffusion.media import PROFILE
from o2diffusion.profiles import model_profile, model_profiles, profile
from o2diffusion.simulation import simulate


@pytest.fixture(scope="module")
def plates():
    out = []
    for seed in (41, 42):
        simulation = simulate(SimulationConfig(experiments=1, drugs=6), seed=seed)
        conditions = read_conditions(simulation.table, simulation.events, notes=[])
        truth = simulation.responses.groupby(["drug", "concentration_um"], as_index=False).agg(
            spike=("spike", "mean"), half=("half_decay_h", "median")
        )
        out.append((profile(conditions, draws=60), truth))
    return out


def test_height_and_half_decay_are_within_fifteen_percent_of_the_truth(plates):
    for table, truth in plates:
        both = table.merge(truth, on=["drug", "concentration_um"])
        both = both[both["spike"] > 5]
        assert len(both) > 30
        assert (both["spike_height"] / both["spike"] - 1).abs().median() < 0.15
        assert (both["half_decay_h"] / both["half"] - 1).abs().median() < 0.15


def test_every_number_lies_in_its_interval_and_units_are_named(plates):
    for table, _ in plates:
        for name in ("spike_height", "half_decay_h", *PROFILE):
            known = table.dropna(subset=[name, f"{name}_q05", f"{name}_q95"])
            assert len(known) > 30
            assert (known[f"{name}_q05"] <= known[name] + 1e-9).all()
            assert (known[name] <= known[f"{name}_q95"] + 1e-9).all()
        assert (table[["recovery_tau_q05", "adaptation_tau_q05"]] > 0).all().all()
        assert (table["adaptation_tau_q95"] < 1000).all()
        assert set(table["unit"]) == {"%air"}
        assert table[["drug", "concentration_um"]].duplicated().sum() == 0


def test_units_are_not_mixed_and_what_is_missing_is_said(condition):
    time = np.arange(0, 60, 0.5)
    curve = np.where(time >= 20, 40 * np.exp(-((time - 20) / 3.0)), 0.0)
    same = {"drug": "a", "concentration_um": 1.0}
    parts = [
        condition(time, curve, changes=[20], series_id="x", **same),
        condition(time, 0.08 * curve, changes=[20], series_id="y", unit="mg/L", **same),
        condition(
            time, np.maximum.accumulate(curve), changes=[20], series_id="z", drug="b", concentration_um=1.0
        ),
    ]
    table = profile(parts)
    assert table["unit"].tolist() == ["%air", "mg/L", "%air"]
    assert table["spike_height"][1] == pytest.approx(0.08 * table["spike_height"][0], rel=0.01)
    assert table["note"].str.contains("a single curve: no intervals").all()
    assert np.isnan(table["half_decay_h"][2])
    assert "no half-decay" in table["note"][2]


def test_without_events_there_is_no_profile(condition):
    with pytest.raises(ValueError, match="expected events of kind media_change"):
        profile([condition([0.0, 1.0, 2.0], [1.0, 2.0, 3.0])])


def test_the_kinds_that_are_there_are_named(condition):
    time = np.arange(0, 20, 0.5)
    one = condition(time, time, changes=[5.0, 9.0, 9.5], kinds=["injection", "injection", "flush"])
    with pytest.raises(ValueError, match=r"2 x injection, 1 x flush; .*--event-kind injection"):
        profile([one])
    assert profile([one], kinds=["flush", "injection"])["event"].tolist() == ["flush, injection"]


def test_nothing_is_read_beyond_a_short_record(condition):
    """A rise that goes on where the record ends: its height is what was reached, not where it leads."""
    time = np.arange(0, 11, 0.02)
    rise = 40 * (1 - np.exp(-np.maximum(time - 10, 0) / 2.0))
    (row,) = profile([condition(time, rise, changes=[10])]).to_dict("records")
    assert row["spike_height"] == pytest.approx(rise.max(), rel=0.02)
    assert row["to_h"] == pytest.approx(0.98)
    assert "measured for 0.98 h after the event: nothing is read beyond" in row["note"]
    (row,) = profile([condition(np.arange(0, 48, 0.5), np.arange(96.0), changes=[10])]).to_dict("records")
    assert "nothing is read beyond" not in row["note"]


def test_too_few_samples_have_no_numbers(condition):
    time = np.array([*np.arange(0, 10, 0.5), 10.5, 11.0])
    (row,) = profile([condition(time, time, changes=[10])]).to_dict("records")
    assert np.isnan(row["spike_height"])
    assert np.isnan(row["recovery_tau"])
    assert row["note"] == "2 samples after the event, at least 8 needed: not measured"


def test_a_network_says_what_it_believes(tiny_net):
    known = Facts(drugs=("a", "b"), scales={"%air": (10.0, 20.0)}, concentrations=(0.0, 1.0), units=("%air",))
    model = SimpleNamespace(net=tiny_net, facts=known)
    table = model_profiles(model)
    assert table[["drug", "concentration_um"]].to_numpy().tolist() == [["a", 0], ["a", 1], ["b", 0], ["b", 1]]
    np.testing.assert_allclose(
        table.loc[0, list(PROFILE)].astype(float), table.loc[2, list(PROFILE)].astype(float)
    )
    dose = torch.tensor([1.0])
    expected = tiny_net.media_dynamics.get_media_response_profile(
        tiny_net.drug_encoder(torch.tensor([1]), dose), dose
    )
    for name in PROFILE:
        assert table[name][3] == pytest.approx(float(expected[name].detach()), rel=1e-5)
    with pytest.raises(ValueError, match="unknown drug 'c'"):
        model_profile(model, "c", 1.0)
    assert len(model_profile(model, "c", 1.0, unknown_drug=True)) == 1
