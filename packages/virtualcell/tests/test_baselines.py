"""Simple methods: against scikit-learn, exact where their assumption holds, and blind to what is hidden."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from virtualcell import baselines
from virtualcell.evaluation import best_ridge, means, of_baselines, report, tidy
from virtualcell.faults import DataError
from virtualcell.folds import hide_context, hide_perturbation
from virtualcell.populations import Populations

GENES = 30


def world(effect, contexts=6, done=("A", "B", "A+B"), missing=()):
    """Populations whose change is `effect(control mean, perturbation)`."""
    rng = np.random.default_rng(0)
    rows = []
    for c in range(contexts):
        control = rng.normal(size=GENES) * (1 + 9 * (np.arange(GENES) == 0))  # gene 0 tells contexts apart
        rows.append((f"c{c}", "control", control))
        rows += [(f"c{c}", p, control + effect(control, p)) for p in done if (f"c{c}", p) not in missing]
    names, perturbed, mean = zip(*rows, strict=True)
    flat = np.ones((len(rows), GENES))
    return Populations(
        np.array([f"g{i}" for i in range(GENES)]),
        np.array(names, dtype=object),
        np.array(perturbed, dtype=object),
        np.array(mean),
        flat,
        flat,
        np.full(len(rows), 50),
    )


def directions():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, GENES))
    return {"A": a, "B": b, "A+B": a + b}


def hidden(whole, context):
    (fold,) = hide_context(whole, context)
    return fold.known


def test_ridge_is_that_of_scikit_learn():
    whole = world(lambda control, p: np.roll(control, 3) * 0.5 + directions()[p], contexts=7)
    known = hidden(whole, "c2")
    others = [f"c{i}" for i in range(7) if i != 2]
    controls = np.array([known.control_of(c) for c in others])
    for k, alpha in ((2, 1.0), (4, 0.1), (20, 10.0)):
        pca = PCA(min(k, 5)).fit(controls)
        deltas = np.array([known.delta(c, "A") for c in others])
        model = Ridge(alpha).fit(pca.transform(controls), deltas)
        expected = model.predict(pca.transform(known.control_of("c2")[None]))[0]
        found = baselines.ridge(known, "c2", "A", components=k, alpha=alpha)
        np.testing.assert_allclose(found, expected, atol=1e-8)


def test_each_method_is_exact_where_its_assumption_holds():
    whole = world(lambda control, p: directions()[p])
    made = baselines.run(hidden(whole, "c0"), "c0", "A")
    true = whole.mean[whole.where("c0", "A")]
    for name in (baselines.SAME, baselines.NEAREST, baselines.ridge_name(4, 0.1)):
        np.testing.assert_allclose(made[name], true)
    assert baselines.ADDITIVE not in made
    np.testing.assert_array_equal(made[baselines.NO_CHANGE], whole.control_of("c0"))
    linear = world(lambda control, p: 0.1 * control[0] * directions()[p], contexts=40)
    made = baselines.run(hidden(linear, "c0"), "c0", "A")
    true = linear.mean[linear.where("c0", "A")]
    error = {name: np.abs(mean - true).mean() for name, mean in made.items()}
    assert error[baselines.ridge_name(20, 0.1)] < 0.7 * error[baselines.SAME]


def test_combinations_are_sums_of_the_same_context_or_of_others():
    whole = world(lambda control, p: directions()[p] * (1 + control[0]))
    known = whole.take(~((whole.contexts == "c0") & (whole.perturbations == "A+B")))
    np.testing.assert_allclose(baselines.additive(known, "c0", "B+A"), whole.delta("c0", "A+B"))
    rest = known.take(~((known.contexts == "c0") & (known.perturbations == "B")))
    expected = whole.delta("c0", "A") + np.mean([whole.delta(f"c{i}", "B") for i in range(1, 6)], axis=0)
    np.testing.assert_allclose(baselines.additive(rest, "c0", "A+B"), expected)
    none = known.take(known.perturbations != "B")
    assert baselines.additive(none, "c0", "A+B") is None


def test_the_nearest_context_is_that_of_the_nearest_control():
    whole = world(lambda control, p: control * 0.1 + directions()[p])
    own = whole.control_of("c3")
    near = min(
        (c for c in whole.context_names if c != "c3"), key=lambda c: np.sum((whole.control_of(c) - own) ** 2)
    )
    np.testing.assert_array_equal(
        baselines.nearest_delta(hidden(whole, "c3"), "c3", "A"), whole.delta(near, "A")
    )


def test_the_mean_of_perturbations_leaves_out_the_one_that_is_asked_for():
    whole = world(lambda control, p: directions()[p], done=("A", "B"))
    np.testing.assert_allclose(baselines.mean_of_perturbations(whole, "c0", "A"), directions()["B"])
    both = np.mean([directions()[p] for p in ("A", "B")], axis=0)
    np.testing.assert_allclose(baselines.mean_of_perturbations(hidden(whole, "c0"), "c0", "A"), both)
    alone = world(lambda control, p: directions()[p], done=("A",))
    assert baselines.mean_of_perturbations(hidden(alone, "c0"), "c0", "A") is None


def test_what_is_hidden_cannot_be_seen():
    whole = world(lambda control, p: directions()[p])
    for fold in hide_context(whole, "each"):
        ((context, _), *_) = fold.asked
        assert not fold.known.done_in(context)
        assert fold.known.has(context, "control")
        changed = whole.take(np.arange(len(whole)))
        lost = (changed.contexts == context) & (changed.perturbations != "control")
        changed.mean[lost] += 7.0
        (again,) = hide_context(changed, context)
        before, after = (baselines.run(f.known, context, "A") for f in (fold, again))
        for name, mean in before.items():
            np.testing.assert_array_equal(mean, after[name])
    (fold,) = hide_perturbation(whole, "A")
    assert fold.known.perturbation_names == ("B",)
    assert fold.asked == tuple((f"c{i}", "A") for i in range(6))


def test_scores_are_a_table_with_the_best_ridge_and_discrimination():
    whole = world(lambda control, p: directions()[p] + 0.1 * np.roll(control, 1), missing={("c5", "B")})
    table = of_baselines(whole, hide_context(whole, "each"))
    assert len(table) == table.drop_duplicates(["context", "perturbation", "method"]).shape[0]
    found = means(table).set_index("method")
    assert found.loc[baselines.SAME, "discrimination"] == 1.0
    assert found.loc[baselines.NO_CHANGE, "discrimination"] == 0.5
    assert found.loc[baselines.NO_CHANGE, "pearson_delta"] == 0.0
    best = best_ridge(table)
    ridges = [name for name in found.index if name.startswith(baselines.RIDGE)]
    assert len(ridges) == 8
    assert found.loc[best, "pearson_delta"] == found.loc[ridges, "pearson_delta"].max()
    text = report(table)
    assert "mean of 17" in text
    assert "the best here of 8 settings" in text
    assert "additive (6 of them)" in text
    assert sum(baselines.RIDGE in line for line in text.splitlines()) == 2
    rows = tidy(table, 3)
    assert list(rows.columns) == ["dataset", "task", "method", "metric", "value", "n", "seed"]
    assert rows["value"].notna().all()


@pytest.mark.parametrize(
    ("hide", "value", "word"),
    [
        (hide_context, "c00", "did you mean 'c0'"),
        (hide_context, "c5", "control and perturbed cells"),
        (hide_perturbation, "C", "perturbation with control cells"),
    ],
)
def test_what_cannot_be_hidden_is_said(hide, value, word):
    gone = {("c5", p) for p in ("A", "B", "A+B")}
    whole = world(lambda control, p: directions()[p], missing=gone)
    with pytest.raises(DataError, match=word):
        list(hide(whole, value))


def test_a_context_alone_leaves_no_change():
    whole = world(lambda control, p: directions()[p], contexts=1, done=("A",))
    assert list(baselines.run(hidden(whole, "c0"), "c0", "A")) == [baselines.NO_CHANGE]


def test_collected_cells_give_the_figures_that_were_measured(real):
    from virtualcell.populations import read_populations

    whole = read_populations(real / "kang_ifnb.h5ad", perturbation_key="condition", context_key="cell_type")
    found = means(of_baselines(whole, hide_context(whole, "each"))).set_index("method")
    expected = {
        baselines.NO_CHANGE: (0.0, 0.0410, 0.0),
        baselines.SAME: (0.7787, 0.0182, 0.592),
        baselines.NEAREST: (0.8038, 0.0143, 0.672),
        baselines.ridge_name(4, 100.0): (0.8285, 0.0124, 0.692),
    }
    for name, numbers in expected.items():
        own = found.loc[name, ["pearson_delta", "mse", "overlap50"]].to_numpy(dtype=float)
        np.testing.assert_allclose(own, numbers, atol=2e-4)
