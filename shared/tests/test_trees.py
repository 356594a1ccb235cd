"""Trees as arrays give what scikit-learn gives."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from cytosol.trees import forest_of, from_arrays


def test_a_classifier_and_a_regressor_are_reproduced_also_from_arrays():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 6)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + 0.1 * rng.normal(size=500)
    one = HistGradientBoostingRegressor(max_iter=20).fit(x, y)
    two = HistGradientBoostingClassifier(max_iter=20).fit(x, y > 0)
    np.testing.assert_allclose(forest_of(one)(x), one.predict(x), atol=1e-6)
    forest = forest_of(two)
    np.testing.assert_allclose(forest(x), two.decision_function(x), atol=1e-6)
    np.testing.assert_array_equal(from_arrays(forest.arrays("a"), "a")(x), forest(x))


def test_what_is_no_sum_of_trees_over_numbers_is_refused():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, size=(200, 2)).astype(float)
    three = HistGradientBoostingClassifier(max_iter=2).fit(x, x[:, 0] % 3)
    named = HistGradientBoostingRegressor(max_iter=2, categorical_features=[0]).fit(x, x[:, 0] % 2)
    for model in (three, named):
        with pytest.raises(ValueError, match="several classes or splits on categories"):
            forest_of(model)
