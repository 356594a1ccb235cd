"""The simulator against physics with known answers, and against the facts measured on real plates."""

import dataclasses
import re
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp
from scipy.special import lambertw

from o2diffusion import physics
from o2diffusion.config import SimulationConfig
from o2diffusion.design import design
from o2diffusion.simulation import simulate, simulate_runs, tables
from o2diffusion.truth import DOSES, half_effect

SMALL = SimulationConfig(experiments=2, drugs=2, concentrations=3, hours=200.0, changes=2)
COLUMNS = [
    "experiment_id",
    "series_id",
    "replicate",
    "drug",
    "concentration_um",
    "time_h",
    "oxygen",
    "unit",
]
PROTOCOLS = ["plate", "respirometry", "intermittent", "cycles", "mixed"]


def test_michaelis_menten_decline_is_the_lambert_solution():
    # Schnell & Mendoza 1997: C(t) = K W(C0/K exp((C0 - V t) / K)) in a closed chamber
    time, km, v = np.linspace(0, 1, 2001), 0.05, 1.2
    ours = physics.integrate_chamber(
        np.ones(1), np.ones(1), np.zeros((2000, 1)), np.full((2000, 1), v), np.full(1, km), 1 / 2000
    )
    exact = km * lambertw(1 / km * np.exp((1 - v * time) / km)).real
    np.testing.assert_allclose(ours[:, 0], exact, atol=2e-4)


def test_exchange_without_consumption_is_exponential():
    out = physics.integrate_chamber(
        np.zeros(1), np.full(1, 88.0), np.full((50, 1), 3.0), np.zeros((50, 1)), np.ones(1), 0.02
    )
    np.testing.assert_allclose(out[-1], 88 * (1 - np.exp(-3.0)), rtol=1e-6)


def test_culture_agrees_with_an_independent_integrator():
    plate = design(SMALL, np.random.default_rng(0), "p")
    well = plate.culture.take(np.array([0]))
    ours = physics.integrate_culture(well, 2000, 0.02, {})
    p = {f.name: float(getattr(well, f.name)[0]) for f in dataclasses.fields(well)}

    def slope(_: float, y: np.ndarray) -> list[float]:
        c, food = y
        v = p["vmax"] * food / (0.1 + food) * 1.1
        return [p["exchange"] * (p["air"] - c) - v * c / (p["km"] + c), -food / p["nutrient_h"]]

    exact = solve_ivp(slope, (0, 40), [p["oxygen"], 1.0], method="LSODA", rtol=1e-8, t_eval=[1, 10, 40])
    np.testing.assert_allclose(ours[[50, 500, 2000], 0], exact.y[0], atol=0.05)


def test_the_step_hardly_matters():
    plate = design(SMALL, np.random.default_rng(1), "p")
    change = [(np.arange(len(plate.names)), True)]
    coarse = physics.integrate_culture(plate.culture, 600, 0.186, {200: change})
    fine = physics.integrate_culture(plate.culture, 6000, 0.0186, {2000: change})
    assert np.abs(coarse - fine[::10])[[190, 210, 260, 400, 600]].max() < 1.0


def test_a_change_has_no_effect_before_it_and_brings_air_after():
    plate = design(SMALL, np.random.default_rng(2), "p")
    change = {300: [(np.arange(len(plate.names)), False)]}
    without = physics.integrate_culture(plate.culture, 600, 0.186, {})
    with_it = physics.integrate_culture(plate.culture, 600, 0.186, change)
    np.testing.assert_array_equal(without[:301], with_it[:301])
    jump = with_it[301] - with_it[300]
    expected = plate.culture.fresh * (plate.culture.air - with_it[300])
    assert (jump > 0.7 * expected).all()
    assert (jump < 1.1 * expected).all()


def test_oxygen_rises_with_dose_and_the_control_ignores_the_drug():
    config = dataclasses.replace(SMALL, drugs=6, concentrations=5)
    for run in simulate_runs(config, seed=3):
        level = run.truth[-20:].mean(axis=0).reshape(6, 5)
        assert (np.diff(level, axis=1) > -0.5).all()
        np.testing.assert_allclose(level[:, 0], level[0, 0], atol=1e-3)


