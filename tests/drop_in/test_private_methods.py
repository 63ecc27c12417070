"""Private methods that users call on fitted models: scikit-learn's arguments, shapes and numbers."""

from itertools import pairwise

import numpy as np
import pytest
from parity.cases import LABELS, OUTPUTS, TARGETS, VALUES, WEIGHTS, N, X
from scipy import sparse
from scipy.optimize import check_grad, minimize
from sklearn.metrics import mean_absolute_error

import fastmlp
from drop_in.sides import QUIET, SMALL, base, make, on_both_sides

pytestmark = QUIET
SOLVERS = ("sgd", "adam", "lbfgs")


def encoded(model, y):
    """y as the network is trained on it: (N, O)."""
    y = model._validate_input(X, y, False, reset=False)[1]
    return y.reshape(N, -1)


def buffers(model, x, dtype=np.float64):
    """Lists for activations, deltas and gradients, as in a fit of scikit-learn."""
    sizes = [x.shape[1], *(w.shape[1] for w in model.coefs_)]
    activations, deltas = [x, *[None] * len(model.coefs_)], [None] * len(model.coefs_)
    weights, biases = [np.empty(shape, dtype) for shape in pairwise(sizes)], [np.empty(n, dtype) for n in sizes[1:]]
    return activations, deltas, weights, biases


@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel", "one output", "outputs", "counts"])
@pytest.mark.parametrize("solver", SOLVERS)
@on_both_sides
def test_gradients(nn, solver, target):
    model = make(nn, target, solver=solver, alpha=0.1).fit(X, TARGETS[target])
    y = encoded(model, TARGETS[target])
    for weights in (None, WEIGHTS):
        activations, deltas, coef_grads, intercept_grads = buffers(model, X)
        loss, *gradients = model._backprop(X, y, weights, activations, deltas, coef_grads, intercept_grads)
        yield loss, gradients, activations, deltas
        assert gradients[0] is coef_grads and gradients[1] is intercept_grads


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@on_both_sides
def test_values_of_all_layers(nn, activation):
    """The list that is given is filled, whatever is in it."""
    model = make(nn, "multiclass", activation=activation).fit(X, LABELS)
    given = [X] + [np.empty((N, units)) for units in (6, 5, 3)]
    returned = model._forward_pass(given)
    assert returned is given and given[0] is X
    return given


@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel", "one output", "outputs", "counts"])
@pytest.mark.parametrize("solver", SOLVERS)
@on_both_sides
def test_outputs(nn, solver, target):
    """Two columns or one, whatever the predictions are."""
    model = make(nn, target, solver=solver).fit(X, TARGETS[target])
    yield model._forward_pass_fast(X), model._forward_pass_fast(X[:1].tolist())
    yield model._forward_pass_fast(X, check_input=False), model._forward_pass_fast(X[::2, :], False)
    yield model._predict(X), model._predict(X, check_input=False)
    yield model._score(X, TARGETS[target]), model._score(X, TARGETS[target], sample_weight=WEIGHTS)


@on_both_sides
def test_score_by_a_function(nn):
    model = make(nn, "outputs").fit(X, OUTPUTS)
    return [model._score_with_function(X, OUTPUTS, sample_weight=WEIGHTS, score_function=mean_absolute_error)]


@on_both_sides
def test_score_of_predictions_that_are_not_finite(nn):
    model = make(nn, "one output").fit(X, VALUES)
    model.intercepts_[-1][...] = np.inf
    return [model._score(X, VALUES)]


@pytest.mark.parametrize("format", [sparse.csr_matrix, sparse.csc_array])
@on_both_sides
def test_sparse_samples(nn, format):
    model = make(nn, "multiclass").fit(X, LABELS)
    x, y = format(X), encoded(model, LABELS)
    yield model._forward_pass_fast(x), model._forward_pass_fast(x, check_input=False)
    yield model._forward_pass(buffers(model, x)[0])[1:]
    yield model._backprop(x, y, None, *buffers(model, x))


@pytest.mark.parametrize("target", ["multiclass", "outputs"])
@on_both_sides(tolerance=1e-5)
def test_single_precision(nn, target):
    """Weights are given, so that only the digits of one pass are compared."""
    x, random = X.astype(np.float32), np.random.RandomState(0)
    y = TARGETS[target] if target == "multiclass" else OUTPUTS.astype(np.float32)
    model = make(nn, target).fit(x, y)
    model.coefs_ = [random.uniform(-0.5, 0.5, w.shape).astype(np.float32) for w in model.coefs_]
    model.intercepts_ = [random.uniform(-0.5, 0.5, b.shape).astype(np.float32) for b in model.intercepts_]
    yield model._forward_pass(buffers(model, x)[0])
    yield model._forward_pass_fast(x), model._forward_pass_fast(X)
    yield model._backprop(x, encoded(model, y), None, *buffers(model, x, np.float32))


