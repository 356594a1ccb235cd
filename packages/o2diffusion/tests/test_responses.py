"""Fitted responses: exact on their own form, robust, honest on few wells, right on the simulator."""

import numpy as np
import pytest

from o2diffusion.conditions import Condition, read_conditions
from o2diffusion.config import SimulationConfig
from o2diffusion.events import Events
from o2diffusion.responses import fit_profile, fit_profiles
from o2diffusion.simulation import simulate
from o2diffusion.windows import MediaResponseDataset

TIME = np.arange(0, 200, 0.93)
CHANGES = np.array([30.2, 70.7, 110.1, 150.6])


def plate(seed=0, *, s=40.0, tau=4.0, p=1.5, a=5.0, noise=1.0, well=0.0, wells=4, unit=1.0, hour=1.0):
    """A condition whose every response has the fitted form."""
    rng = np.random.default_rng(seed)
    oxygen = np.full((len(TIME), wells), -5.0)
    for at in CHANGES:
        t = np.clip(TIME - at, 0, None)
        end = np.clip(t, 0, 40)  # adaptation fades before the next change
        shape = s * np.exp(-((t / tau) ** p)) + a * (1 - np.exp(-t / 8)) * (end < 30)
        oxygen += np.where(at <= TIME, shape, 0)[:, None] * np.exp(well * rng.standard_normal(wells))
    oxygen += noise * rng.standard_normal(oxygen.shape)
    return Condition(
        experiment_id="e",
        series_id=f"s{seed}",
        drug="a",
        concentration_um=1.0,
        unit="%air",
        replicates=tuple(str(i) for i in range(wells)),
        time_h=TIME * hour,
        oxygen=oxygen * unit,
        wanted=np.zeros(oxygen.shape, dtype=bool),
        events=Events(CHANGES * hour, ("media_change",) * 4, np.ones(4, dtype=bool)),
    )


def test_parameters_of_the_own_form_are_found():
    fit = fit_profile(MediaResponseDataset([plate(noise=0.3)]))
    profile = fit.profile
    assert profile["spike_magnitude"] == pytest.approx(40, rel=0.05)
    assert profile["recovery_tau"] == pytest.approx(4, rel=0.05)
    assert profile["recovery_shape"] == pytest.approx(1.5, rel=0.1)
    assert profile["secondary_magnitude"] == pytest.approx(5, rel=0.2)
    assert fit.height == pytest.approx(40, rel=0.05)
    assert fit.half_decay_h == pytest.approx(3.45, rel=0.07)
    assert (fit.n_windows, fit.n_wells) == (4, 4)
    assert all(0 < error < 10 for error in fit.standard_error.values())
    assert fit.height_interval[0] < fit.height < fit.height_interval[1]
    assert 0 <= fit.half_decay_interval[0] < fit.half_decay_h < fit.half_decay_interval[1]


def test_units_of_oxygen_and_time_pass_through():
    plain = fit_profile(MediaResponseDataset([plate()]))
    small = MediaResponseDataset([plate(unit=0.08, hour=0.01)], before_h=0.02, after_h=0.22, reference_h=0.1)
    scaled = fit_profile(small, after_h=0.22)
    assert scaled.height == pytest.approx(0.08 * plain.height, rel=1e-3)
    assert scaled.half_decay_h == pytest.approx(0.01 * plain.half_decay_h, rel=1e-3)
    assert scaled.profile["recovery_tau"] == pytest.approx(0.01 * plain.profile["recovery_tau"], rel=1e-3)


def test_noise_does_not_raise_the_peak():
    heights = [
        fit_profile(MediaResponseDataset([plate(seed, noise=6.0)]), draws=2).height for seed in range(20)
    ]
    assert np.mean(heights) == pytest.approx(40, rel=0.06)


def test_outliers_barely_move_it():
    clean = plate()
    oxygen = clean.oxygen.copy()
    since = TIME[:, None] - CHANGES
    after = ((since > 0) & (since < 22)).any(1)  # not in the level before, which is a mean
    oxygen[(np.random.default_rng(0).random(oxygen.shape) < 0.05) & after[:, None]] = 300.0
    dirty = Condition(**{**vars(clean), "oxygen": oxygen})
    fits = [fit_profile(MediaResponseDataset([c])) for c in (clean, dirty)]
    assert fits[1].height == pytest.approx(fits[0].height, rel=0.15)
    assert fits[1].half_decay_h == pytest.approx(fits[0].half_decay_h, rel=0.15)


def test_intervals_hold_the_truth_where_wells_differ():
    inside = 0
    for seed in range(60):
        fit = fit_profile(MediaResponseDataset([plate(seed, noise=0.5, well=0.1)]))
        inside += fit.height_interval[0] <= 40 <= fit.height_interval[1]
    assert 0.8 <= inside / 60 <= 1.0


def test_one_well_takes_its_interval_from_the_changes_and_one_curve_has_none():
    windows = MediaResponseDataset([plate(wells=1)])
    assert np.isfinite(fit_profile(windows).height_interval).all()
    few = fit_profile(windows[i] for i in range(2))
    assert few.height_interval[0] <= few.height <= few.height_interval[1]
    assert 0 <= few.half_decay_interval[0] <= few.half_decay_h <= few.half_decay_interval[1]
    single = fit_profile([windows[0]])
    assert np.isnan([*single.height_interval, *single.half_decay_interval]).all()
    assert np.isfinite([single.height, single.half_decay_h]).all()


def test_no_response_is_zero_without_a_half_decay_and_no_sample_is_an_error():
    fit = fit_profile(MediaResponseDataset([plate(s=0.0, a=0.0, noise=0.0)]))
    assert abs(fit.height) < 1e-6
    assert np.isnan(fit.half_decay_h)
    assert np.isfinite(list(fit.profile.values())).all()
    with pytest.raises(ValueError, match="got none in 0 windows"):
        fit_profile([])


def test_the_same_windows_give_the_same_fit_in_any_order():
    windows = list(MediaResponseDataset([plate(well=0.1)]))
    forward, again, backward = fit_profile(windows), fit_profile(windows), fit_profile(windows[::-1])
    assert forward == again
    assert backward.height == pytest.approx(forward.height, rel=1e-4)


def test_groups_are_by_drug_and_concentration():
    one = plate()
    other = Condition(**{**vars(one), "drug": None, "concentration_um": None, "series_id": "x"})
    fits = fit_profiles(MediaResponseDataset([one, other]))
    assert list(fits) == [("a", 1.0), (None, None)]


def test_height_and_half_decay_of_simulated_plates_are_within_fifteen_percent():
    simulation = simulate(SimulationConfig(experiments=1, drugs=8), seed=3)
    windows = MediaResponseDataset(read_conditions(simulation.table, simulation.events, notes=[]))
    truth = simulation.responses.groupby("series_id").agg({"spike": "mean", "half_decay_h": "median"})
    height, decay, drug = [], [], []
    for name in truth.index[truth.spike > 5]:
        own = [w for w in windows if w.series_id == name]
        fit = fit_profile(own, draws=2)
        height.append(fit.height / truth.spike[name] - 1)
        decay.append(fit.half_decay_h / truth.half_decay_h[name] - 1)
        drug.append(name)
    assert len(drug) > 50
    assert np.median(np.abs(height)) < 0.06
    assert np.nanmedian(np.abs(decay)) < 0.12
    assert abs(np.median(height)) < 0.03