def test_drugs_depend_on_seed_and_name_alone():
    assert physics.draw_drug("a", 0) == physics.draw_drug("a", 0)
    assert physics.draw_drug("a", 0) != physics.draw_drug("a", 1)
    assert physics.draw_drug("a", 0) != physics.draw_drug("b", 0)
    first = simulate(SMALL, seed=0).responses.drop_duplicates("drug").set_index("drug").ec50_um
    other = simulate(SMALL, seed=9).responses.drop_duplicates("drug").set_index("drug").ec50_um
    pd.testing.assert_series_equal(first.sort_index(), other.sort_index())


def test_media_response_of_a_triangle():
    time = np.arange(0.0, 40.0, 0.5)
    curve = np.where(time < 20, 5.0, np.maximum(45.0 - 10 * (time - 20), 5.0))[:, None]
    spike, delay, half = (float(x[0]) for x in physics.media_response(time, curve, 20.0))
    assert (spike, delay) == (40.0, 0.0)
    assert half == pytest.approx(2.0)
    assert np.isnan(physics.media_response(time, curve, 100.0)[0]).all()


def test_half_effect_of_a_hill_curve():
    curve = np.append(0.0, physics.hill(DOSES, np.full(len(DOSES), 7.0), np.full(len(DOSES), 1.5))) * 60
    assert half_effect(curve) == pytest.approx(7.0, rel=0.05)
    assert np.isnan(half_effect(np.zeros(len(DOSES) + 1)))


def test_smooth_noise_is_stationary():
    x = physics.smooth_noise(np.random.default_rng(0), 400, 2000, 10.0)
    np.testing.assert_allclose(x.std(axis=1), 1.0, atol=0.08)
    assert 0.3 < np.mean(x[:-10] * x[10:]) < 0.7


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tables_of_every_protocol(protocol: str):
    config = dataclasses.replace(SMALL, protocol=protocol, experiments=4)
    sim = simulate(config, seed=1)
    assert list(sim.table.columns) == COLUMNS
    assert sim.table.experiment_id.nunique() == 4
    assert not sim.table.duplicated(["series_id", "replicate", "time_h"]).any()
    assert sim.table.replicate.between(1, 4).all()
    assert sim.table.groupby(["series_id", "replicate"]).time_h.is_monotonic_increasing.all()
    assert sim.table.oxygen.isna().mean() < 0.3
    assert np.isfinite(sim.truth.oxygen_true).all()
    assert set(sim.table.series_id) <= set(sim.truth.series_id)
    assert set(sim.truth.series_id) == set(sim.responses.series_id)
    assert set(sim.events.kind) <= {"media_change", "drug_start", "flush", "injection"}
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", s) for s in sim.table.series_id.unique())
    again = simulate(config, seed=1)
    for name in ("table", "events", "truth", "responses"):
        pd.testing.assert_frame_equal(getattr(sim, name), getattr(again, name))
    assert not sim.table.equals(simulate(config, seed=2).table)


def test_schedule_and_layout_follow_the_configuration():
    config = dataclasses.replace(
        SMALL, change_times_h=(40.0, 90.0, 130.0), replicate_share=(0.0, 1.0), drug_free=0.9
    )
    sim = simulate(config, seed=0)
    changes = sim.events[sim.events.kind == "media_change"]
    assert sorted(changes.time_h.unique()) == [40.0, 90.0, 130.0]
    assert not changes.drug_containing.all()
    assert (sim.table.groupby("series_id").replicate.max() == 2).all()
    start = sim.events[sim.events.kind == "drug_start"].set_index("experiment_id").time_h
    dosed = changes[changes.drug_containing].groupby("experiment_id").time_h.min()
    pd.testing.assert_series_equal(start.sort_index(), dosed.sort_index())


def test_without_changes_the_drug_is_there_from_the_start():
    sim = simulate(dataclasses.replace(SMALL, changes=0, drugs=5), seed=0)
    assert (sim.events.time_h == 0).all()
    assert sim.responses.spike.isna().all()
    assert sim.responses.mean_ec50_um.notna().any()


