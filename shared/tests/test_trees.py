"""Trees as arrays give what scikit-learn gives."""

import numpy as np
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
