"""Successive partial fits: the set-up that is kept from call to call does not change the numbers."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
from parity.cases import LABELS, TARGETS, X

import fastmlp
from drop_in.sides import QUIET, assert_same, begin, copied, make
from fastmlp.estimators import fitting, online

pytestmark = [QUIET, pytest.mark.filterwarnings("ignore:Got `batch_size`")]

SOLVERS = {
    "adam": {},
    "adamw": {"solver": "adamw", "tol": 1.0, "n_iter_no_change": 2},
    "sgd": {"solver": "sgd", "learning_rate": "invscaling"},
    "adaptive": {"solver": "sgd", "momentum": 0.0, "learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 1},
    "own": {"solver": fastmlp.RMSprop(0.01), "max_norm": 0.1, "l1": 0.01, "activation": "gelu"},
}


@pytest.fixture
def counted(monkeypatch):
    """The number of epochs that used the kept set-up."""
    made = []

    def make_epoch(*arguments):
        made.append(online.make_epoch(*arguments))
        return made[-1]

    monkeypatch.setattr(fitting, "make_epoch", make_epoch)
    return made


def compare(monkeypatch, program):
    """Compare the results of a program with those of a run that keeps nothing, bit for bit."""
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "make_epoch", lambda *_arguments: False)
        expected = [copied(result) for result in program()]
    assert_same([copied(result) for result in program()], expected, 0)


def everything(model):
    """Public attributes, predictions, and private attributes that later training uses."""
    optimizer = vars(copy.copy(model)._optimizer)
    return model, {name: value for name, value in optimizer.items() if name not in ("rule", "params")}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("target", ["multiclass", "binary", "multilabel", "one output", "outputs"])
def test_the_same_numbers(monkeypatch, counted, cpu_backend, target, solver):
    y = TARGETS[target]

    def program():
        for dtype, random_state in ((np.float64, 0), (np.float32, np.random.RandomState(1))):
            parameters = {"backend": cpu_backend, "random_state": random_state, "batch_size": 8} | SOLVERS[solver]
            model = begin(make(fastmlp, target, **parameters), target)
            x = X.astype(dtype)
            for rows in (1, 1, 1, 20, 20, 20, 1, 7, 7):
                model.partial_fit(x[:rows], y[:rows])
            yield everything(model)

    compare(monkeypatch, program)
    assert sum(counted) == 10  # all but the first of some rows


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_loaded_model_goes_on_in_the_same_way(monkeypatch, counted, solver):
    def program():
        model = begin(make(fastmlp, "multiclass", **SOLVERS[solver]), "multiclass")
        for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), model):
            for row in range(3):
                again.partial_fit(X[row : row + 1], LABELS[row : row + 1])
            yield everything(again)

    compare(monkeypatch, program)
    assert sum(counted) == 6


def looked(model):
    return model._optimizer.learning_rate


def in_place(model):
    model.coefs_[0] *= 0.5


def assigned(model):
    model.coefs_[1] = model.coefs_[1] * 0.5


def momentum(model):
    model._optimizer.learning_rate_init *= 0.5


def settings(model):
    model.set_params(alpha=0.1, tol=1.0, shuffle=False)


def regularised(model):
    model.set_params(dropout=0.5)


def fitted_again(model):
    model.fit(X, LABELS)


def other_backend(model):
    model.set_params(backend="numpy" if model.backend == "numba" else "numba")


def one_more_epoch(model):
    model.partial_fit(X, LABELS)


def other_output(model):
    model.out_activation_ = "logistic"


def seeded(model):
    model.set_params(random_state=5)


def no_more_classes(model):
    with pytest.raises(ValueError, match="classes"):
        model.partial_fit(X[:9], LABELS[:9] + 7)


CHANGES = [
    *(looked, in_place, assigned, momentum, settings, regularised, fitted_again, other_backend, one_more_epoch),
    *(other_output, seeded, no_more_classes),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_seen(monkeypatch, counted, change):
    def program():
        model = begin(make(fastmlp, "multiclass", backend="numba"), "multiclass")
        for _ in range(3):
            model.partial_fit(X[:9], LABELS[:9])
        change(model)
        for _ in range(3):
            model.partial_fit(X[:9], LABELS[:9])
        yield everything(model)

    compare(monkeypatch, program)
    assert any(counted)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_samples_that_are_refused(counted, wrong):
    model = begin(make(fastmlp, "one output"), "one output")
    y = TARGETS["one output"][:3]
    for _ in range(3):
        model.partial_fit(X[:3], y)
    before = copied(everything(model))
    for x, given in (
        (np.where(X[:3] > 0, wrong, X[:3]), y),
        (X[:3], np.array([1, wrong, 2])),
        (X[:3, :4], y),
        (X[:3], y[:2]),
    ):
        with pytest.raises(ValueError, match=r"NaN|infinity|features|inconsistent"):
            model.partial_fit(x, given)
        assert_same(copied(everything(model)), before, 0)
    assert counted[2]


def test_divergence_leaves_the_last_weights(counted):
    model = begin(make(fastmlp, "one output", solver="sgd", momentum=0.0), "one output")
    y = TARGETS["one output"][:3]
    for _ in range(3):
        model.partial_fit(X[:3], y)
    before = [w.copy() for w in model.coefs_]
    with pytest.raises(ValueError, match=r"non-finite.*The model keeps"):
        model.partial_fit(1e200 * X[:3], y)
    assert counted[-1:] == [True] or len(counted) == 4
    assert_same(model.coefs_, before, 0)


def test_a_hook_put_in_later_is_called_or_refused():
    for where in ("object", "class"):

        class Model(fastmlp.MLPRegressor):
            pass

        model = Model(hidden_layer_sizes=(4,), random_state=0)
        for _ in range(3):
            model.partial_fit(X[:2], TARGETS["one output"][:2])
        (model if where == "object" else Model)._backprop = lambda *_: None
        with pytest.raises(TypeError, match="_backprop"):
            model.partial_fit(X[:2], TARGETS["one output"][:2])


def test_a_batch_that_is_clipped_is_said_every_time():
    model = begin(make(fastmlp, "one output"), "one output")
    for _ in range(3):
        with pytest.warns(UserWarning, match="Got `batch_size`"):
            model.partial_fit(X[:2], TARGETS["one output"][:2])


def test_estimators_are_not_kept_alive():
    model = begin(make(fastmlp, "one output"), "one output")
    for _ in range(3):
        model.partial_fit(X[:2], TARGETS["one output"][:2])
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
