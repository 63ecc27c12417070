"""Samples of float32: weights after a few updates, scores after many, and the resulting dtypes."""

import functools
import itertools

import numpy as np
import pytest
from sklearn import neural_network as theirs

import fastmlp as ours
from parity.cases import (
    CLASSIFIED,
    EPOCHS,
    FACTORS,
    FAST,
    PREDICTIONS,
    TARGETS,
    WEIGHTS,
    N,
    X,
    assert_equal,
    both,
    covering,
    distance,
    make,
    need,
    outcome,
)

SINGLE = X.astype(np.float32)
# After 20 updates of weights around 1: both lose some of the last digits, in other places. After hundreds the kinks of
# ReLU have taken them apart, as float32 and float64 are in scikit-learn, so that what is left to compare is the score.
SINGLE_TOLERANCE = 1e-5


SINGLE_FACTORS = {
    "optimizer": ("sgd", "momentum", "nesterov", "adam"),
    "target": ("binary", "multiclass", "multilabel", "one output", "outputs", "counts"),
    "weights": ("equal", "weighted"),
}


def trained(module, case, epochs, activation, **place):
    """A fitted estimator and how its fit ended."""
    optimizer, target, weights = case
    parameters = {"hidden_layer_sizes": (17, 9), "random_state": 7, "batch_size": 23, "n_iter_no_change": EPOCHS}
    parameters |= FACTORS["optimizer"][optimizer] | {"learning_rate_init": 0.01, "tol": 0}
    model = make(module, target, **parameters, max_iter=epochs, activation=activation, **place)
    return model, outcome(model.fit, SINGLE, TARGETS[target], **given(weights))


def given(weights):
    return {} if weights == "equal" else {"sample_weight": WEIGHTS}


trained_by_scikit_learn = functools.cache(functools.partial(trained, theirs))


@pytest.mark.parametrize("case", list(covering(SINGLE_FACTORS, at_once=2)), ids=", ".join)
def test_float32(backend, case):
    _, target, weights = case
    need("sample weights", weights == "weighted")
    need("Poisson", target == "counts")
    for epochs, activation in ((2, "relu"), (EPOCHS, "tanh")):  # of 10 updates
        expected, their_outcome = trained_by_scikit_learn(case, epochs, activation)
        found, our_outcome = trained(ours, case, epochs, activation, backend=backend, n_threads=1)
        assert our_outcome == their_outcome
        assert all(array.dtype == np.float32 for array in found.coefs_ + found.intercepts_)
        if epochs == 2:
            assert distance(found.coefs_, expected.coefs_) <= SINGLE_TOLERANCE
            assert distance(found.intercepts_, expected.intercepts_) <= SINGLE_TOLERANCE
        for name, x in itertools.product(PREDICTIONS, (SINGLE, X)):
            if hasattr(expected, name):
                assert getattr(found, name)(x).dtype == getattr(expected, name)(x).dtype
        scores = [model.score(SINGLE, TARGETS[target], **given(weights)) for model in (expected, found)]
        assert scores[1] == pytest.approx(scores[0], abs=2 / N if target in CLASSIFIED else 1e-4)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("first, then", [(SINGLE, X), (X, SINGLE)])
def test_the_dtype_of_the_first_call_stays(backend, method, first, then):
    expected, found = both("outputs", backend, **FAST | {"warm_start": True, "max_iter": 2})
    for x in (first, then):
        ends = [outcome(getattr(model, method), x, TARGETS["outputs"]) for model in (expected, found)]
        assert ends[0] == ends[1]
    # scikit-learn's activations are float64 then, and weights are rounded after each update
    assert_equal(found, expected, SINGLE_TOLERANCE)


@pytest.mark.parametrize("target", ["multiclass", "outputs"])
def test_lbfgs_of_float32(backend, target):
    """Weights of float64, as in scikit-learn, which computes in float32 all the same."""
    expected, found = both(target, backend, solver="lbfgs", max_iter=20, random_state=7, alpha=1)
    ends = [outcome(model.fit, SINGLE, TARGETS[target]) for model in (expected, found)]
    assert ends[0] == ends[1]
    assert found.coefs_[0].dtype == expected.coefs_[0].dtype == np.float64
    assert found.loss_ == pytest.approx(expected.loss_, rel=2e-3)
