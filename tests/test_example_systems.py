"""The systems of the source documents, numbered as there, on the numbers given there."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastmlp import MLP, SGD, Adam, InputError, numerical_gradient
from fastmlp.backends.numpy_ops import NumpyOps
from fastmlp.datasets import digits, load, load_csv, read_idx, spirals, xor
from fastmlp.metrics import accuracy_score, confusion_matrix, per_class_accuracy

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


@pytest.fixture
def network(backend):
    """network(sizes, activations, …): a model in float64, and on NumPy and Numba alike."""

    def build(*arguments, dtype="float64", seed=0, **options):
        return MLP(*arguments, dtype=dtype, seed=seed, backend=backend, **options)

    return build


def shared(*parts):
    """Path of a file or folder below FASTMLP_DATA; skips the test where there is none."""
    root = os.environ.get("FASTMLP_DATA")
    if not root:
        pytest.skip("the environment variable FASTMLP_DATA names no folder with data sets")
    path = Path(root, *parts)
    if not path.exists():
        pytest.skip(f"FASTMLP_DATA has no {'/'.join(parts)}")
    return path


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def parts(owner):
    """All weights, then all biases, of a model or of gradients."""
    return [*owner.weights, *owner.biases]


def copies(model):
    return [part.copy() for part in parts(model)]


def assert_parts(found, expected, rtol=1e-12):
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one, other, rtol=rtol, atol=1e-14)


# The two worked forward passes. On paper a row of W is a neuron; here a column is, hence the transposes.
BINARY = {
    "weights": [
        np.transpose(
            [
                [0.9, 0.2, 0.4, 0.3],
                [-0.5, 0.4, 0.3, 0.3],
                [0.1, 0.1, -0.1, 0.2],
                [-0.2, 0.5, 0.5, 0.7],
            ]
        ),
        np.transpose([[0.5, 0.8, -0.6, 0.3]]),
    ],
    "biases": [[0.5, 0.5, 0.5, 0.5], [0.3]],
}
MULTICLASS = {
    "weights": [
        np.transpose(
            [
                [0.1, 0.3, 0.8, -0.4],
                [-0.3, -0.2, 0.5, 0.5],
                [-0.3, 0.1, 0.5, 0.4],
                [0.2, 0.5, -0.9, 0.7],
            ]
        ),
        np.transpose([[0.3, 0.8, -0.2, -0.4], [0.5, -0.2, -0.3, 0.5], [0.3, 0.1, 0.6, 0.6]]),
    ],
    "biases": [np.zeros(4), np.zeros(3)],
}


def test_row_01_the_binary_network(network):
    x = [[0.3, 0.5, -0.4, 0.3]]
    hidden = network([4, 4], ["identity"])
    hidden.set_parameters(BINARY["weights"][:1], BINARY["biases"][:1])
    assert_allclose(hidden.predict_raw(x), [[0.8, 0.52, 0.68, 0.7]], rtol=1e-14)
    hidden = network([4, 4], ["sigmoid"])
    hidden.set_parameters(BINARY["weights"][:1], BINARY["biases"][:1])
    assert_allclose(hidden.predict_proba(x), [[0.689974, 0.627148, 0.663739, 0.668188]], rtol=0, atol=5e-7)
    model = network([4, 4, 1], ["sigmoid", "sigmoid"])
    model.set_parameters(**BINARY)
    assert model.loss.name == "binary_cross_entropy"
    assert model.predict_raw(x)[0, 0] == pytest.approx(0.948919, abs=5e-7)
    assert model.predict_proba(x)[0, 0] == pytest.approx(0.7208976, abs=5e-8)
    assert model.predict(x)[0] == 1
    assert model.evaluate(x, [1])["loss"] == pytest.approx(0.3272581, abs=5e-8)
    assert model.gradients(x, [1]).loss == pytest.approx(0.3272581, abs=5e-8)


def test_row_01_the_multiclass_network(network):
    x = np.array([[0.2, 0.5, -0.3, 0.3], [0.6, 0.4, 0.6, 0.1]])
    hidden = network([4, 4], ["identity"])
    hidden.set_parameters(MULTICLASS["weights"][:1], MULTICLASS["biases"][:1])
    assert_allclose(hidden.predict_raw(x[:1]), [[-0.19, -0.16, -0.04, 0.77]], rtol=1e-14)
    model = network([4, 4, 3], ["sigmoid", "softmax"])
    model.set_parameters(**MULTICLASS)
    p = model.predict_proba(x)
    assert_allclose(p, [[0.230329, 0.280373, 0.489298], [0.271760, 0.263435, 0.464805]], rtol=0, atol=5e-7)
    assert_array_equal(model.predict(x), [2, 2])
    for target, one_hot, i, loss in ((1, [0, 1, 0], 0, 1.2716342), (2, [0, 0, 1], 1, 0.7661380)):
        assert model.evaluate(x[[i]], [target])["loss"] == pytest.approx(loss, abs=5e-8)
        assert model.evaluate(x[[i]], [one_hot])["loss"] == pytest.approx(loss, abs=5e-8)


def test_row_01_a_different_activation_in_every_layer(network):
    model = network([2, 3, 4, 2], ["relu", "tanh", "sigmoid"])
    x = np.random.RandomState(1).standard_normal((5, 2))
    (w1, w2, w3), (b1, b2, b3) = model.weights, model.biases
    b1[...], b2[...], b3[...] = 0.1, -0.2, 0.3
    expected = sigmoid(np.tanh(np.maximum(x @ w1 + b1, 0) @ w2 + b2) @ w3 + b3)
    assert_allclose(model.predict_proba(x), expected, rtol=1e-13)


def slopes(network, activation, z):
    """σ'(z) for z (N,): of ½ (σ(z) - y)² with y = σ(z) - 1 the derivative by the bias is σ'(z)."""
    model = network([1, 1], [activation], loss="half_squared_error")
    model.set_parameters([[[1.0]]], [[0.0]])
    x = np.reshape(z, (-1, 1))
    return model.gradients(x, model.predict_raw(x) - 1, per_sample=True).biases[0][:, 0]


def test_row_02_derivatives_of_activations(network):
    z = np.array([-2.0, -0.5, 0.0, 0.5, 2.0])
    assert_array_equal(slopes(network, "relu", z), [0, 0, 0, 1, 1])
    assert_array_equal(slopes(network, "identity", z), np.ones(5))
    assert_allclose(slopes(network, "sigmoid", z), sigmoid(z) * (1 - sigmoid(z)), rtol=1e-13)


def test_row_02_the_full_jacobian_of_softmax(network):
    """With y = p - e_i the gradient of ½ Σ (p - y)² by z is row i of ∂p_i/∂z_j = p_i (δ_ij - p_j)."""
    model = network([1, 3], ["softmax"], loss="half_squared_error")
    model.set_parameters([np.zeros((1, 3))], [[0.2, -1.0, 0.7]])
    p = model.predict_raw([[0.0]])[0]
    assert_allclose(p, np.exp([0.2, -1.0, 0.7]) / np.exp([0.2, -1.0, 0.7]).sum(), rtol=1e-14)
    found = model.gradients(np.zeros((3, 1)), p - np.eye(3), per_sample=True).biases[0]
    assert_allclose(found, np.diag(p) - np.outer(p, p), rtol=1e-13)


def test_row_02_softmax_as_a_hidden_activation(network):
    model = network([2, 3, 2], ["softmax", "identity"], loss="squared_error")
    x, y = np.random.RandomState(2).standard_normal((2, 4, 2))
    (w1, w2), (b1, b2) = model.weights, model.biases
    e = np.exp(x @ w1 + b1)
    p = e / e.sum(axis=1, keepdims=True)
    assert_allclose(model.predict(x), p @ w2 + b2, rtol=1e-13)
    above = 2 * (p @ w2 + b2 - y) / 4 @ w2.T
    delta = np.stack([(np.diag(q) - np.outer(q, q)) @ g for q, g in zip(p, above, strict=True)])
    assert_allclose(model.gradients(x, y).weights[0], x.T @ delta, rtol=1e-12)


def test_row_02_threshold_units_compute_but_pass_no_gradient(network):
    """Exclusive or: x1 or x2, but not both."""
    model = network([2, 2, 1], ["threshold", "threshold"])
    model.set_parameters([[[1, 1], [1, 1]], [[1], [-1]]], [[-0.5, -1.5], [-0.5]])
    assert_array_equal(model.predict(CORNERS), [0, 1, 1, 0])
    for refused in (model.fit, model.gradients):
        with pytest.raises(InputError, match=r"derivative 0 .* no gradient passes .* single threshold layer"):
            refused(CORNERS, [0, 1, 1, 0])


P, Y = np.array([[0.7, 0.2, 0.1], [0.25, 0.6, 0.15]]), np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
ROW_03 = {  # name: z that predicts P, loss of each sample, its gradient by z
    "squared_error": (P, ((P - Y) ** 2).sum(axis=1), 2 * (P - Y)),
    "mean_squared_error": (P, ((P - Y) ** 2).mean(axis=1), 2 / 3 * (P - Y)),
    "half_squared_error": (P, 0.5 * ((P - Y) ** 2).sum(axis=1), P - Y),
    "softmax_cross_entropy": (np.log(P), -(Y * np.log(P)).sum(axis=1), P - Y),
    "binary_cross_entropy": (
        np.log(P / (1 - P)),
        -(Y * np.log(P) + (1 - Y) * np.log(1 - P)).sum(axis=1),
        P - Y,
    ),
}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", ROW_03)
def test_row_03_losses_and_reductions(network, name, reduction):
    z, losses, gradient = ROW_03[name]
    model = network([3, 3], ["identity"], loss=name, reduction=reduction)
    model.set_parameters([np.eye(3)], [np.zeros(3)])
    assert_allclose(model.predict_proba(z), P, rtol=1e-13)
    join = np.mean if reduction == "mean" else np.sum
    assert model.evaluate(z, Y)["loss"] == pytest.approx(join(losses), rel=1e-13)
    found = model.gradients(z, Y)
    assert found.loss == pytest.approx(join(losses), rel=1e-13)
    assert_allclose(found.biases[0], join(gradient, axis=0), rtol=1e-12)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_row_04_the_delta_recursion(network, output):
    random = np.random.RandomState(3)
    x, y = random.standard_normal((6, 3)), np.eye(2)[[0, 1, 1, 0, 1, 0]]
    model = network([3, 4, 5, 2], ["sigmoid", "tanh", output])
    (w1, w2, w3), (b1, b2, _) = model.weights, model.biases
    b1[...], b2[...] = random.uniform(-0.5, 0.5, 4), random.uniform(-0.5, 0.5, 5)
    a1 = sigmoid(x @ w1 + b1)
    a2 = np.tanh(a1 @ w2 + b2)
    d3 = model.predict_proba(x) - y  # of softmax and cross-entropy, and of sigmoid and binary cross-entropy
    d2 = d3 @ w3.T * (1 - a2 * a2)
    d1 = d2 @ w2.T * a1 * (1 - a1)
    inputs, deltas = (x, a1, a2), (d1, d2, d3)
    mean, each = model.gradients(x, y), model.gradients(x, y, per_sample=True)
    for l, (a, d) in enumerate(zip(inputs, deltas, strict=True)):
        assert_allclose(mean.weights[l], a.T @ d / 6, rtol=1e-12, atol=1e-15)
        assert_allclose(mean.biases[l], d.mean(axis=0), rtol=1e-12, atol=1e-15)
        assert_allclose(each.weights[l], a[:, :, None] * d[:, None, :], rtol=1e-12, atol=1e-15)
        assert_allclose(each.biases[l], d, rtol=1e-12, atol=1e-15)


def test_row_05_nine_derivatives_of_the_2_2_1_network(network):
    """C = (o - y)². Neurons: x1, x2 and a bias neuron 1 below; h1, h2 and a bias neuron 1; o."""
    w11, w12, w21, w22, b1, b2, v1, v2, c = 0.15, 0.25, 0.2, 0.3, 0.35, -0.35, 0.4, -0.5, 0.6
    x1, x2, y = 0.5, 0.8, 1.0
    z1, z2 = w11 * x1 + w21 * x2 + b1, w12 * x1 + w22 * x2 + b2
    h1, h2 = 1 / (1 + np.exp(-z1)), 1 / (1 + np.exp(-z2))
    o = 1 / (1 + np.exp(-(v1 * h1 + v2 * h2 + c)))
    dc_dw11 = 2 * (o - y) * o * (1 - o) * v1 * h1 * (1 - h1) * x1
    dc_dw12 = 2 * (o - y) * o * (1 - o) * v2 * h2 * (1 - h2) * x1
    dc_dw21 = 2 * (o - y) * o * (1 - o) * v1 * h1 * (1 - h1) * x2
    dc_dw22 = 2 * (o - y) * o * (1 - o) * v2 * h2 * (1 - h2) * x2
    dc_db1 = 2 * (o - y) * o * (1 - o) * v1 * h1 * (1 - h1)
    dc_db2 = 2 * (o - y) * o * (1 - o) * v2 * h2 * (1 - h2)
    dc_dv1 = 2 * (o - y) * o * (1 - o) * h1
    dc_dv2 = 2 * (o - y) * o * (1 - o) * h2
    dc_dc = 2 * (o - y) * o * (1 - o)
    model = network([2, 2, 1], ["sigmoid", "sigmoid"], loss="squared_error")
    model.set_parameters([[[w11, w12], [w21, w22]], [[v1], [v2]]], [[b1, b2], [c]])
    assert sum(part.size for part in parts(model)) == 9
    found = model.gradients([[x1, x2]], [y])
    assert found.loss == pytest.approx((o - y) ** 2, rel=1e-14)
    expected = [[[dc_dw11, dc_dw12], [dc_dw21, dc_dw22]], [[dc_dv1], [dc_dv2]], [dc_db1, dc_db2], [dc_dc]]
    assert_parts(parts(found), expected, rtol=1e-13)


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.4), (0.3, 0.0)])
def test_row_06_penalties_on_weights_not_biases(network, l1, l2):
    x, y = np.random.RandomState(4).standard_normal((2, 8, 2))
    plain = network([2, 3, 2], "tanh", loss="half_squared_error")
    model = network([2, 3, 2], "tanh", loss="half_squared_error", l1=l1, l2=l2)
    plain.biases[0][...] = model.biases[0][...] = [0.5, -0.4, 0.3]
    before, gradients = copies(model), plain.gradients(x, y)
    penalty = [l1 * np.sign(w) + l2 * w for w in model.weights] + [0, 0]
    expected = [g + p for g, p in zip(parts(gradients), penalty, strict=True)]
    assert_parts(parts(model.gradients(x, y)), expected)
    added = sum(l1 * abs(w).sum() + l2 / 2 * (w**2).sum() for w in model.weights)
    assert model.gradients(x, y).loss == pytest.approx(gradients.loss + added, rel=1e-13)
    model.fit(x, y, epochs=1, batch_size="full", optimizer=SGD(lr=0.1))
    assert_parts(parts(model), [w - 0.1 * g for w, g in zip(before, expected, strict=True)])


def descend(x, y, lr, epochs, batch_size):
    """Linear regression, update by update: w <- w - lr times the mean over the batch of (ŷ - y) x."""
    w, b = np.zeros(x.shape[1]), 0.0
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            batch = slice(start, start + batch_size)
            error = x[batch] @ w + b - y[batch]
            w, b = w - lr * x[batch].T @ error / len(error), b - lr * error.mean()
    return [w[:, None], np.array([b])]


@pytest.mark.parametrize(("batch_size", "updates"), [("full", 1), (20, 5), (1, 100), (30, 4)])
def test_row_07_updates_of_the_three_regimes(network, batch_size, updates):
    random = np.random.RandomState(5)
    x = random.standard_normal((100, 2))
    y = x @ [1.0, -2.0] + 0.5
    model = network([2, 1], "identity", loss="half_squared_error", initializer="zeros")
    history = model.fit(x, y, epochs=3, batch_size=batch_size, optimizer=SGD(lr=0.05), shuffle=False)
    assert history.updates == 3 * updates
    assert_parts(parts(model), descend(x, y, 0.05, 3, 100 if batch_size == "full" else batch_size))


def test_row_08_three_reasons_to_stop(network):
    x, y = CORNERS, np.array([0, 0, 0, 1])
    fit = {"batch_size": "full", "optimizer": SGD(lr=2.0)}

    history = network([2, 1], "sigmoid").fit(x, y, epochs=7, **fit)
    assert (history.stopped, len(history)) == ("epochs", 7)

    history = network([2, 1], "sigmoid").fit(x, y, epochs=500, target_loss=0.2, **fit)
    assert history.stopped == "target_loss"
    assert history["loss"][-1] <= 0.2 < min(history["loss"][:-1])

    history = network([2, 1], "sigmoid").fit(x, y, epochs=500, tol=1e-3, patience=2, **fit)
    assert history.stopped == "plateau"
    best, waited = np.inf, []
    for loss in history["loss"]:
        waited.append(0 if loss < best - 1e-3 else waited[-1] + 1)
        best = best if waited[-1] else loss
    assert waited.index(2) == len(history) - 1


def momentum(w, g, t, v, lr=0.1, decay=0.9):
    v[...] = decay * v - lr * g
    return w + v


def nesterov(w, g, t, v, lr=0.1, decay=0.9):
    v[...] = decay * v - lr * g
    return w + decay * v - lr * g


def adam(w, g, t, m, v, lr=0.01, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m[...] = beta1 * m + (1 - beta1) * g
    v[...] = beta2 * v + (1 - beta2) * g * g
    return w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)


@pytest.mark.parametrize(
    ("rule", "moments", "optimizer"),
    [
        (momentum, 1, SGD(lr=0.1, momentum=0.9)),
        (nesterov, 1, SGD(lr=0.1, momentum=0.9, nesterov=True)),
        (adam, 2, Adam(lr=0.01)),
    ],
)
def test_row_09_momentum_and_adam(network, rule, moments, optimizer):
    x, y = np.random.RandomState(6).standard_normal((2, 9, 2))
    model, by_hand = (network([2, 3, 2], "tanh", loss="squared_error") for _ in range(2))
    state = [[np.zeros_like(part) for _ in range(moments)] for part in parts(by_hand)]
    model.fit(x, y, epochs=4, batch_size="full", optimizer=optimizer)
    for t in range(1, 5):
        for w, g, kept in zip(parts(by_hand), parts(by_hand.gradients(x, y)), state, strict=True):
            w[...] = rule(w, g, t, *kept)
    assert_parts(parts(model), parts(by_hand))


def test_row_10_linear_regression_from_zero(network):
    random = np.random.RandomState(7)
    x = random.uniform(-1, 1, (50, 3))
    y = x @ [3.0, -1.0, 0.5] - 1 + 0.1 * random.standard_normal(50)
    model = network([3, 1], activation="identity", initializer="zeros")
    assert not np.concatenate([part.ravel() for part in parts(model)]).any()
    model.fit(x, y, epochs=600, batch_size="full", optimizer=SGD(lr=0.5))
    assert model.loss.name == "mean_squared_error"
    exact = np.linalg.lstsq(np.column_stack([x, np.ones(50)]), y, rcond=None)[0]
    assert_allclose([*model.weights[0][:, 0], *model.biases[0]], exact, rtol=1e-9)


def test_row_10_logistic_regression_from_zero(network):
    """At the least loss Σ (ŷ - y) = 0 and Σ (ŷ - y) x = 0."""
    x = np.array([[0.5], [1.0], [1.5], [2.0], [2.5], [3.0], [3.5], [4.0]])
    y = np.array([0, 0, 1, 0, 1, 0, 1, 1])
    model = network([1, 1], activation="sigmoid", initializer="zeros")
    model.fit(x, y, epochs=3000, batch_size="full", optimizer=SGD(lr=0.5))
    error = model.predict_proba(x)[:, 0] - y
    assert abs(error).max() > 0.1  # the classes overlap: there is a least loss
    assert_allclose([error.sum(), error @ x[:, 0]], 0, atol=1e-9)
    assert_array_equal(model.predict(x), model.predict_proba(x)[:, 0] >= 0.5)


@pytest.mark.parametrize("truth", [[0, 0, 0, 1], [0, 1, 1, 1]])
def test_row_10_the_perceptron_rule_from_zero(network, truth):
    """w <- w + (y - ŷ) x after each sample, by hand; what it learns is a logical AND, or an OR."""
    w, b, expected = np.zeros(2), 0.0, []
    for _ in range(8):
        for x, y in zip(CORNERS, truth, strict=True):
            error = y - (1 if x @ w + b >= 0 else 0)
            w, b = w + error * x, b + error
        expected.append([*w, b])
    model, found = network([2, 1], activation="threshold", initializer="zeros"), []
    model.fit(
        CORNERS,
        truth,
        epochs=8,
        batch_size=1,
        shuffle=False,
        optimizer=SGD(lr=1.0),
        callbacks=[lambda epoch: found.append([*epoch.model.weights[0][:, 0], *epoch.model.biases[0]])],
    )
    assert_array_equal(found, expected)
    assert expected[0] != expected[-1] == expected[-2]  # it learnt, and came to rest
    assert_array_equal(model.predict(CORNERS), truth)


def test_row_11_one_hot_and_integer_targets(network):
    data = digits()
    by_index, one_hot = (network([64, 16, 10], ["relu", "softmax"], seed=1) for _ in range(2))
    for model, y in ((by_index, data.y), (one_hot, np.eye(10)[data.y])):
        model.fit(data.x, y, epochs=3, batch_size=32, optimizer="adam", lr=0.01)
    for one, other in zip(parts(by_index), parts(one_hot), strict=True):
        assert_array_equal(one, other)
    assert_array_equal(by_index.predict(data.x_test), by_index.predict_proba(data.x_test).argmax(axis=1))
    scores = by_index.evaluate(data.x_test, data.y_test)
    assert scores["accuracy"] > 0.85
    assert scores == by_index.evaluate(data.x_test, np.eye(10)[data.y_test])


def test_row_11_mnist():
    folder = shared("mnist")
    data = load("mnist", folder=folder)
    images, labels = (read_idx(folder / f"train-{name}-ubyte.gz") for name in ("images-idx3", "labels-idx1"))
    assert data.x.shape == (60000, 784)
    assert data.x_test.shape == (10000, 784)
    assert images.shape == (60000, 28, 28)
    assert_allclose(data.x[:50], images[:50].reshape(50, 784) / 255, rtol=1e-7)
    assert_array_equal(data.y, labels)
    model = MLP([784, 32, 10], ["relu", "softmax"], seed=0, backend="numpy")
    model.fit(data.x[:10000], data.y[:10000], epochs=1, batch_size=32, optimizer="adam")
    assert model.evaluate(data.x_test, data.y_test)["accuracy"] > 0.85


def test_row_12_indian_liver_patients():
    path = shared("ilpd", "indian_liver_patient.csv")
    data = load_csv(path, target="Liver_Disease", missing="impute", seed=0)
    assert len(data.x) + len(data.x_test) == 583
    share = data.y.mean()
    baseline = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    model = MLP([data.x.shape[1], 8, 1], ["tanh", "sigmoid"], l2=1e-3, seed=0, backend="numpy")
    model.fit(data.x, data.y, epochs=30, batch_size=16, optimizer="adam", lr=0.005)
    scores, held_out = model.evaluate(data.x, data.y), model.evaluate(data.x_test, data.y_test)
    found = model.predict(data.x)
    assert set(found) == {0, 1}
    assert scores["accuracy"] == (found == data.y).mean() > max(share, 1 - share) + 0.02
    assert scores["loss"] < baseline - 0.08
    assert held_out["loss"] < baseline - 0.03


def test_row_13_house_prices():
    path = shared("california-housing", "housing.csv")
    data = load_csv(path, target="median_house_value", missing="impute", standardize_target=True, seed=0)
    assert len(data.x) + len(data.x_test) == 20640
    model = MLP([data.x.shape[1], 32, 1], ["relu", "identity"], loss="squared_error", seed=0, backend="numpy")
    model.fit(data.x, data.y, epochs=3, batch_size=64, optimizer="adam", lr=0.005)
    assert model.evaluate(data.x_test, data.y_test)["r2"] > 0.65
    dollars = data.encoder.decode_target(model.predict(data.x_test))
    truth = data.encoder.decode_target(data.y_test)
    assert 10_000 < truth.min() < truth.max() < 510_000
    assert np.median(abs(dollars - truth)) < 45_000


def test_row_14_a_surface_that_one_neuron_cannot_make(network):
    """Where opposite corners agree the least loss of one neuron, at w = b = 0, is log 2: it is convex."""
    y = np.array([1, 0, 0, 1])  # like, dislike
    neuron, model = network([2, 1], "sigmoid"), network([2, 2, 1], ["sigmoid", "sigmoid"], seed=4)
    for one in (neuron, model):
        one.fit(CORNERS, y, epochs=800, batch_size="full", optimizer="adam", lr=0.05)
    assert neuron.evaluate(CORNERS, y)["loss"] == pytest.approx(np.log(2), abs=1e-4)
    assert sum(part.size for part in parts(model)) == 9
    assert model.evaluate(CORNERS, y) == {"loss": pytest.approx(0, abs=0.05), "accuracy": 1.0}
    data = xor(200, noise=0.1, seed=0)
    assert (model.predict(data.x) == 1 - data.y).mean() > 0.95


def test_row_15_a_tower_of_two_sigmoids(network):
    tower = network([1, 2, 1], ["sigmoid", "identity"], loss="mean_squared_error")
    tower.set_parameters([[[100, 100]], [[1], [-1]]], [[-40, -60], [0]])
    x = np.array([0.1, 0.3, 0.45, 0.5, 0.55, 0.7])
    assert_allclose(tower.predict(x[:, None]), [0, 0, 1, 1, 1, 0], atol=0.01)
    assert_allclose(tower.predict([[0.4], [0.6]]), 0.5, atol=1e-8)


def test_row_15_a_bump_is_learned(network):
    x = np.linspace(-1, 1, 101)[:, None]
    bump = np.exp(-8 * x[:, 0] ** 2)
    model = network([1, 2, 1], ["sigmoid", "identity"], loss="mean_squared_error")
    model.fit(x, bump, epochs=800, batch_size="full", optimizer="adam", lr=0.05)
    assert abs(model.predict(x) - bump).max() < 0.03
    (w1, w2), _ = model.weights, model.biases
    assert w1[0, 0] * w2[0, 0] * w1[0, 1] * w2[1, 0] < 0  # one sigmoid goes up, the other down


def test_row_16_three_spirals(network):
    data = spirals(300, 3, noise=0.2, seed=0)
    assert data.x.shape == (300, 2)
    line = network([2, 3], ["softmax"])
    model = network([2, 4, 3], ["relu", "softmax"], seed=1)
    for one in (line, model):
        one.fit(data.x, data.y, epochs=120, batch_size=30, optimizer="adam", lr=0.02)
    assert line.evaluate(data.x_test, data.y_test)["accuracy"] < 0.65
    assert model.evaluate(data.x_test, data.y_test)["accuracy"] > 0.85


def test_row_16_salmon_tuna_and_hammerhead_shark(network):
    names = np.array(["salmon", "tuna", "hammerhead shark"])
    random = np.random.RandomState(8)
    kind = np.arange(300) % 3
    size = np.array([[12, 20], [40, 50], [90, 45]])[kind] * np.exp(0.15 * random.standard_normal((300, 2)))
    x = (size - size.mean(axis=0)) / size.std(axis=0)
    model = network([2, 4, 3], ["relu", "softmax"])
    model.fit(x[:200], kind[:200], epochs=60, batch_size=20, optimizer="adam", lr=0.02)
    taken_for = names[model.predict(x[200:])]
    assert min(per_class_accuracy(names[kind[200:]], taken_for).values()) > 0.9


def test_row_16_fish_of_a_lake():
    path = shared("fish", "Fish.csv")
    data = load_csv(path, target="Species", drop_columns=["Weight", "Length1", "Length2", "Length3"], seed=0)
    assert data.feature_names == ("Height", "Width")
    model = MLP([2, 16, 7], ["relu", "softmax"], seed=0, backend="numpy")
    model.fit(data.x, data.y, epochs=150, batch_size=16, optimizer="adam", lr=0.02)
    assert np.bincount(data.y_test).max() / len(data.y_test) < 0.5
    assert model.evaluate(data.x_test, data.y_test)["accuracy"] > 0.6


def test_row_17_accuracy_per_class_accuracy_and_confusion():
    assert accuracy_score([0, 0, 1, 1], [0, 1, 1, 0]) == 0.5
    truth, found = [0, 1, 3, 5, 1], [0, 7, 8, 5, 1]
    assert accuracy_score(truth, found) == pytest.approx(0.6)
    assert per_class_accuracy(truth, found) == {0: 1.0, 1: 0.5, 3: 0.0, 5: 1.0}
    expected = np.zeros((9, 9))
    expected[[0, 1, 1, 3, 5], [0, 1, 7, 8, 5]] = 1
    assert_array_equal(confusion_matrix(truth, found, 9), expected)


@pytest.mark.parametrize("optimizer", [SGD(lr=0.5), SGD(lr=0.5, momentum=0.5)])
def test_row_18_updates_use_the_old_weights(network, optimizer):
    """Plain SGD updates in place while it goes backward, momentum afterwards. Both are simultaneous."""
    random = np.random.RandomState(9)
    x, y = random.standard_normal((6, 3)), random.standard_normal((6, 2))
    model = network([3, 4, 2], ["tanh", "identity"], loss="half_squared_error")
    (w1, w2, *_), gradients = copies(model), parts(model.gradients(x, y))
    simultaneous = [w - 0.5 * g for w, g in zip(copies(model), gradients, strict=True)]
    # what would come out if the new weights of the last layer carried the error down
    a = np.tanh(x @ w1)
    wrong = w1 - 0.5 * x.T @ (((a @ w2 - y) / 6) @ simultaneous[1].T * (1 - a * a))
    model.fit(x, y, epochs=1, batch_size="full", optimizer=optimizer)
    assert_parts(parts(model), simultaneous)
    assert abs(wrong - model.weights[0]).max() > 0.01


def test_row_18_backward_computes_no_layer_again(monkeypatch):
    layers, linear = [], NumpyOps.linear

    def counted(self, h, w, *others):
        layers.append(w.shape)
        linear(self, h, w, *others)

    monkeypatch.setattr(NumpyOps, "linear", counted)
    model = MLP([3, 4, 5, 2], "sigmoid", loss="squared_error", backend="numpy")
    model.fit(np.ones((6, 3)), np.ones((6, 2)), epochs=1, batch_size=2)
    assert layers == [(3, 4), (4, 5), (5, 2)] * 3


def test_row_19_the_circuit():
    found = numerical_gradient(lambda v: (v[0] + v[1]) * v[2], [-2.0, 5.0, -4.0])
    assert_allclose(found, [-4, -4, 3], rtol=1e-9)


@pytest.mark.parametrize(("activation", "vanishes"), [("sigmoid", True), ("relu", False)])
def test_row_20_gradients_vanish_in_deep_sigmoid_stacks(network, activation, vanishes):
    data = digits()
    model = network([64, *[16] * 8, 10], activation, loss="softmax_cross_entropy")
    history = model.fit(data.x, data.y, epochs=2, batch_size=128, optimizer=SGD(lr=0.1), gradient_norms=True)
    norms = history["gradient_norms"]
    expected = [np.linalg.norm(g) for g in model.gradients(data.x, data.y).weights]
    assert_allclose(norms[-1], expected, rtol=1e-10)
    assert len(norms) == 2
    assert len(norms[0]) == 9
    if vanishes:
        assert norms[0][0] < 1e-3 * norms[0][-1]
        assert all(below < 0.5 * above for below, above in zip(norms[0][2:], norms[0][3:], strict=False))
    else:
        assert norms[0][0] > 0.1 * norms[0][-1]


@pytest.mark.parametrize("batch_size", [64, "full"])
def test_row_21_a_mapped_file_is_trained_on_like_an_array(network, tmp_path, batch_size):
    random = np.random.RandomState(11)
    x, y = random.standard_normal((1500, 4)), random.standard_normal(1500)
    x.tofile(tmp_path / "x.f64")
    mapped = np.memmap(tmp_path / "x.f64", np.float64, mode="r", shape=x.shape)
    model = network([4, 1], "identity", loss="half_squared_error", initializer="zeros")
    model.fit(mapped, y, epochs=2, batch_size=batch_size, optimizer=SGD(lr=0.1), shuffle=False)
    expected = descend(x, y, 0.1, 2, 1500 if batch_size == "full" else batch_size)
    assert_parts(parts(model), expected)
    assert_allclose(model.predict(mapped), x @ expected[0][:, 0] + expected[1], rtol=1e-12, atol=1e-14)


# Trains on a mapped file and watches the memory that the process allocates for itself. The pages of the file
# that happen to be in memory are not counted: the system takes them back when it needs the room.
BOUNDED_MEMORY = """
import json, sys, threading, time
import numpy as np
from fastmlp import MLP

