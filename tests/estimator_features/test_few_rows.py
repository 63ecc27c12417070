"""Predictions of a few rows reuse what the call before has set up, and see whatever has changed since."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from estimator_features.cases import LABELS, OUTPUTS, TARGETS, X, make

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")
FEW, ROUNDS = X[:5], 2  # the second call is the one that reuses


def assert_seen(model, x=FEW):
    """Few rows are predicted as they are among many, which nothing is kept for."""
    many = np.concatenate([x] * 40)
    for _ in range(ROUNDS):
        np.testing.assert_allclose(model.predict(x), model.predict(many)[: len(x)], rtol=1e-9)
        if hasattr(model, "predict_proba"):
            np.testing.assert_allclose(model.predict_proba(x), model.predict_proba(many)[: len(x)], rtol=1e-9)


@pytest.mark.parametrize("target", TARGETS)
def test_every_kind_of_target(target):
    model = make(TARGETS[target]).fit(X, TARGETS[target])
    assert_seen(model)
    assert_seen(model, X[:1])
    assert_seen(model, X[:5, ::-1][:, ::-1])


CHANGES = {
    "weights edited": lambda model: np.multiply(model.coefs_[0], -1, out=model.coefs_[0]),
    "a matrix replaced": lambda model: model.coefs_.__setitem__(1, model.coefs_[1] * -2),
    "all of them replaced": lambda model: setattr(model, "intercepts_", [b + 1 for b in model.intercepts_]),
    "another activation": lambda model: model.set_params(activation="tanh"),
    "another output": lambda model: setattr(model, "out_activation_", "softmax"),
    "an output that is no activation": lambda model: setattr(model, "out_activation_", "exp"),
    "another backend": lambda model: model.set_params(backend="numpy"),
    "fewer layers": lambda model: (setattr(model, "n_layers_", 3), setattr(model, "out_activation_", "tanh")),
    "trained further": lambda model: model.partial_fit(X, OUTPUTS),
    "trained anew": lambda model: model.set_params(hidden_layer_sizes=(4,)).fit(X, OUTPUTS),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(change):
    model = make(OUTPUTS).fit(X, OUTPUTS)
    assert_seen(model)
    before = model.predict(FEW)
    CHANGES[change](model)
    assert_seen(model)
    after = model.predict(FEW)
    assert change == "another backend" or before.shape != after.shape or not np.allclose(before, after)


def test_activations_in_a_list_that_is_edited():
    model = make(OUTPUTS, activation=["relu", "tanh"]).fit(X, OUTPUTS)
    assert_seen(model)
    before = model.predict(FEW)
    model.activation[0] = "elu"
    assert_seen(model)
    assert not np.allclose(before, model.predict(FEW))


def test_what_is_wrong_is_said_each_time():
    model = make(LABELS).fit(X, LABELS)
    for _ in range(ROUNDS):
        model.predict(FEW)
        with pytest.raises(ValueError, match="Input X contains NaN"):
            model.predict(np.where(X[:5] < X[:5].max(), X[:5], np.nan))
        with pytest.raises(ValueError, match="X has 5 features, but MLPClassifier is expecting 6"):
            model.predict(FEW[:, :5])
    model.feature_names_in_ = np.array([*"abcdef"])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(FEW)
    del model.coefs_
    with pytest.raises(NotFittedError):
        model.predict(FEW)


def test_other_dtypes_and_containers():
    model = make(OUTPUTS).fit(X, OUTPUTS)
    expected = model.predict(FEW)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for given in (FEW, FEW.astype(np.float32), FEW, FEW.tolist(), FEW.astype(">f8"), FEW):
            np.testing.assert_allclose(model.predict(given), expected, rtol=1e-4)
    pd = pytest.importorskip("pandas", reason="frames of pandas")
    named = make(OUTPUTS).fit(pd.DataFrame(X, columns=[*"abcdef"]), OUTPUTS)
    for _ in range(ROUNDS):
        np.testing.assert_allclose(named.predict(pd.DataFrame(FEW, columns=[*"abcdef"])), expected, rtol=1e-9)


def test_threads_that_predict_at_once():
    model = make(LABELS).fit(X, LABELS)
    parts = [X[i : i + 5] for i in range(40)]
    expected = [model.predict_proba(part) for part in parts]
    with ThreadPoolExecutor(8) as threads:
        for given, found in zip(expected * 20, threads.map(model.predict_proba, parts * 20), strict=True):
            np.testing.assert_array_equal(found, given)