def test_without_noise_spread_and_faults_wells_are_the_truth():
    config = dataclasses.replace(SMALL, noise=0.0, spread=0.0, faults=0.0, excluded=0.0)
    sim = simulate(config, seed=0)
    both = sim.table.merge(sim.truth, on=["series_id", "time_h"])
    assert len(both) == len(sim.table)
    np.testing.assert_allclose(both.oxygen, both.oxygen_true, atol=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"experiments": 0}, "experiments"),
        ({"hours": 0.0}, "hours"),
        ({"faults": 1.0}, "faults"),
        ({"replicate_share": (0.5, 0.4)}, "replicate_share"),
        ({"change_times_h": (500.0,)}, "change_times_h"),
        ({"dilution": 1.0}, "dilution"),
        ({"protocol": "plates"}, "protocol"),
    ],
)
def test_bad_configurations_are_refused(change: dict, message: str):
    with pytest.raises(ValueError, match=f"{message}: expected"):
        SimulationConfig(**change)


# Facts measured on real plates: two plates, 23 drugs, 8 concentrations (low, high: what the statistic may be)
FACTS = {
    "replicate correlation, median": (0.93, 0.90, 0.96),
    "replicate correlation, lower quartile": (0.86, 0.82, 0.91),
    "replicate correlation, upper quartile": (0.96, 0.94, 0.98),
    "replicate correlation at 0 uM": (0.83, 0.77, 0.88),
    "replicate correlation, dosed, lowest": (0.93, 0.90, 0.97),
    "replicate correlation, dosed, highest": (0.96, 0.93, 0.985),
    "replicate SD up to 7.5 uM, lowest": (2.0, 1.6, 2.4),
    "replicate SD up to 7.5 uM, highest": (3.2, 2.6, 4.2),
    "replicate SD at 22.5 uM": (5.2, 4.2, 6.6),
    "spike up to 7.5 uM, lowest median": (38.0, 36.0, 43.0),
    "spike up to 7.5 uM, highest median": (44.0, 40.0, 47.0),
    "spike at 22.5 uM, lower quartile": (11.5, 5.0, 18.0),
    "spike at 22.5 uM, median": (31.6, 24.0, 40.0),
    "spike at 22.5 uM, upper quartile": (47.4, 43.0, 51.0),
    "half-decay, lowest median by concentration": (1.7, 1.4, 2.9),
    "half-decay, highest median by concentration": (4.1, 3.0, 5.0),
    "level of untouched wells": (-5.0, -6.5, -3.5),
    "level of dead wells": (82.5, 79.5, 85.5),
    "empty cells of 256": (0.34, 0.28, 0.40),
    "conditions with four replicates": (0.62, 0.56, 0.68),
    "conditions with three replicates": (0.30, 0.24, 0.36),
    "conditions with two replicates": (0.08, 0.04, 0.12),
    "media changes a plate": (5.0, 5.0, 5.0),
}


def on_grid(time: np.ndarray, value: np.ndarray, hours: float, cells: int = 256) -> np.ndarray:
    """Mean of the samples in each cell: (cells, w), NaN where there is none."""
    cell = np.minimum((time / hours * cells).astype(int), cells - 1)
    out = np.full((cells, value.shape[1]), np.nan)
    for j, column in enumerate(value.T):
        seen = np.isfinite(column)
        count = np.bincount(cell[seen], minlength=cells)
        total = np.bincount(cell[seen], column[seen], minlength=cells)
        out[count > 0, j] = total[count > 0] / count[count > 0]
    return out


