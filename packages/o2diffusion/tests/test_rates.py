"""Consumption rates: the slope that was put in, robust, in windows and phases, minus blanks, honestly uncertain."""

import os
from pathlib import Path

import numpy as np
import pytest

from o2diffusion.imputing import Filled
from o2diffusion.rates import phases, robust_slope
from o2diffusion.summaries import summarise


def rates(*conditions, **words):
    return summarise(conditions, "consumption_rate", **words)


def chamber(condition, rate=2.0, *, n=200, hours=1.0, noise=0.01, seed=0, **fields):
    time = np.linspace(0, hours, n)
    oxygen = (
        8 - np.atleast_1d(rate) * time[:, None] + noise * np.random.default_rng(seed).standard_normal((n, 1))
    )
    return condition(time, oxygen, unit="mg/L", **fields)


def test_a_falling_curve_is_positive_consumption_in_its_unit_per_hour(condition):
    table = rates(chamber(condition, [2.0, -1.0], noise=1e-6)).table()
    np.testing.assert_allclose(table["mean"], [2.0, -1.0], atol=1e-4)
    assert table["unit"].tolist() == ["mg/L/h"] * 2


def test_outliers_and_curvature_outside_the_window_do_not_matter(condition):
    one = chamber(condition, noise=0.005)
    bent = one.oxygen.copy()
    bent[:20] += 1.0
    bent[50:200:9] += 3.0
    found = rates(condition(one.time_h, bent, unit="mg/L"), window=(0.2, 1.0)).table()
    assert found["mean"][0] == pytest.approx(2.0, abs=0.02)


