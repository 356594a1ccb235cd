"""Simple odds of growth against their definitions, and against a world with a rule."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit, logit

from mediacvae import growth_baselines
from mediacvae.conditions import Block, Conditioner
from mediacvae.growth_baselines import LOGISTIC, NEIGHBOURS, RATE, STRAIN, Records, run_growth
from mediacvae.metrics import log_loss, roc_auc

CONDITIONER = Conditioner(
    (Block("lineage", "tokens", ("A", "B", "C")), Block("stats", "numbers", ("GC", "log10 length")))
)
N, B = 48, 10
GROUPS = np.arange(N) // 2


def world(seed: int, *, strain: float) -> tuple[Records, np.ndarray]:
    """Every organism on every medium: media, lineage x medium and the strain's own vigour decide."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, N)
    c = np.column_stack([np.eye(3)[kind], rng.normal(50, 10, N), rng.normal(6.5, 0.2, N)])
    level, likes = rng.normal(size=B), 2.0 * rng.normal(size=(3, B))
    eta = level + likes[kind] + strain * rng.normal(size=(N, 1))
    grew = rng.random((N, B)) < expit(eta)
    organism, medium = (one.ravel() for one in np.indices((N, B)))
    return Records(organism, medium, grew.ravel()), c


def odds(records: Records, c: np.ndarray, known: np.ndarray | None = None) -> tuple[dict, np.ndarray]:
    """By each method, on the last third of organisms; what is known of them is not tested."""
    test = records.organism >= 32
    told = np.zeros(len(records), dtype=bool) if known is None else known
    given = None if known is None else records.take(test & told)
    made = run_growth(
        records.take(~test), records.take(test & ~told), c, given, conditioner=CONDITIONER, groups=GROUPS
    )
    return made, records.growth[test & ~told]


def test_conditions_help_where_there_is_a_rule() -> None:
    made, y = odds(*world(0, strain=0.0))
    assert set(made) == {RATE, LOGISTIC, NEIGHBOURS}
    auc = {name: roc_auc(p, y) for name, p in made.items()}
    assert min(auc[LOGISTIC], auc[NEIGHBOURS]) > auc[RATE] + 0.05
    for p in made.values():
        assert ((p > 0) & (p < 1)).all()


def test_known_results_help_where_strains_differ() -> None:
    records, c = world(1, strain=3.0)
    score = []
    for n in (1, 3):
        made, y = odds(records, c, known=records.medium < n)
        assert set(made) == {RATE, LOGISTIC, NEIGHBOURS, STRAIN}
        score.append(roc_auc(made[STRAIN], y))
        assert score[-1] > roc_auc(made[RATE], y) + 0.05
        assert log_loss(made[STRAIN], y) < log_loss(made[RATE], y)
    assert score[1] > score[0]