@on_both_sides
def test_gradient_of_one_layer(nn):
    """Of deltas of one's own: advantages of a policy that is learned."""
    model = make(nn, "multiclass", alpha=0.5).fit(X, LABELS)
    activations, deltas, coef_grads, intercept_grads = buffers(model, X)
    model._forward_pass(activations)
    deltas[2] = (activations[3] - np.eye(3)[LABELS]) * WEIGHTS[:, None]
    assert model._compute_loss_grad(2, WEIGHTS.sum(), activations, deltas, coef_grads, intercept_grads) is None
    return coef_grads[2], intercept_grads[2]


@pytest.mark.parametrize("target", ["multiclass", "outputs"])
@on_both_sides
def test_vector_of_all_parameters(nn, target):
    model = make(nn, target, solver="lbfgs").fit(X, TARGETS[target])
    yield model._coef_indptr, model._intercept_indptr
    packed = np.hstack([array.ravel() for array in model.coefs_ + model.intercepts_])
    layers, weights = model.coefs_, model.coefs_[0].copy()
    model._unpack(0.5 * packed)
    assert model.coefs_ is layers
    yield model.coefs_, model.intercepts_, model._forward_pass_fast(X), weights
    model._unpack(packed)
    packed *= 2  # the layers are views of it
    yield model.coefs_, model.predict(X)


@pytest.mark.parametrize("solver", SOLVERS)
@on_both_sides
def test_what_only_lbfgs_leaves(nn, solver):
    model = make(nn, "multiclass", solver=solver).fit(X, LABELS)
    return [hasattr(model, name) for name in ("_coef_indptr", "_intercept_indptr", "_optimizer")]


@pytest.mark.parametrize("target", ["binary", "outputs"])
@on_both_sides
def test_loss_as_a_function_of_a_vector(nn, target):
    """And with SciPy's optimizers, by hand."""
    model = make(nn, target, solver="lbfgs", activation="tanh", alpha=0.1).fit(X, TARGETS[target])
    start = 0.9 * np.hstack([array.ravel() for array in model.coefs_ + model.intercepts_])
    arguments = (X, encoded(model, TARGETS[target]), None, *buffers(model, X))
    yield model._loss_grad_lbfgs(start, *arguments)
    found = minimize(model._loss_grad_lbfgs, start, args=arguments, jac=True, method="L-BFGS-B", options={"maxiter": 4})
    model._unpack(found.x)
    yield found.fun, model.coefs_, model.predict(X)


@on_both_sides
def test_gradient_checked_against_differences(nn):
    model = make(nn, "multiclass", solver="lbfgs", activation="tanh").fit(X, LABELS)
    arguments = (X, encoded(model, LABELS), None, *buffers(model, X))
    point = np.hstack([array.ravel() for array in model.coefs_ + model.intercepts_])
    loss, gradient = (lambda at, part=part: model._loss_grad_lbfgs(at, *arguments)[part] for part in (0, 1))
    assert check_grad(loss, gradient, point) < 1e-4
    return loss(point), gradient(point)


@on_both_sides
def test_initial_weights_drawn_by_hand(nn):
    for activation in ("relu", "logistic"):
        model = base(nn, "outputs")(**SMALL | {"activation": activation})
        model._random_state = np.random.RandomState(5)
        yield model._init_coef(4, 3, np.float64), model._init_coef(3, 2, dtype=np.float32)
        model.fit(X, OUTPUTS)
        yield model._init_coef(2, 2, np.float64)  # after the draws of the fit


@pytest.mark.parametrize("early_stopping", [False, True])
@on_both_sides
def test_what_a_fit_leaves_besides(nn, early_stopping):
    """The best weights with early stopping, and counters of the next warm start."""
    model = make(nn, "multiclass", early_stopping=early_stopping).fit(X, LABELS)
    if early_stopping:
        yield model._best_coefs, model._best_intercepts
        yield model._best_coefs is model.coefs_
    yield model._no_improvement_count, model._random_state.randint(1000)
    yield model._label_binarizer.classes_, model._label_binarizer.y_type_


OURS_ALONE = [
    ("multiclass", {"activation": "gelu"}),
    ("multiclass", {"activation": ["relu", "tanh"]}),
    ("multiclass", {"dropout": 0.5}),
    ("outputs", {"l1": 0.1}),
    ("outputs", {"loss": "huber"}),
    ("outputs", {"loss": "absolute_error"}),
]


@pytest.mark.parametrize("target, parameters", OURS_ALONE, ids=str)
def test_what_scikit_learn_does_not_have(target, parameters):
    """No gradient by scikit-learn's formula, but outputs."""
    model = make(fastmlp, target, **parameters).fit(X, TARGETS[target])
    outputs = model.predict_proba(X) if target == "multiclass" else model.predict(X)
    np.testing.assert_allclose(model._forward_pass_fast(X), outputs, rtol=1e-12)
    np.testing.assert_allclose(model._forward_pass_fast(X, check_input=False), outputs, rtol=1e-12)
    before = [w.copy() for w in model.coefs_]
    with pytest.raises(ValueError, match=next(iter(parameters))):
        model._backprop(X, encoded(model, TARGETS[target]), None, *buffers(model, X))
    np.testing.assert_array_equal(model.coefs_[0], before[0])
