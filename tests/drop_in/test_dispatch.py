"""Code that depends on the type of a model: isinstance, dispatch, and scikit-learn's modules with our classes."""

from functools import singledispatch

import numpy as np
import pytest
from estimator_cases import KINDS, LABELS, X, Y, assert_same_answers, assert_same_state, fitted, ours, theirs
from sklearn import neural_network
from sklearn.base import BaseEstimator
from sklearn.neural_network import _multilayer_perceptron
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

BASE = _multilayer_perceptron.BaseMultilayerPerceptron


class Perceptron(MLPClassifier):
    """A class of the user's."""


def test_our_estimators_are_instances_of_scikit_learns_classes():
    for classifier in (MLPClassifier(), Perceptron(), fitted()):
        assert isinstance(classifier, neural_network.MLPClassifier)
        assert isinstance(classifier, BASE)
        assert not isinstance(classifier, neural_network.MLPRegressor)
    assert isinstance(MLPRegressor(), neural_network.MLPRegressor)
    assert isinstance(MLPRegressor(), BASE)
    assert not isinstance(MLPRegressor(), neural_network.MLPClassifier)
    assert not isinstance(StandardScaler(), BASE)
    assert not isinstance(theirs("multiclass"), MLPClassifier)


def test_a_function_of_the_type_takes_ours_for_scikit_learns():
    @singledispatch
    def kind(model):
        return "other"

    kind.register(BaseEstimator, lambda model: "estimator")
    kind.register(BASE, lambda model: "perceptron")
    kind.register(neural_network.MLPClassifier, lambda model: "classifier")
    assert [kind(step) for step in make_pipeline(StandardScaler(), fitted())] == ["estimator", "classifier"]
    assert kind(Perceptron()) == "classifier"
    assert kind(MLPRegressor()) == "perceptron"
    kind.register(MLPRegressor, lambda model: "ours")
    assert (kind(MLPRegressor()), kind(theirs("regression"))) == ("ours", "perceptron")


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_conversion_where_scikit_learn_is_patched_with_our_classes(kind, monkeypatch):
    original = theirs(kind).fit(X, Y[kind])
    for module in (neural_network, _multilayer_perceptron):
        monkeypatch.setattr(module, "MLPClassifier", MLPClassifier)
        monkeypatch.setattr(module, "MLPRegressor", MLPRegressor)
    mine = ours(kind).fit(X, Y[kind])
    assert type(mine.to_sklearn()) is type(original)
    assert_same_answers(mine, mine.to_sklearn())
    assert_same_answers(type(mine).from_sklearn(original), original)


@pytest.mark.parametrize("kind", KINDS)
def test_from_sklearn_copies_an_estimator_of_ours(kind):
    mine = ours(kind, activation="gelu").fit(X, Y[kind])
    mine.partial_fit(X, Y[kind])
    copy = type(mine).from_sklearn(mine)
    for estimator in (mine, copy):
        estimator.partial_fit(X, Y[kind])
    assert_same_answers(mine, copy, 0)
    assert_same_state(copy.loss_curve_, mine.loss_curve_)
    assert copy.coefs_ is not mine.coefs_
    assert not np.shares_memory(copy.coefs_[0], mine.coefs_[0])


def test_from_sklearn_copies_an_estimator_of_ours_with_other_parameters():
    copy = MLPClassifier.from_sklearn(fitted(solver="rmsprop", dropout=0.1), alpha=0.5, backend="numpy")
    assert (copy.solver, copy.dropout, copy.alpha, copy.backend) == ("rmsprop", 0.1, 0.5, "numpy")
    np.testing.assert_array_equal(copy.predict(X), fitted(solver="rmsprop", dropout=0.1).predict(X))
    with pytest.raises(TypeError, match="takes a sklearn MLPRegressor"):
        MLPRegressor.from_sklearn(copy)
    assert not hasattr(MLPClassifier.from_sklearn(MLPClassifier()), "coefs_")
    assert set(LABELS) == set(copy.classes_)


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_code_that_writes_models_finds_the_attributes_of_scikit_learns_constructor(kind):
    mine, its = vars(ours(kind)), vars(theirs(kind))
    assert {name: mine[name] for name in its} == its
