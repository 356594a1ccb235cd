"""The model beside the baselines: fair cases, the rows of the table, ratios to the best."""

import numpy as np
import pandas as pd
import pytest

from o2diffusion.evaluation import NEAR_H, against_best, baseline_predictions, cases, evaluate
from o2diffusion.tasks import TASKS

METHODS = {
    "o2diffusion",
    "linear",
    "pchip",
    "replicate_mean",
    "event_template",
    "gp_per_trace",
    "gp_shared",
    "gp_shared_template",
}


@pytest.fixture
def table(condition, curves):
    return [
        condition(*curves(k, r=1 + k % 3), changes=(20.0,), series_id=f"s{k}", source="x" if k < 2 else "y")
        for k in range(4)
    ]


@pytest.fixture(scope="module")
def scores(request, tiny_net, condition, curves):
    conditions = [
        condition(*curves(k, r=1 + k % 3), changes=(20.0,), series_id=f"s{k}", source="x" if k < 2 else "y")
        for k in range(4)
    ]
    return evaluate(tiny_net, conditions, dataset="d", draws=20)


def test_what_is_no_task_is_refused_in_words(table):
    with pytest.raises(ValueError, match="expected tasks among a, b, b1, c, got 'd'"):
        next(cases(table, "d", seed=0))


def test_cases_hide_what_the_task_says_and_the_same_for_a_seed(table):
    for task in TASKS:
        found, again = (list(cases(table, task, seed=3, cells=32)) for _ in range(2))
        assert len(found) == (2 if task == "c" else 4)  # two conditions have one replicate
        for a, b in zip(found, again, strict=True):
            np.testing.assert_array_equal(a.item.active, b.item.active)
            assert a.item.active.any()
            assert not (a.item.active & ~a.item.grid.observed).any()
    here, there = (cases(table, "a", seed=s, cells=32) for s in (3, 4))
    assert any((a.item.active != b.item.active).any() for a, b in zip(here, there, strict=True))


def test_a_condition_hides_the_same_cells_whatever_follows_it(table):
    (few, *_), (many, *_) = (list(cases(c, "b", seed=0, cells=32)) for c in (table[:1], table))
    np.testing.assert_array_equal(few.item.active, many.item.active)


def test_near_are_the_twelve_hours_after_a_media_change(condition, curves):
    one = condition(*curves(0), changes=(10.0, 20.0), kinds=["flush", "media_change"])
    (case,) = cases([one], "a", seed=0, cells=32)
    grid = case.item.grid
    lag = grid.centre - 20.0
    np.testing.assert_array_equal(case.near, (lag >= -0.5 * grid.width) & (lag < NEAR_H))


def test_no_baseline_sees_what_is_hidden(condition, curves):
    time, oxygen = curves(0)
    (case,) = cases([condition(time, oxygen, changes=(20.0,))], "b", seed=1, cells=32)
    hidden = case.item.active
    spoilt = case.item.grid.value.copy()
    spoilt[hidden] += 1000.0
    object.__setattr__(case.item.grid, "value", spoilt)
    (clean,) = cases([condition(time, oxygen, changes=(20.0,))], "b", seed=1, cells=32)
    for name, a in baseline_predictions(clean).items():
        b = baseline_predictions(case)[name]
        np.testing.assert_array_equal(a.centre, b.centre, err_msg=name)
        assert a.centre.shape == (hidden.sum(),)


def test_the_joint_area_of_a_process_is_that_of_its_draws(condition, curves):
    (case,) = cases([condition(*curves(0))], "b", seed=0, cells=32)
    found = baseline_predictions(case)["gp_shared"]
    replicates = np.unique(np.nonzero(case.item.active)[1])
    assert found.area_sd.shape == replicates.shape
    assert (found.area_sd > 0).all()
    assert (found.area_sd < found.sd.max()).all()  # a mean varies less than its parts


def test_every_method_has_a_row_for_every_metric_it_can_have(scores):
    assert list(scores.columns) == ["dataset", "source", "task", "method", "metric", "value", "n", "seed"]
    assert set(scores["source"]) == {"all", "x", "y"}
    assert set(scores["method"]) == METHODS
    assert set(scores["task"]) == set(TASKS)
    assert not scores.duplicated(["source", "task", "method", "metric"]).any()
    assert np.isfinite(scores["value"]).all()
    everyone = scores[scores["source"] == "all"]
    for method in METHODS:
        metrics = set(everyone.loc[(everyone["method"] == method) & (everyone["task"] == "b"), "metric"])
        assert {"mae", "rmse", "crps"} <= metrics
        probabilistic = method == "o2diffusion" or method.startswith("gp")
        assert ("coverage90" in metrics) == probabilistic
        assert ("area_coverage90" in metrics) == (probabilistic and method != "gp_per_trace")
    counts = everyone[everyone["metric"] == "mae"].set_index(["task", "method"])["n"]
    assert counts["b", "linear"] == counts["b", "o2diffusion"] == 4
    assert counts["c", "linear"] == 2


def test_all_is_the_mean_over_conditions_and_not_over_sources(scores):
    part = scores[(scores["metric"] == "mae") & (scores["method"] == "linear") & (scores["task"] == "c")]
    by = part.set_index("source")
    mean = (by.loc[["x", "y"], "value"] * by.loc[["x", "y"], "n"]).sum() / by.loc[["x", "y"], "n"].sum()
    assert by.loc["all", "value"] == pytest.approx(mean)


def test_the_same_seed_gives_the_same_table(tiny_net, table):
    a, b = (evaluate(tiny_net, table[1:2], dataset="d", tasks=["b"], draws=5, simple=False) for _ in range(2))
    pd.testing.assert_frame_equal(a, b)
    assert set(a["method"]) == {"o2diffusion"}


def test_a_task_no_condition_can_be_asked_is_refused(tiny_net, table, condition, curves):
    with pytest.raises(ValueError, match=r"task c: expected at least one condition.*none of 1"):
        evaluate(tiny_net, table[:1], dataset="d", tasks=["c"], draws=2)
    time, oxygen = curves(0)
    with pytest.raises(ValueError, match="task b1"):
        evaluate(
            tiny_net, [condition(time, np.full_like(oxygen, np.nan))], dataset="d", tasks=["b1"], draws=2
        )


def rows(**values):
    return pd.DataFrame(
        [("d", "all", "b", method, "mae", value, 3, 0) for method, value in values.items()],
        columns=["dataset", "source", "task", "method", "metric", "value", "n", "seed"],
    )


def test_the_best_simple_method_is_the_one_to_beat():
    (row,) = against_best(rows(o2diffusion=0.3, linear=0.6, pchip=0.4), "mae").to_dict("records")
    assert row == {
        "task": "b",
        "value": 0.3,
        "best": 0.4,
        "best_method": "pchip",
        "ratio": pytest.approx(0.75),
    }
    for table in (rows(o2diffusion=0.3), rows(linear=0.3)):
        with pytest.raises(ValueError, match="expected rows of mae for o2diffusion and a simple method"):
            against_best(table, "mae")
