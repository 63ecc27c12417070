"""Intended differences from scikit-learn."""

import pytest

import fastmlp as ours
from parity.cases import OUTPUTS, TARGETS, TOLERANCE, VALUES, X, both, distance, make, outcome


@pytest.mark.parametrize("target", ["multiclass", "outputs"])
def test_lbfgs_has_no_partial_fit(target):
    """scikit-learn's regressor has one, that runs all of L-BFGS."""
    model = make(ours, target, solver="lbfgs")
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'"):
        model.partial_fit(X, TARGETS[target])


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_another_number_of_outputs(method):
    """scikit-learn broadcasts the difference."""
    model = make(ours, "outputs", warm_start=True, max_iter=20, tol=10)
    getattr(model, method)(X, OUTPUTS)
    with pytest.raises(ValueError, match="y has 1 outputs, but MLPRegressor was fitted to 3"):
        getattr(model, method)(X, VALUES)
    assert model.n_outputs_ == 3


def test_negative_counts():
    """scikit-learn's loss is infinite there."""
    with pytest.raises(ValueError, match="y >= 0, but y has the value"):
        make(ours, "counts").fit(X, VALUES)


@pytest.mark.parametrize("rate", [1e9, 1e300])
def test_infinite_weights(backend, rate):
    """The same error as soon as it happens, after an explanation; scikit-learn goes on to the last epoch."""
    models = both("one output", backend, solver="sgd", learning_rate_init=rate, random_state=0)
    (_, expected), (warned, found) = (outcome(model.fit, X, VALUES) for model in models)
    assert (expected[0], found[0]) == ("ValueError", "ValueError")
    assert found[1].startswith(expected[1]) and "Training diverged in epoch" in found[1]
    assert not warned


def test_infinite_weights_with_early_stopping(backend):
    """The best weights come back."""
    expected, found = both(
        "one output", backend, solver="sgd", learning_rate_init=1e9, random_state=0, early_stopping=True
    )
    outcome(expected.fit, X, VALUES)
    warned, error = outcome(found.fit, X, VALUES)
    assert error is None
    assert [(kind, text[:17]) for kind, text in warned] == [("ConvergenceWarning", "Training diverged")]
    assert found.best_validation_score_ == pytest.approx(expected.best_validation_score_)
    assert distance(found.coefs_, expected.coefs_) <= TOLERANCE[backend]
