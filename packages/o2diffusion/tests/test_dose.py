"""Dose-response: what was put in comes out, with intervals that hold it; what cannot be known is said."""

import time

import numpy as np
import pandas as pd
import pytest

from o2diffusion.dose import dose_response, fit_doses
from o2diffusion.hill import hill
from o2diffusion.summaries import KEYS, Summaries, summarise

DOSES = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


def summaries(
    ec50, *, doses=DOSES, span=60.0, n=2.0, sd=1.5, wells=3, draws=40, draw_sd=0.0, seed=0, zero="own"
):
    """Summaries of drugs with known curves: wells scatter by `sd`, draws of a well by `draw_sd`."""
    rng = np.random.default_rng(seed)
    rows, values = [], []
    for k, e in enumerate(np.atleast_1d(ec50)):
        for c in doses:
            for j in range(wells):
                drug = f"d{k}" if c > 0 or zero == "own" else zero
                rows.append(("p", f"{drug}.{c}", drug, c, str(j), "area", 0, 0.0, 400.0, "%air"))
                middle = 5 + span * hill(np.log(e), np.log(n), np.array([c]))[0] + rng.normal(0, sd)
                values.append(middle + draw_sd * rng.standard_normal(draws))
    return Summaries(pd.DataFrame(rows, columns=KEYS), np.array(values))


def test_a_clean_curve_comes_back():
    row = dose_response(summaries([0.5, 2.0, 5.0, 9.0], sd=0.3)).set_index("drug")
    np.testing.assert_allclose(row["ec50_um"], [0.5, 2.0, 5.0, 9.0], rtol=0.15)
    np.testing.assert_allclose(row["hill"], 2.0, rtol=0.3)
    np.testing.assert_allclose(row["bottom"], 5.0, atol=1.5)
    np.testing.assert_allclose(row["top"], 65.0, rtol=0.1)
    assert (row["r2"] > 0.99).all()
    assert (row["relation"] == "=").all()
    assert row["n_doses"].tolist() == [7] * 4


def test_ninety_percent_intervals_hold_the_ec50():
    rng = np.random.default_rng(3)
    inside, width = [], []
    for seed in range(16):
        ec50 = np.exp(rng.uniform(np.log(0.4), np.log(12), 4))
        table = dose_response(summaries(ec50, sd=6.0, n=1.5, seed=seed), seed=seed)
        inside += [low <= e <= high for e, low, high in zip(ec50, table["q05"], table["q95"], strict=True)]
        width += list(np.log10(table["q95"] / table["q05"]))
    assert 0.84 <= np.mean(inside) <= 0.99
    assert np.median(width) < 0.7


def test_less_certain_curves_and_fewer_wells_give_wider_intervals():
    def width(**words):
        return float(np.log(dose_response(summaries([1.5, 2.0, 4.0], **words)).eval("q95 / q05")).mean())

    assert width(draw_sd=8.0) > 1.2 * width()
    assert width(wells=2, sd=4.0) > 1.2 * width(wells=6, sd=4.0)


def test_an_ec50_beyond_the_doses_is_one_sided_and_said():
    table = dose_response(summaries([0.5, 2.0, 5.0, 150.0, 1e5])).set_index("drug")
    for name in ("d3", "d4"):
        row = table.loc[name]
        assert (row["relation"], row["ec50_um"], row["q95"]) == (">", 30.0, np.inf)
        assert 20 < row["q05"] < 300
        assert "up to 30 uM" in row["note"]
    low = dose_response(summaries([0.5, 1.0, 2.0, 0.004], doses=(0.0, 0.1, 0.3, 1.0, 3.0, 10.0))).iloc[3]
    assert (low["relation"], low["ec50_um"], low["q05"]) == ("<", 0.1, 0.0)
    assert low["q95"] < 0.2


def test_no_effect_at_all_is_no_ec50():
    row = dose_response(summaries([1.0], span=0.0)).iloc[0]
    assert row["relation"] == ">"
    assert "no clear effect up to 30 uM" in row["note"]
    assert np.isfinite(row[["ec50_um", "q05", "q50", "r2"]].astype(float)).all()
    flat = dose_response(summaries([1.0], span=0.0, sd=0.0)).iloc[0]
    assert (flat["relation"], flat["r2"]) == (">", 0.0)


