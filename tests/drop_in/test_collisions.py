"""Names that a user's subclass also uses, and models that are used elsewhere while they are trained."""

import threading

import numpy as np
import pytest
from parity.cases import LABELS, TARGETS, VALUES, X
from scipy.sparse import csr_matrix

import fastmlp
from drop_in.sides import QUIET, SMALL, assert_same, base, begin, make, on_both_sides
from fastmlp.estimators.base import BaseMLP

pytestmark = QUIET


@on_both_sides
def test_methods_and_attributes_of_common_names(nn):
    class Autoencoder(nn.MLPRegressor):
        _defaults = ("any", 1)

        def _encode(self, X):
            return X @ self.coefs_[0]

        def _decoded(self, X):
            return X

        def fit(self, X, y):
            self._loss = []
            return super().fit(X, y)

    model = Autoencoder(**SMALL).fit(X, X[:, :3])
    return model, model._encode(X)


def test_our_own_methods_have_names_that_nobody_else_takes():
    """Or scikit-learn's."""
    theirs = dir(base(__import__("sklearn.neural_network").neural_network, "multiclass"))
    callbacks = [name for cls in BaseMLP.__mro__ if cls.__module__.startswith("sklearn") for name in vars(cls)]
    for cls in (fastmlp.MLPClassifier, fastmlp.MLPRegressor):
        private = {name for name in dir(cls) if name.startswith("_") and not name.startswith(("__", "_fastmlp_"))}
        assert private - {*theirs, *callbacks} <= {"_abc_impl", "_optimizer", "_random_state"}


@pytest.mark.parametrize("name", ["dropout", "l1", "backend"])
def test_a_class_attribute_with_the_name_of_a_parameter_is_refused(name):
    model = type("Model", (fastmlp.MLPRegressor,), {name: 0.5})(**SMALL)
    with pytest.raises(TypeError, match=f"Model has a class attribute '{name}'"):
        model.fit(X, VALUES)


@on_both_sides
def test_a_hook_that_changes_samples_is_called_each_time(nn):
    class Model(nn.MLPRegressor):
        def _validate_input(self, X, y, incremental, reset):
            X, y = super()._validate_input(X, y, incremental, reset)
            return 2 * X, y + 1

    model = Model(**SMALL | {"batch_size": "auto"})
    for _ in range(5):
        model.partial_fit(X[:2], VALUES[:2])
    return model


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_targets_of_another_width_are_refused_each_time(backend):
    for one, other in ((VALUES, TARGETS["outputs"]), (TARGETS["outputs"], VALUES)):
        model = fastmlp.MLPRegressor(hidden_layer_sizes=(4,), backend=backend, random_state=0)
        for _ in range(4):
            model.partial_fit(X[:3], one[:3])
        with pytest.raises(ValueError, match="outputs"):
            model.partial_fit(X[:3], other[:3])


@on_both_sides
def test_numbers_of_classes_for_a_model_of_several_labels(nn):
    model = begin(make(nn, "multilabel", batch_size="auto"), "multilabel")
    for _ in range(4):
        model.partial_fit(X[:9], LABELS[:9])
    return model.coefs_, model.loss_curve_


@on_both_sides
def test_draws_from_the_generator_between_calls(nn):
    """Later calls do not affect the user's generator."""
    model = make(nn, "one output", batch_size="auto").partial_fit(X[:9], VALUES[:9])
    random, drawn = model._random_state, []
    for _ in range(4):
        drawn.append(random.randint(1000))
        model.partial_fit(X[:9], VALUES[:9])
    return drawn, model._random_state.randint(1000), model


@on_both_sides
def test_a_global_generator_that_is_replaced(nn):
    np.random.seed(3)  # noqa: NPY002  # as old programs do
    model = make(nn, "one output", random_state=None, batch_size=4)
    for _ in range(3):
        model.partial_fit(X[:9], VALUES[:9])
    before = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(np.random.MT19937(7))
        for _ in range(3):
            model.partial_fit(X[:9], VALUES[:9])
        return model, np.random.rand()  # noqa: NPY002
    finally:
        np.random.set_bit_generator(before)


@on_both_sides
def test_weights_thrown_away(nn):
    """The next partial fit draws new weights and continues with the optimizer."""
    model = begin(make(nn, "one output"), "one output")
    del model.coefs_
    return model.partial_fit(X, VALUES), model._optimizer.t


@on_both_sides
def test_sparse_weights_predict(nn):
    model = begin(make(nn, "multiclass"), "multiclass")
    model.coefs_ = [csr_matrix(np.where(np.abs(w) > 0.2, w, 0)) for w in model.coefs_]
    return model.predict_proba(X), model.predict(X)


def test_predictions_while_assigned_weights_are_trained():
    def trained(watch):
        model = make(fastmlp, "one output", warm_start=True, max_iter=60).fit(X, VALUES)
        model.coefs_, model.intercepts_ = [w.copy() for w in model.coefs_], [b.copy() for b in model.intercepts_]
        thread = threading.Thread(target=model.fit, args=(X, VALUES))
        thread.start()
        while watch and thread.is_alive():
            model.predict(X[:3])
        thread.join()
        return model.coefs_

    assert_same(trained(True), trained(False), 0)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_weights_that_a_callback_assigns_are_trained(early_stopping):
    def run(edit):
        def callback(epoch):
            if epoch.number == 2:
                edit(epoch.model)

        return make(fastmlp, "one output", callbacks=[callback], max_iter=5, early_stopping=early_stopping).fit(
            X, VALUES
        )

    def assign(model):
        model.coefs_ = [0.5 * w for w in model.coefs_]
        model.intercepts_[0] = np.zeros(len(model.intercepts_[0]))

    def in_place(model):
        for w in model.coefs_:
            w *= 0.5
        model.intercepts_[0][...] = 0

    assert_same(run(assign).coefs_, run(in_place).coefs_, 0)

    def other_sizes(model):
        model.coefs_[0], model.coefs_[1] = np.ones((X.shape[1], 9)), np.ones((9, 5))
        model.intercepts_[0] = np.zeros(9)

    with pytest.raises(ValueError, match="callback has set"):
        run(other_sizes)


def test_a_loss_set_on_a_classifier_is_refused():
    model = make(fastmlp, "multiclass")
    model.loss = "squared_error"
    with pytest.raises(ValueError, match="log_loss"):
        model.fit(X, LABELS)


def test_arrays_of_a_hook_are_not_overwritten_by_given_weights():
    constant = {"coefs": np.full((X.shape[1], 4), 0.1), "biases": np.zeros(4)}

    class Model(fastmlp.MLPRegressor):
        def _init_coef(self, fan_in, fan_out, dtype):
            return (
                (constant["coefs"], constant["biases"]) if fan_out == 4 else super()._init_coef(fan_in, fan_out, dtype)
            )

    first = [np.full((X.shape[1], 4), 0.2), np.full((4, 1), 0.3)]
    model = Model(hidden_layer_sizes=(4,), coefs_init=first, max_iter=1, random_state=0).fit(X, VALUES)
    assert (constant["coefs"] == 0.1).all() and (first[0] == 0.2).all()
    assert not np.shares_memory(model.coefs_[0], first[0])