path, rows, features, batch_size, dtype = sys.argv[1:]
rows, features = int(rows), int(features)

def allocated():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))

def watch():
    while not done.wait(0.002):
        seen.append(allocated())

x = np.memmap(path, np.float32, mode="r", shape=(rows, features))
y = np.tile((x[:4096, 0] > 0).astype(np.int64), rows // 4096)
model = MLP([features, 4, 2], "tanh", dtype=dtype, seed=0, backend="numpy")
model.fit(x[:4096], y[:4096], epochs=1, batch_size=64)
model.evaluate(x[:4096], y[:4096])  # by now the libraries have what they allocate once
before, seen, done = allocated(), [], threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
batch = batch_size if batch_size == "full" else int(batch_size)
history = model.fit(x, y, epochs=1, batch_size=batch, optimizer="adam", lr=0.01)
scores = model.evaluate(x, y)
done.set()
watcher.join()
print(json.dumps({"growth": max(seen) - before, "watched": len(seen), "updates": history.updates, **scores}))
"""


@pytest.fixture(scope="module")
def mapped_file(tmp_path_factory):
    """A file of 98 times the same 4096 rows of 256 numbers, 411 MB in all."""
    path = tmp_path_factory.mktemp("mapped") / "samples.f32"
    block = np.random.RandomState(10).standard_normal((4096, 256)).astype(np.float32)
    with open(path, "wb") as file:
        for _ in range(98):
            block.tofile(file)
    yield SimpleNamespace(path=path, rows=98 * 4096, features=256)
    path.unlink()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells which memory is anonymous")
@pytest.mark.parametrize(("batch_size", "dtype", "updates"), [("full", "float32", 1), (512, "float64", 784)])
def test_row_21_data_larger_than_memory(mapped_file, batch_size, dtype, updates):
    arguments = [mapped_file.path, mapped_file.rows, mapped_file.features, batch_size, dtype]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BOUNDED_MEMORY, *map(str, arguments)],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["updates"] == updates
    assert result["watched"] > 20
    assert result["growth"] < mapped_file.path.stat().st_size / 6
    if batch_size != "full":
        assert result["accuracy"] > 0.9
