"""Training loops that users write out of private methods: `_forward_pass`, `_backprop`, `_optimizer.update_params`."""

import numpy as np
import pytest
from parity.cases import LABELS, OUTPUTS, TARGETS, VALUES, N, X
from sklearn.neural_network._base import ACTIVATIONS, DERIVATIVES, LOSS_FUNCTIONS
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer
from sklearn.utils import gen_batches

from drop_in.sides import QUIET, begin, make, on_both_sides
from drop_in.test_private_methods import buffers, encoded

pytestmark = QUIET


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("target", ["binary", "multiclass", "outputs"])
@on_both_sides
def test_steps_by_hand_between_partial_fits(nn, solver, target):
    """The optimizer's steps are counted together, whoever makes them."""
    model = begin(make(nn, target, solver=solver), target)
    y = encoded(model, TARGETS[target])
    for batch in gen_batches(N, 64):
        lists = buffers(model, X[batch])
        _, coef_grads, intercept_grads = model._backprop(X[batch], y[batch], None, *lists)
        model._optimizer.update_params(model.coefs_ + model.intercepts_, coef_grads + intercept_grads)
    yield model, getattr(model._optimizer, "t", None), model._optimizer.learning_rate
    yield model.partial_fit(X, TARGETS[target])
    model._optimizer.iteration_ends(model.t_)
    yield model.partial_fit(X, TARGETS[target])


@on_both_sides
def test_an_optimizer_of_the_users(nn):
    """scikit-learn's, on the arrays of the model, over epochs with batches of the user's."""
    model = make(nn, "multiclass").fit(X, LABELS)
    y, random = encoded(model, LABELS), np.random.RandomState(0)
    parameters = model.coefs_ + model.intercepts_
    optimizer = AdamOptimizer(parameters, learning_rate_init=0.05)
    lists = buffers(model, X)
    for _ in range(4):
        rows = random.permutation(N)[:90]
        lists[0][0] = X[rows]
        _, coef_grads, intercept_grads = model._backprop(X[rows], y[rows], None, *lists)
        optimizer.update_params(parameters, coef_grads + intercept_grads)
        yield model.predict_proba(X), model.score(X, LABELS)
    yield model.partial_fit(X, LABELS)


@on_both_sides
def test_policy_gradient(nn):
    """Deltas of the last layer are the user's; the rest goes backward by hand."""
    model = begin(make(nn, "multiclass", activation="tanh"), "multiclass")
    random = np.random.RandomState(0)
    for _ in range(3):
        activations, deltas, coef_grads, intercept_grads = buffers(model, X)
        probabilities = model._forward_pass(activations)[-1]
        actions = (probabilities.cumsum(axis=1) < random.uniform(size=(N, 1))).sum(axis=1)
        rewards = np.where(actions == LABELS, 1.0, -0.5)
        deltas[-1] = (probabilities - np.eye(3)[actions]) * rewards[:, None]
        for layer in (2, 1, 0):
            model._compute_loss_grad(layer, N, activations, deltas, coef_grads, intercept_grads)
            if layer:
                deltas[layer - 1] = deltas[layer] @ model.coefs_[layer].T
                DERIVATIVES[model.activation](activations[layer], deltas[layer - 1])
        model._optimizer.update_params(model.coefs_ + model.intercepts_, coef_grads + intercept_grads)
        yield model, rewards


@on_both_sides
def test_gradient_with_respect_to_samples(nn):
    """Saliency, and adversarial samples."""
    model = make(nn, "binary", activation="logistic").fit(X, TARGETS["binary"])
    activations, deltas, *grads = buffers(model, X)
    model._backprop(X, encoded(model, TARGETS["binary"]), None, activations, deltas, *grads)
    gradient = deltas[0] @ model.coefs_[0].T
    return gradient, model.predict_proba(X + 0.1 * np.sign(gradient))


@on_both_sides
def test_loss_on_other_samples(nn):
    """A curve of validation losses, by scikit-learn's own functions."""
    model = begin(make(nn, "outputs", alpha=0.0), "outputs", slice(0, 150))
    losses = []
    for _ in range(3):
        model.partial_fit(X[:150], OUTPUTS[:150])
        losses.append(LOSS_FUNCTIONS[model.loss](OUTPUTS[150:], model._forward_pass_fast(X[150:])))
    hidden = X @ model.coefs_[0] + model.intercepts_[0]
    ACTIVATIONS[model.activation](hidden)
    return losses, model.loss_curve_, hidden


@on_both_sides
def test_constraints_after_each_step(nn):
    """Weights of the first layer stay positive: projected by hand, in place."""
    model = begin(make(nn, "one output", solver="sgd"), "one output")
    y = encoded(model, VALUES)
    for _ in range(3):
        _, coef_grads, intercept_grads = model._backprop(X, y, None, *buffers(model, X))
        model._optimizer.update_params(model.coefs_ + model.intercepts_, coef_grads + intercept_grads)
        np.maximum(model.coefs_[0], 0, out=model.coefs_[0])
        yield model
    yield model.partial_fit(X, VALUES)