def test_windows_between_events_start_at_the_peak_after_a_flush(condition):
    time = np.linspace(0, 3, 601)
    oxygen = np.where(time < 1, 8 - 2 * time, 0.0)
    for start, rate in ((1.0, 3.0), (2.0, 1.0)):
        since = time - start
        rise = np.clip(since / 0.1, 0, 1)
        oxygen = np.where(since >= 0, 5 + 3 * rise - rate * np.clip(since - 0.1, 0, None), oxygen)
    one = condition(time, oxygen, changes=[1.0, 2.0], kinds=["flush", "flush"])
    table = rates(one).table()
    assert table["window"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(table["mean"], [2, 3, 1], atol=0.05)
    np.testing.assert_allclose(rates(one, settle_h=0.2).table()["mean"], [2, 3, 1], atol=0.01)


def test_phases_of_a_window_share_a_slope_not_a_level(condition):
    time = np.concatenate([k + np.linspace(0, 0.4, 12) for k in range(4)])
    cycle = np.repeat(np.arange(4), 12)
    assert phases(time).tolist() == cycle.tolist()
    oxygen = 100 - 30 * (time - cycle) + np.array([0, 3, -4, 8])[cycle]
    slope, error = robust_slope(time, oxygen[None], phases(time))
    assert slope[0] == pytest.approx(-30)
    assert error[0] < 1e-6
    assert rates(condition(time, oxygen)).table()["mean"][0] == pytest.approx(30)


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_the_interval_of_one_curve_holds_its_slope_also_under_correlated_noise(condition, rho):
    rng = np.random.default_rng(2)
    time, inside = np.linspace(0, 1, 150), 0
    for _ in range(200):
        e = rng.standard_normal(150)
        for i in range(1, 150):
            e[i] = rho * e[i - 1] + np.sqrt(1 - rho**2) * e[i]
        row = rates(condition(time, 8 - 2 * time + 0.1 * e)).table().iloc[0]
        inside += row["q05"] <= 2 <= row["q95"]
    assert 0.78 <= inside / 200 <= 0.97


def test_draws_of_a_gap_widen_the_interval(condition):
    one = chamber(condition)
    oxygen = one.oxygen.copy()
    oxygen[60:140] = np.nan
    holed = condition(one.time_h, oxygen)
    row, column = np.nonzero(holed.wanted)
    rng = np.random.default_rng(0)
    tilt = 0.3 * rng.standard_normal((100, 1)) * (one.time_h[row] - 0.5)
    wide = rates(Filled(holed, row, column, one.oxygen[row, column] + tilt)).table().iloc[0]
    narrow = rates(one).table().iloc[0]
    assert wide["q95"] - wide["q05"] > 2 * (narrow["q95"] - narrow["q05"])
    assert wide["q05"] < 2 < wide["q95"]


def test_blanks_are_subtracted_by_experiment_and_leave_the_table(condition):
    parts = []
    for name, drift in (("p", 0.5), ("q", -0.25)):
        parts.append(
            chamber(condition, [2 + drift, 3 + drift], experiment_id=name, series_id=f"{name}.x", drug="fish")
        )
        parts.append(
            chamber(
                condition, [drift, drift], experiment_id=name, series_id=f"{name}.b", drug="blank", seed=1
            )
        )
    found = rates(*parts, blanks=["blank"])
    assert set(found.keys["drug"]) == {"fish"}
    np.testing.assert_allclose(found.table()["mean"], [2, 3, 2, 3], atol=0.02)
    assert "4 rates of blank" in found.notes[-1]
    assert len(rates(*parts, blanks=["p.b", "q.b"]).keys) == 4
    with pytest.raises(ValueError, match="expected names of series or drugs of the table, got 'wall'"):
        rates(*parts, blanks=["wall"])
    with pytest.raises(ValueError, match="expected one in experiment 'q'"):
        rates(*parts, blanks=["p.b"])


def test_the_spread_of_blanks_enters_the_interval(condition):
    sample = chamber(condition, [2.0, 2.0], series_id="x", noise=1e-4)
    alike = chamber(condition, [0.1, 0.1, 0.1], series_id="b", noise=1e-4)
    apart = chamber(condition, [-0.4, 0.1, 0.6], series_id="b", noise=1e-4)
    width = []
    for blank in (alike, apart):
        row = rates(sample, blank, blanks=["b"]).by_series().iloc[0]
        assert row["mean"] == pytest.approx(1.9, abs=0.1)
        width.append(row["q95"] - row["q05"])
    assert width[1] > 10 * width[0]


def test_a_constant_curve_consumes_nothing_and_three_samples_say_nothing(condition):
    assert rates(condition(np.arange(9.0), np.full(9, 5.0))).table()["mean"][0] == 0.0
    with pytest.raises(ValueError, match="expected at least one replicate"):
        rates(condition([0.0, 1.0, 2.0], [3.0, 2.0, 1.0]))


def _real(name: str) -> Path:
    given = os.environ.get("O2_DATA")
    folders = [Path(given)] if given else [p / "shared/data/o2diffusion" for p in Path(__file__).parents[3:5]]
    return next((f / name for f in folders if (f / name).exists()), folders[-1] / name)


def test_on_a_metabolic_plate_consumption_rises_with_cells_and_falls_under_poison():
    pd = pytest.importorskip("pandas")
    from o2diffusion.conditions import read_conditions

    if not _real("oxygen.parquet").exists():
        pytest.skip("the collected oxygen tables are not here: set O2_DATA")
    table = pd.read_parquet(_real("oxygen.parquet"))
    table = table[table["source"] == "seahtrue"]
    events = pd.read_parquet(_real("events.parquet"))
    events = events[events["series_id"].isin(table["series_id"])]
    found = rates(*read_conditions(table, events, notes=[]), blanks=["control (background)"]).by_series()
    basal = found[found["window"] == 1]
    cells = basal["drug"].str.extract(r"([\d.]+)k")[0].astype(float)
    assert np.corrcoef(cells, basal["mean"])[0, 1] > 0.98
    each = found.pivot_table(index="series_id", columns="window", values="mean")
    assert (each[2] > 1.5 * each[1]).all()  # uncoupled
    assert (each[3] < 0.5 * each[1]).all()  # respiratory chain blocked
