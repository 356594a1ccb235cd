"""Statistics of replicates and the distance of their distributions, against scipy and by hand."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from o2diffusion.likeness import curve_statistics, ks_distance


def test_the_distance_is_that_of_kolmogorov_and_smirnov():
    rng = np.random.default_rng(0)
    for n in (3, 40, 200):
        a, b = rng.normal(size=n).round(1), rng.normal(0.3, 1.2, size=n + 7).round(1)
        assert ks_distance(a, b) == pytest.approx(ks_2samp(a, b).statistic)
    assert ks_distance(a, a) == 0.0
    assert np.isnan(ks_distance(a, a[:0]))


def test_statistics_of_curves_made_by_hand(condition):
    time = np.arange(0, 80, 0.25)
    since = np.clip(time - 40, 0, None)
    spike = np.where(time >= 40, 30 * np.exp(-since / 4), 0.0)
    oxygen = np.stack([spike, 2 * spike + 5, np.where(time < 30, spike, np.nan)], axis=1)
    found = curve_statistics([condition(time, oxygen, changes=[40])])
    np.testing.assert_allclose(found["correlation"], [1.0])
    np.testing.assert_allclose(sorted(found["spike_height"]), [30, 60])
    np.testing.assert_allclose(found["half_decay_h"], 4 * np.log(2), rtol=0.01)
    nothing = curve_statistics([])
    assert all(len(v) == 0 for v in nothing.values())
