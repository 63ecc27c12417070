"""Private methods by which users initialise weights and train: fits call those of a subclass, as in scikit-learn."""

from itertools import pairwise

import numpy as np
import pytest
from parity.cases import LABELS, OUTPUTS, TARGETS, VALUES, WEIGHTS, X

from drop_in.overriding import in_every_way, overridden
from drop_in.sides import QUIET, SMALL, base, begin, on_both_sides, same_or_refused

pytestmark = QUIET


@in_every_way
@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel", "outputs"])
@on_both_sides
def test_initial_weights(nn, way, target, monkeypatch):
    calls = []

    def constant(original):
        def _init_coef(self, fan_in, fan_out, dtype):
            calls.append((fan_in, fan_out, np.dtype(dtype).name))
            return np.full((fan_in, fan_out), 0.1 / len(calls), dtype), np.zeros(fan_out, dtype)

        return _init_coef

    with monkeypatch.context() as patch:
        construct = overridden(way, base(nn, target), "_init_coef", constant, patch)
        model = construct(**SMALL)
        yield model.fit(X, TARGETS[target]), list(calls)
        yield model.fit(X, TARGETS[target]), list(calls)
        yield model.partial_fit(X, TARGETS[target]), list(calls)
        yield begin(construct(**SMALL), target), list(calls)


@pytest.mark.parametrize(
    "parameters",
    [{"solver": "lbfgs"}, {"solver": "sgd", "early_stopping": True}, {"warm_start": True, "activation": "logistic"}],
    ids=str,
)
@on_both_sides
def test_initial_weights_of_draws(nn, parameters):
    """Batches are drawn after the weights, from the same generator."""

    class Normal(nn.MLPClassifier):
        def _init_coef(self, fan_in, fan_out, dtype):
            weights, biases = super()._init_coef(fan_in, fan_out, dtype)
            return weights + self._random_state.normal(scale=0.1, size=weights.shape).astype(dtype), 0 * biases

    model = Normal(**SMALL | parameters)
    yield model.fit(X, LABELS)
    yield model.fit(X, LABELS)


@on_both_sides(tolerance=1e-5)
def test_initial_weights_in_double_precision(nn):
    """A user's method may ignore the dtype, for samples in single precision."""

    class Model(nn.MLPRegressor):
        def _init_coef(self, fan_in, fan_out, dtype):
            return np.full((fan_in, fan_out), 0.1), np.zeros(fan_out)

    return Model(**SMALL).fit(X.astype(np.float32), VALUES.astype(np.float32)).coefs_


@on_both_sides
def test_initial_weights_by_the_signature_of_old(nn):
    class Model(nn.MLPRegressor):
        def _init_coef(self, fan_in, fan_out):
            return np.zeros((fan_in, fan_out)), np.zeros(fan_out)

    with pytest.raises(TypeError, match="positional arguments") as error:
        Model(**SMALL).fit(X, VALUES)
    return str(error.value).partition(".")[2]


@in_every_way
@pytest.mark.parametrize("target", ["binary", "multiclass", "one output"])
@on_both_sides
def test_initial_state(nn, way, target, monkeypatch):
    """A last layer of zeros, in place of arrays that the original has put there."""

    def zero(original):
        def _initialize(self, y, layer_units, dtype):
            original(self, y, layer_units, dtype)
            self.coefs_[-1] = np.zeros(layer_units[-2:], dtype)
            self.intercepts_[-1][...] = 0
            self.given = np.asarray(y, float), list(layer_units), np.dtype(dtype).name

        return _initialize

    with monkeypatch.context() as patch:
        model = overridden(way, base(nn, target), "_initialize", zero, patch)(**SMALL)
        yield model.fit(X, TARGETS[target]), model.given
        yield model.partial_fit(X, TARGETS[target])
        yield model.set_params(solver="lbfgs").fit(X, TARGETS[target])


@pytest.mark.parametrize("target", ["multiclass", "outputs"])
@on_both_sides
def test_initial_state_without_the_original(nn, target):
    class Model(base(nn, target)):
        def _initialize(self, y, layer_units, dtype):
            self.n_iter_ = self.t_ = 0
            self.n_outputs_, self.n_layers_ = y.shape[1], len(layer_units)
            self.out_activation_ = "softmax" if target == "multiclass" else "identity"
            self.coefs_ = [self._random_state.normal(scale=0.3, size=s).astype(dtype) for s in pairwise(layer_units)]
            self.intercepts_ = [np.zeros(units, dtype) for units in layer_units[1:]]
            self.loss_curve_, self._no_improvement_count, self.best_loss_ = [], 0, np.inf
            self.validation_scores_ = self.best_validation_score_ = None

    model = Model(**SMALL)
    yield model.fit(X, TARGETS[target])
    yield model.partial_fit(X, TARGETS[target], sample_weight=WEIGHTS)