def test_two_concentrations_are_too_few_and_said():
    both = summaries([1.0, 2.0])
    keep = ((both.keys["drug"] == "d0") | both.keys["concentration_um"].isin([0.0, 3.0])).to_numpy()
    few = Summaries(both.keys[keep].reset_index(drop=True), both.draws[keep])
    table = dose_response(few).set_index("drug")
    assert table.loc["d0", "relation"] == "="
    assert table.loc["d1", "relation"] == "?"
    assert "2 concentrations" in str(table.loc["d1", "note"])


def test_controls_by_name_serve_every_drug_and_may_be_absent():
    named = dose_response(summaries([1.0, 3.0], zero="DMSO"))
    assert named["drug"].tolist() == ["d0", "d1"]
    assert named["n_wells"].tolist() == [24, 24]  # six control wells and six doses of three
    own = summaries([1.0, 3.0])
    without = (own.keys["concentration_um"] > 0).to_numpy()
    table = dose_response(Summaries(own.keys[without].reset_index(drop=True), own.draws[without]))
    np.testing.assert_allclose(table["ec50_um"], [1.0, 3.0], rtol=0.3)


def test_falling_summaries_negative_units_and_scales_do_not_matter():
    plain = summaries([1.0, 3.0])
    fall = Summaries(plain.keys, -1e-3 * plain.draws)
    up, down = dose_response(plain), dose_response(fall)
    np.testing.assert_allclose(down["ec50_um"], up["ec50_um"], rtol=0.1)
    np.testing.assert_allclose(down["top"], -1e-3 * up["top"], rtol=0.1)


def test_experiments_and_windows_are_fitted_apart():
    one, two = summaries([1.0]), summaries([5.0], seed=1)
    keys = pd.concat(
        [one.keys, two.keys.assign(experiment_id="q"), one.keys.assign(window=1)], ignore_index=True
    )
    table = dose_response(Summaries(keys, np.concatenate([one.draws, two.draws, one.draws])))
    assert table[["experiment_id", "window"]].to_numpy().tolist() == [["p", 0], ["q", 0], ["p", 1]]
    np.testing.assert_allclose(table["ec50_um"], [1.0, 5.0, 1.0], rtol=0.35)


def test_it_is_repeatable_and_quick():
    many = summaries(np.geomspace(0.5, 20, 5), draws=200)
    start = time.process_time()
    first = dose_response(many, seed=4)
    assert (time.process_time() - start) / 5 < 2.0
    pd.testing.assert_frame_equal(first, dose_response(many, seed=4))


def test_a_table_without_drugs_is_refused():
    nothing = summaries([1.0])
    keys = nothing.keys.assign(concentration_um=0.0)
    with pytest.raises(ValueError, match="expected rows with a drug and a concentration_um > 0"):
        fit_doses(Summaries(keys, nothing.draws))


def test_simulated_plates_give_their_ec50_back():
    from o2diffusion.conditions import read_conditions
    from o2diffusion.config import SimulationConfig
    from o2diffusion.simulation import simulate

    simulation = simulate(SimulationConfig(experiments=2, drugs=10), seed=31)
    conditions = read_conditions(simulation.table, simulation.events, notes=[])
    truth = simulation.responses.dropna(subset=["mean_ec50_um"]).groupby(["experiment_id", "drug"]).first()
    for kind, column in (("area", "mean_ec50_um"), ("final_level", "final_ec50_um")):
        both = (
            dose_response(summarise(conditions, kind))
            .set_index(["experiment_id", "drug"])
            .join(truth[column])
        )
        inside = both[both[column] <= 22.5]
        assert len(inside) >= 12
        assert (inside["q50"] / inside[column] - 1).abs().median() < 0.2
        assert ((both["q05"] <= both[column]) & (both[column] <= both["q95"])).mean() > 0.75
