"""Dropout, activations by layer and initial weights."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from estimator_features.cases import LABELS, OUTPUTS, TARGETS, N, X, assert_same, differs, make
from fastmlp import SGD
from fastmlp.activations import ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")


def test_dropout(backend):
    plain = make(LABELS, backend=backend).fit(X, LABELS)
    dropped = make(LABELS, backend=backend, dropout=0.5).fit(X, LABELS)
    assert differs(dropped, plain)
    assert_same(dropped, make(LABELS, backend=backend, dropout=[0.5, 0.5]).fit(X, LABELS), 0)
    assert_same(plain, make(LABELS, backend=backend, dropout=[0, 0]).fit(X, LABELS), 0)
    assert_array_equal(dropped.predict_proba(X), dropped.predict_proba(X))  # none in prediction
    first = make(LABELS, backend=backend, dropout=[0.5, 0]).fit(X, LABELS)
    assert differs(first, make(LABELS, backend=backend, dropout=[0, 0.5]).fit(X, LABELS))


def test_a_list_of_activations(backend):
    one = make(LABELS, backend=backend, activation="tanh").fit(X, LABELS)
    assert_same(make(LABELS, backend=backend, activation=["tanh", "tanh"]).fit(X, LABELS), one, 0)
    assert_same(make(LABELS, backend=backend, activation=("tanh", "tanh")).fit(X, LABELS), one, 0)
    mixed = make(LABELS, backend=backend, activation=["tanh", "relu"]).fit(X, LABELS)
    h = np.tanh(X @ mixed.coefs_[0] + mixed.intercepts_[0])
    assert_allclose(mixed.hidden_activations(X, 0), h, rtol=1e-10, atol=1e-12)
    last = np.maximum(h @ mixed.coefs_[1] + mixed.intercepts_[1], 0)
    assert_allclose(mixed.hidden_activations(X), last, rtol=1e-10, atol=1e-12)
    assert_array_equal(mixed.hidden_activations(X, 1), mixed.hidden_activations(X, -1))


# the threshold trains by the perceptron rule, which is no derivative
@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "threshold"])
@pytest.mark.parametrize("target", ["multiclass", "outputs"])
def test_the_gradient_of_each_activation(name, target):
    """One step of plain SGD on all samples against central differences of the loss."""
    y, rate, h = TARGETS[target], 1e-3, 1e-5

    def step(**parameters):
        options = {"solver": SGD(rate), "activation": name, "alpha": 0.1, "l1": 0.01, "max_iter": 1, "batch_size": N}
        return make(y, backend="numpy", **options | parameters).fit(X, y)

    before = step(solver=SGD(1e-300)).coefs_
    gradient = (before[0] - step().coefs_[0]) / rate

    def loss(w):
        return step(coefs_init=[w, *before[1:]]).loss_  # of the one batch, so of the weights before the update

    for at in [(0, 0), (3, 5)]:
        w = np.zeros_like(before[0])
        w[at] = h
        expected = (loss(before[0] + w) - loss(before[0] - w)) / (2 * h)
        # squared error: its value is a mean over the outputs, its gradient a sum
        data = y.shape[1] if y.ndim == 2 else 1
        penalty = (0.1 * before[0][at] + 0.01 * np.sign(before[0][at])) / N
        assert gradient[at] - penalty == pytest.approx(data * (expected - penalty), rel=1e-5, abs=1e-8)


def test_initial_weights(backend):
    shapes = [(6, 8), (8, 7), (7, 3)]
    random = np.random.RandomState(5)
    coefs = [random.standard_normal(shape) for shape in shapes]
    intercepts = [random.standard_normal(shape[1]) for shape in shapes]
    copies = [w.copy() for w in coefs]
    still = make(OUTPUTS, backend=backend, solver=SGD(1e-300), coefs_init=coefs, intercepts_init=intercepts)
    still.fit(X, OUTPUTS)
    for found, given in zip(still.coefs_ + still.intercepts_, coefs + intercepts, strict=True):
        assert_array_equal(found, given)
    moving = make(OUTPUTS, backend=backend, coefs_init=coefs).fit(X, OUTPUTS)
    for given, kept in zip(coefs, copies, strict=True):
        assert_array_equal(given, kept)
    # the draws are made all the same, so that the batches are those of the seed
    drawn = make(OUTPUTS, backend=backend, solver=SGD(1e-300)).fit(X, OUTPUTS)
    again = make(OUTPUTS, backend=backend, coefs_init=drawn.coefs_, intercepts_init=drawn.intercepts_)
    assert_same(again.fit(X, OUTPUTS), make(OUTPUTS, backend=backend).fit(X, OUTPUTS), 1e-12)
    assert differs(moving, again)
