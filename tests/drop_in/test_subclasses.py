"""Subclasses with constructors of their own: each form is trained, cloned, pickled, given parameters, and converted."""

import copy
import pickle
import sys

import pytest
from parity.cases import TARGETS, WEIGHTS, X
from sklearn import neural_network
from sklearn.base import clone

import fastmlp
from drop_in.constructors import FORMS, importable
from drop_in.sides import QUIET, assert_same, base, begin, fitted, on_both_sides

pytestmark = [
    QUIET,
    pytest.mark.parametrize("name", FORMS),
    pytest.mark.parametrize("target", ["multiclass", "one output"]),
]


def construct(nn, name, target):
    define, given = FORMS[name]
    return define(base(nn, target))(**given)


def settings(model):
    """scikit-learn's parameters, whatever the constructor calls them."""
    names = (*neural_network.MLPClassifier._get_param_names(), "loss")
    return {name: getattr(model, name) for name in names if name != "random_state"}


@on_both_sides
def test_fit(nn, name, target):
    model = construct(nn, name, target)
    yield settings(model)
    yield model.fit(X, TARGETS[target])
    yield settings(model)
    yield model.score(X, TARGETS[target])


@on_both_sides
def test_partial_fit_after_changes(nn, name, target):
    model = begin(construct(nn, name, target), target)
    yield model
    model.alpha, model.batch_size = 0.1, 30
    yield model.partial_fit(X, TARGETS[target], sample_weight=WEIGHTS)


@on_both_sides
def test_parameters(nn, name, target):
    model = construct(nn, name, target)
    given = model.get_params()
    assert model.set_params(**given) is model
    again = clone(model)
    yield given, again.get_params(), repr(model)
    yield settings(model), settings(again)
    with pytest.raises(ValueError, match="Invalid parameter 'wrong'"):
        model.set_params(wrong=1)


@on_both_sides
def test_early_stopping_and_warm_start(nn, name, target):
    model = construct(nn, name, target)
    model.early_stopping = model.warm_start = True
    yield model.fit(X, TARGETS[target])
    yield model.fit(X, TARGETS[target])


@on_both_sides
def test_copies(nn, name, target):
    """They go on by themselves."""
    define, given = FORMS[name]
    model = begin(importable(sys.modules[__name__], define, base(nn, target))(**given), target)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(again) is type(model)
        yield again
        yield again.partial_fit(X, TARGETS[target])
    yield model


def test_to_scikit_learn(name, target):
    """The class is scikit-learn's own, with the parameters that the subclass has set; training goes on there."""
    theirs = begin(construct(neural_network, name, target), target)
    converted = begin(construct(fastmlp, name, target), target).to_sklearn()
    assert type(converted) is base(neural_network, target)
    assert_same(settings(converted), settings(theirs))
    assert_same(fitted(converted), fitted(theirs))
    y = TARGETS[target]
    assert_same(fitted(converted.partial_fit(X, y)), fitted(theirs.partial_fit(X, y)))
