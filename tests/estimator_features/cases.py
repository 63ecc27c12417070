"""Samples, small estimators and comparisons for the tests of the estimators' own features."""

import numpy as np
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss

from fastmlp import MLPClassifier, MLPRegressor

N = 90
_random = np.random.RandomState(0)
X = _random.standard_normal((N, 6))
LABELS = (X[:, 0] + 0.5 * X[:, 1] > 0.4).astype(int) + (X[:, 2] > 0.9)
BINARY = (LABELS > 0).astype(int)
MANY = (X[:, :3] + 0.3 * X[:, 3:] > 0.4).astype(int)
VALUES = X[:, 0] - X[:, 1] + 0.1 * _random.standard_normal(N)
OUTPUTS = X[:, :3] + 0.1 * _random.standard_normal((N, 3))
WEIGHTS = _random.uniform(0.2, 2, N)
TRAIN, HELD = slice(0, 60), slice(60, N)
TARGETS = {"binary": BINARY, "multiclass": LABELS, "multilabel": MANY, "one output": VALUES, "outputs": OUTPUTS}
SETTINGS = {"hidden_layer_sizes": (8, 7), "max_iter": 6, "random_state": 3, "batch_size": 16, "n_threads": 1}


def make(y, **parameters):
    kind = MLPClassifier if y.dtype.kind == "i" else MLPRegressor
    return kind(**SETTINGS | parameters)


def assert_same(one, other, tolerance=1e-6):
    """The same weights and loss curves."""
    for a, b in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        assert_allclose(a, b, rtol=0, atol=tolerance)
    assert_allclose(one.loss_curve_, other.loss_curve_, rtol=tolerance, atol=tolerance)


def differs(one, other):
    return any(not np.allclose(a, b, rtol=0, atol=1e-8) for a, b in zip(one.coefs_, other.coefs_, strict=True))


def data_loss(model, x, y, weights=None):
    """By hand, without penalties."""
    if isinstance(model, MLPRegressor):
        return 0.5 * np.average(np.mean((model.predict(x) - y).reshape(len(y), -1) ** 2, axis=1), weights=weights)
    p = model.predict_proba(x)
    if y.ndim == 1:
        return log_loss(y, p, labels=model.classes_, sample_weight=weights)
    return np.average(-np.sum(y * np.log(p) + (1 - y) * np.log(1 - p), axis=1), weights=weights)
