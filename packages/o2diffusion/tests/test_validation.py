"""The permutation test on media responses: finds drugs that differ, and only those."""

from types import SimpleNamespace

import numpy as np
import pytest

from o2diffusion import generating
from o2diffusion.corpus import Facts
from o2diffusion.validation import CHANGES_H, HOURS, validate_drug_specific_media_responses

KNOWN = Facts(drugs=("a", "b", "c"), scales={"%air": (40.0, 20.0)}, units=("%air",))


@pytest.fixture
def model(tiny_net):
    return SimpleNamespace(net=tiny_net, facts=KNOWN)


@pytest.fixture
def plates(monkeypatch):
    """Curves with a spike of a height of each drug's own, instead of the network's."""

    def use(heights, spread=2.0, remaining=0.25):
        def curves(net, who, schedule, *, scale, hours, draws, seed, n_replicates=4):
            rng = np.random.default_rng(seed)
            time = (np.arange(336) + 0.5) * hours / 336
            since = time - schedule.times_h[-1]
            decay = np.exp(np.log(remaining) * since / 15.0)
            response = np.where(since >= 0, decay, 0.0)
            height = heights(who) + spread * rng.normal(size=draws)
            return time, np.repeat((5.0 + height[:, None] * response)[..., None], n_replicates, axis=2)

        monkeypatch.setattr(generating, "generate_curves", curves)

    return use


def test_drugs_with_spikes_of_their_own_are_found_and_measured(model, plates):
    plates(lambda who: 20.0 + 10.0 * who[0])
    responses, test = validate_drug_specific_media_responses(model, ["a", "b", "c"], permutations=199)
    assert test["distinct"].all()
    assert (test["p_value"] == 1 / 200).all()
    assert list(responses["drug"][:3]) == ["a", "b", "c"]
    np.testing.assert_allclose(responses["spike_magnitude"][:3], [20, 30, 40], atol=1.5)
    np.testing.assert_allclose(responses["spike_sd"], 2.0, rtol=0.4)
    np.testing.assert_allclose(responses["remaining"], 0.25, atol=0.03)


def test_equal_drugs_are_rarely_told_apart(model, plates):
    plates(lambda who: 20.0)
    found = [
        validate_drug_specific_media_responses(model, ["a", "b", "c"], permutations=99, seed=10 * s)[1]
        for s in range(12)
    ]
    assert np.mean([t["distinct"].any() for t in found]) <= 0.2  # 5 % a family, after Holm's correction
    p = np.concatenate([t["p_value"] for t in found])
    assert 0.3 < p.mean() < 0.7


def test_one_dose_that_differs_is_the_one_found(model, plates):
    plates(lambda who: 20.0 + (15.0 * who[0] if who[1] == 10.0 else 0.0))
    _, test = validate_drug_specific_media_responses(model, ["a", "b"], permutations=199)
    assert test.loc[test["concentration_um"] == 10.0, "distinct"].all()
    assert test["distinct"].sum() == 1


def test_at_dose_zero_no_network_tells_drugs_apart(model):
    responses, test = validate_drug_specific_media_responses(
        model, ["a", "b"], concentrations_um=[0.0], draws=32, permutations=49
    )
    assert not test["distinct"].any()
    assert np.isfinite(responses[["spike_magnitude", "spike_sd"]]).all().all()


def test_fewer_than_two_drugs_and_unknown_ones_are_refused(model):
    with pytest.raises(ValueError, match="at least two drugs to compare, got 1"):
        validate_drug_specific_media_responses(model, ["a"])
    with pytest.raises(ValueError, match="unknown drug 'zzz'"):
        validate_drug_specific_media_responses(model, ["a", "zzz"])


def test_a_single_draw_tells_no_drugs_apart_and_is_refused(model):
    with pytest.raises(ValueError, match="at least 2 draws and 1 permutation for a test, got 1 and 999"):
        validate_drug_specific_media_responses(model, ["a", "b"], draws=1)


def test_the_response_that_is_read_lies_inside_the_curve():
    assert 0 < CHANGES_H[0] < CHANGES_H[-1] < HOURS - 20
