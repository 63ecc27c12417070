"""Networks, losses and gradients by hand: rows 1 to 6 and 18 to 20."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from example_systems.by_hand import CORNERS, assert_parts, copies, parts, sigmoid
from fastmlp import MLP, SGD, InputError, numerical_gradient
from fastmlp.backends.numpy_ops import NumpyOps
from fastmlp.datasets import digits

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