@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu", "softmax"])
def test_output_activation_of_its_own(activation):
    """scikit-learn's gradient is that of other losses then."""

    def program(nn):
        class Model(nn.MLPRegressor):
            def _initialize(self, y, layer_units, dtype):
                super()._initialize(y, layer_units, dtype)
                self.out_activation_ = activation

        return Model(**SMALL).fit(X, OUTPUTS)

    same_or_refused(program, "out_activation_")


@on_both_sides
def test_initial_state_by_hand(nn):
    """Weights are initialised without a step, and training continues with them."""
    for target, y in (("multiclass", LABELS), ("outputs", OUTPUTS)):
        model = base(nn, target)(**SMALL)
        encoded = model._validate_input(X, y, False, reset=True)[1]
        model._random_state = np.random.RandomState(3)
        model._initialize(encoded, [X.shape[1], 6, 5, 3], X.dtype)
        model.n_outputs_ = 3
        yield model.coefs_, model.intercepts_, model.predict(X), model.n_layers_, model.out_activation_
        yield model.partial_fit(X, y)


@on_both_sides
def test_fit_of_its_own(nn):
    """`fit` and `partial_fit` call `_fit` with the same arguments as scikit-learn's."""

    class Model(nn.MLPClassifier):
        def _fit(self, X, y, sample_weight=None, incremental=False):
            weighted = sample_weight is not None
            self.calls = [*getattr(self, "calls", []), (X.shape, y.shape, weighted, incremental)]
            return super()._fit(2 * X, y, sample_weight=sample_weight, incremental=incremental)

    model = Model(**SMALL)
    yield model.fit(X, LABELS)
    yield model.fit(X, LABELS, sample_weight=WEIGHTS)
    yield model.partial_fit(X, LABELS, sample_weight=WEIGHTS)
    yield model.calls


@pytest.mark.parametrize("target", ["strings", "one output"])
@on_both_sides
def test_fit_called_by_hand(nn, target):
    y = TARGETS[target]
    model = base(nn, target)(**SMALL)
    yield model._fit(X, y)
    yield model._fit(X, y, sample_weight=WEIGHTS, incremental=True)
    yield model._fit(X, y, incremental=False)


@on_both_sides
def test_fit_by_the_signature_of_old(nn):
    class Model(nn.MLPRegressor):
        def _fit(self, X, y, incremental=False):
            return super()._fit(X, y, incremental=incremental)

    with pytest.raises(TypeError, match="unexpected keyword argument 'sample_weight'"):
        Model(**SMALL).fit(X, VALUES)
    return Model(**SMALL)._fit(X, VALUES)


@on_both_sides
def test_training_of_its_own(nn):
    """A subclass with a loop of its own, in which it calls what no fit of fastmlp's calls, overridden or not."""

    class Model(nn.MLPRegressor):
        def _backprop(self, *given):
            loss, coef_grads, intercept_grads = super()._backprop(*given)
            return loss, [np.clip(gradient, -0.1, 0.1) for gradient in coef_grads], intercept_grads

        def fit(self, X, y):
            X, y = self._validate_input(X, y, False, reset=True)
            self._random_state = np.random.RandomState(self.random_state)
            layers = [X.shape[1], *self.hidden_layer_sizes, 1]
            self._initialize(y[:, None], layers, X.dtype)
            self.losses = []
            for _ in range(self.max_iter):
                given = [X, *[None] * len(layers[1:])], [None] * 3, [None] * 3, [None] * 3
                loss, coef_grads, intercept_grads = self._backprop(X, y[:, None], None, *given)
                for parameter, gradient in zip(
                    self.coefs_ + self.intercepts_, coef_grads + intercept_grads, strict=True
                ):
                    parameter -= 0.1 * gradient
                self.losses.append(loss)
            return self

    model = Model(**SMALL).fit(X, VALUES)
    return model.losses, model.coefs_, model.intercepts_, model.predict(X), model.score(X, VALUES)