def measured_facts(config: SimulationConfig, seeds: range) -> dict[str, float]:
    """The statistics of FACTS, measured on the samples as a user would see them."""
    dose, sd, counts, empty, response, pairs, levels = [], [], [], [], [], [], []
    runs = [run for seed in seeds for run in simulate_runs(config, seed=seed)]
    for run in runs:
        value = np.where(run.keep, run.value, np.nan)
        grid = on_grid(run.time, value, config.hours)
        changes = [t for t, kind, _ in run.events if kind == "media_change"]
        for s, c in enumerate(run.concentration):
            own = np.flatnonzero(run.wells == s)
            cells = grid[:, own]
            several = np.isfinite(cells).sum(axis=1) > 1
            dose.append(c)
            counts.append(len(own))
            empty.append(np.isnan(cells).mean())
            sd.append(np.nanstd(cells[several], axis=1, ddof=1).mean() if several.any() else np.nan)
            levels.append(run.truth[-20:, s].mean())
            for a, b in combinations(range(len(own)), 2):
                both = np.isfinite(cells[:, a] + cells[:, b])
                if both.sum() > 20:
                    pairs.append((c, np.corrcoef(cells[both, a], cells[both, b])[0, 1]))
            for w in own:
                seen = np.isfinite(value[:, w])
                for k, change in enumerate(changes):
                    until = changes[k + 1] if k + 1 < len(changes) else np.inf
                    r = physics.media_response(run.time[seen], value[seen, w, None], change, until=until)
                    response.append((c, float(r[0][0]), float(r[2][0])))
    r = pd.DataFrame(pairs, columns=["dose", "r"])
    by_dose = r.groupby("dose").r.median()
    spread = pd.Series(sd).groupby(np.asarray(dose)).median()
    spikes = pd.DataFrame(response, columns=["dose", "spike", "half"]).groupby("dose")
    low, high = spikes.spike.median().loc[:8.0], spikes.spike.get_group(22.5)
    half, level = spikes.half.median(), np.asarray(levels)
    count = np.asarray(counts)
    return dict(
        zip(
            FACTS,
            [
                *r.r.quantile([0.5, 0.25, 0.75]),
                by_dose[0.0],
                by_dose.loc[0.01:].min(),
                by_dose.loc[0.01:].max(),
                spread.loc[:8.0].min(),
                spread.loc[:8.0].max(),
                spread[22.5],
                low.min(),
                low.max(),
                *high.quantile([0.25, 0.5, 0.75]),
                half.min(),
                half.max(),
                np.median(level[np.asarray(dose) == 0]),
                np.quantile(level, 0.995),
                np.mean(empty),
                *(np.mean(count == k) for k in (4, 3, 2)),
                np.mean([sum(e[1] == "media_change" for e in run.events) for run in runs]),
            ],
            strict=True,
        )
    )


def test_default_plates_have_the_statistics_of_real_ones():
    got = measured_facts(SimulationConfig(), range(4))
    table = "\n".join(
        f"{name:45s} real {real:7.2f}  allowed {low:6.2f} to {high:6.2f}  simulated {got[name]:7.2f}"
        f"{'' if low <= got[name] <= high else '  <--'}"
        for name, (real, low, high) in FACTS.items()
    )
    assert all(low <= got[name] <= high for name, (_, low, high) in FACTS.items()), f"\n{table}"


def test_chambers_cover_what_real_ones_show():
    shown = {}
    for protocol in ("respirometry", "intermittent", "cycles"):
        runs = simulate_runs(SimulationConfig(protocol=protocol, experiments=60, drugs=4), seed=0)
        shown[protocol] = [
            (np.ptp(v), np.median(np.abs(np.diff(v))) / max(np.ptp(v), 1e-9), v[-1] - v[0])
            for run in runs
            for v in run.value.T
            if np.isfinite(v).all()
        ]
        assert all(run.keep.all() for run in runs)
    fall = np.array([x[2] < 0 for x in shown["respirometry"]])
    assert fall.mean() > 0.6
    noise = np.array([x[1] for x in shown["respirometry"]])
    # real closed chambers: 0 to 5 % of the range for animals, 10 to 15 % for blanks
    assert np.quantile(noise, 0.1) < 0.005
    assert np.quantile(noise, 0.95) > 0.03


def test_runs_and_tables_agree():
    runs = simulate_runs(SMALL, seed=5)
    table = tables(runs).table
    assert len(table) == sum(int(run.keep.sum()) for run in runs)
    run = runs[0]
    own = table[table.experiment_id == run.experiment_id]
    well = own[(own.series_id == run.series_id[run.wells[1]]) & (own.replicate == run.replicate[1])]
    np.testing.assert_array_equal(well.oxygen, run.value[run.keep[:, 1], 1])
