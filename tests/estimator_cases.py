"""Samples, small estimators and comparisons of their whole state, for several folders of tests."""

import numpy as np
import pytest
import sklearn
from sklearn import neural_network

from fastmlp.estimators import MLPClassifier, MLPRegressor

RELEASE = tuple(map(int, sklearn.__version__.split(".")[:2]))

random = np.random.RandomState(0)
X = random.randn(90, 4)
LABELS = np.array(["ant", "bee", "cat"])[np.argmax(X @ random.randn(4, 3), axis=1)]
Y = {
    "multiclass": LABELS,
    "binary": LABELS == "bee",
    "multilabel": (X[:, :2] > 0).astype(int),
    "regression": X @ random.randn(4) + 0.1,
    "multioutput": np.tanh(X @ random.randn(4, 2)),
}
KINDS = tuple(Y)
WEIGHTS = random.rand(90) + 0.1
SMALL = {"hidden_layer_sizes": (6, 5), "max_iter": 4, "random_state": 0}


def ours(kind, **params):
    return (MLPRegressor if kind in ("regression", "multioutput") else MLPClassifier)(**SMALL | params)


def theirs(kind, **params):
    if params.get("early_stopping") and kind == "multiclass" and RELEASE < (1, 9):
        pytest.skip("early stopping of this scikit-learn cannot score text labels")
    return getattr(neural_network, type(ours(kind)).__name__)(**SMALL | params)


def fitted(**params):
    return ours("multiclass", **params).fit(X, LABELS)


def assert_same_state(a, b, tolerance=0.0):
    """Two values, whatever they are made of, are equal."""
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        if tolerance:
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(a, b)
    elif isinstance(a, np.random.RandomState):
        assert_same_state(a.get_state(), b.get_state())
    elif isinstance(a, (list, tuple)):
        assert type(a) is type(b) and len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same_state(one, other, tolerance)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            assert_same_state(a[name], b[name], tolerance)
    elif isinstance(a, float) and tolerance:
        assert a == pytest.approx(b, rel=tolerance, abs=tolerance)
    elif hasattr(a, "__dict__") and not callable(a):
        assert type(a) is type(b)
        assert_same_state(vars(a), vars(b), tolerance)
    else:
        assert a == b or (a != a and b != b)


def assert_same_answers(a, b, tolerance=1e-12):
    np.testing.assert_allclose(a.coefs_[0], b.coefs_[0], rtol=tolerance, atol=tolerance)
    if hasattr(a, "classes_"):
        np.testing.assert_array_equal(a.predict(X), b.predict(X))
        np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=tolerance, atol=tolerance)
