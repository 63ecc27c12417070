"""Samples, small estimators and comparisons for the tests of meta-estimators."""

import numpy as np
from numpy.testing import assert_allclose

from fastmlp import MLPClassifier, MLPRegressor

_random = np.random.RandomState(0)
X = _random.standard_normal((150, 4))
Y = (X @ _random.standard_normal((4, 3))).argmax(axis=1)
VALUES = 1000 + 100 * (X[:, 0] + np.abs(X[:, 1]))
TRAIN, HELD = slice(0, 100), slice(100, 150)
SMALL = {
    "hidden_layer_sizes": (6,),
    "max_iter": 5,
    "learning_rate_init": 0.05,
    "random_state": 0,
    "backend": "numpy",
}


def classifier(**parameters):
    return MLPClassifier(**SMALL | parameters)


def regressor(**parameters):
    return MLPRegressor(**SMALL | parameters)


def assert_same_network(one, other):
    for a, b in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-12)