def test_outcomes_that_are_tested_are_not_looked_at() -> None:
    records, c = world(2, strain=1.0)
    other = dataclasses.replace(
        records, growth=np.where(records.organism >= 32, ~records.growth, records.growth)
    )
    known = records.medium < 0
    for one, two in zip(odds(records, c, known)[0].values(), odds(other, c, known)[0].values(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_rate_is_shrunk_and_a_half_where_nothing_is_known() -> None:
    some = Records(np.arange(4), np.array([0, 0, 0, 2]), np.array([True, True, False, False]))
    rate = growth_baselines.medium_rate(some)
    np.testing.assert_allclose(rate(np.array([0, 1, 2, 3, 99])), [3 / 5, 1 / 2, 1 / 3, 1 / 2, 1 / 2])


def test_neighbours_by_hand() -> None:
    z = np.array([[0.0], [1.0], [1.0], [5.0], [0.2]])
    train = Records(
        np.array([0, 1, 2, 3, 3]), np.array([0, 0, 0, 0, 1]), np.array([True, False, True, False, True])
    )
    test = Records(np.array([4, 4, 4]), np.array([0, 1, 7]), np.zeros(3, dtype=bool))
    p = growth_baselines.neighbours(train, test, z, 2)
    rate = growth_baselines.medium_rate(train)(test.medium)
    np.testing.assert_allclose(p, [(1 + 3 * rate[0]) / 5, (1 + 3 * rate[1]) / 4, 0.5])


def test_logistic_is_where_its_gradient_vanishes() -> None:
    records, c = world(3, strain=1.0)
    z = (c - c.mean(axis=0)) / c.std(axis=0)
    p = growth_baselines.logistic(records, records, z, 4.0)
    # at the optimum the residuals of each medium, and of each medium x condition, are the penalty's pull
    base = logit((records.growth.sum() + 1) / (len(records) + 2))
    miss = (records.growth - p).reshape(N, B)
    level, slope = miss.sum(axis=0), z.T @ miss / 4.0
    eta = base + level + z @ (slope + slope.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(expit(eta).ravel(), p, atol=2e-3)
    alone = growth_baselines.logistic(records, records, z, 1e9).reshape(N, B)
    np.testing.assert_allclose(alone, np.repeat(alone[:1], N, axis=0), atol=1e-5)


def test_more_features_than_organisms_change_nothing_but_the_width() -> None:
    records, c = world(4, strain=1.0)
    z = (c - c.mean(axis=0)) / c.std(axis=0)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(200, 5)))[0]
    one = growth_baselines.logistic(records, records, z, 3.0)
    np.testing.assert_allclose(growth_baselines.logistic(records, records, z @ turn.T, 3.0), one, atol=2e-3)


@pytest.mark.parametrize("scale", growth_baselines.SCALES)
def test_a_strain_that_did_better_than_expected_is_expected_to(scale: str) -> None:
    p, rate = np.array([0.2, 0.5, 0.95]), np.array([0.5, 0.5])
    better = growth_baselines._moved(p, rate, np.array([True, True]), scale)
    worse = growth_baselines._moved(p, rate, np.array([False, False]), scale)
    same = growth_baselines._moved(p, rate, np.array([True, False]), scale)
    once = growth_baselines._moved(p, rate[:1], np.array([True]), scale)
    assert (worse < p).all()
    assert (better > p).all()
    assert (once[:2] < better[:2]).all()
    assert ((better <= 0.99) & (worse >= 0.01)).all()
    np.testing.assert_allclose(same, p)


def test_by_hand_on_the_scale_of_probabilities() -> None:
    p = growth_baselines._moved(np.array([0.3]), np.array([0.5, 0.6]), np.array([True, True]), "probability")
    np.testing.assert_allclose(p, 0.3 + 2 / 3 * 0.45)


def test_an_organism_of_which_nothing_is_known_keeps_the_rate() -> None:
    records, c = world(5, strain=2.0)
    made, _ = odds(records, c, known=(records.medium < 2) & (records.organism < 40))
    rest = np.flatnonzero(records.organism[(records.organism >= 32)] >= 40)[0] - 2 * 8
    np.testing.assert_array_equal(made[STRAIN][rest:], made[RATE][rest:])
    assert (made[STRAIN][:rest] != made[RATE][:rest]).all()


def test_one_group_few_records_and_no_test() -> None:
    one = Records(np.array([0, 0]), np.array([0, 1]), np.array([True, False]))
    c = np.full((2, 5), np.nan)
    asked = Records(np.array([1, 1]), np.array([0, 5]), np.zeros(2, dtype=bool))
    given = Records(np.array([1]), np.array([1]), np.array([True]))
    made = run_growth(one, asked, c, given, conditioner=CONDITIONER, groups=np.zeros(2))
    for p in made.values():
        assert p.shape == (2,)
        assert ((p > 0) & (p < 1)).all()
    nothing = run_growth(one, asked.take(np.zeros(2, bool)), c, conditioner=CONDITIONER, groups=np.zeros(2))
    assert {p.shape for p in nothing.values()} == {(0,)}


def test_what_cannot_be_is_refused() -> None:
    records, c = world(6, strain=0.0)
    row = records.take(np.array([0]))
    with pytest.raises(ValueError, match="organism 0 on medium 0 is a known result"):
        run_growth(records, row, c, row, conditioner=CONDITIONER, groups=GROUPS)
    with pytest.raises(ValueError, match="expected training records, got none"):
        run_growth(records.take(np.zeros(len(records), bool)), row, c, conditioner=CONDITIONER, groups=GROUPS)
    with pytest.raises(ValueError, match="three vectors of one length"):
        Records(np.array([0]), np.array([0, 1]), np.array([True]))
    with pytest.raises(ValueError, match="row numbers >= 0"):
        Records(np.array([-1]), np.array([0]), np.array([True]))
    with pytest.raises(ValueError, match="growth as true or false"):
        Records(np.array([0]), np.array([0]), np.array([0.5]))
