"""Backpropagation compared with central differences in float64, and with formulas written out."""

from itertools import chain

import numpy as np
import pytest
from coded import ACTIVATION
from scipy import special

from fastmlp import MLP, SGD, DivergenceError, InputError, numerical_gradient, step
from fastmlp.activations import ACTIVATIONS
from fastmlp.backends.numpy_ops import NumpyOps
from fastmlp.losses import LOSSES
from fastmlp.network import Data, Layout, build_network

DIFFERENTIABLE = [name for name in ACTIVATIONS if name != "threshold"]
HIDDEN = {1: [], 2: [3], 3: [3, 2], 4: [2, 3, 2]}  # by depth
SAMPLES = 7


def outputs_of(loss):
    return (3,) if loss == "softmax_cross_entropy" else (1, 3)


def targets(loss, outputs, random):
    """Soft targets that every loss takes: probabilities are also counts and values."""
    y = random.uniform(0.1, 0.9, (SAMPLES, outputs))
    return y / y.sum(axis=1, keepdims=True) if loss == "softmax_cross_entropy" else y


def network(depth, outputs, activation, loss, **options):
    """A model with biases that are not zero, so that no ReLU sits at its kink, and data for it."""
    random = np.random.RandomState(depth)
    options = {"backend": "numpy", "n_threads": 1} | options
    sizes = [2, *HIDDEN[depth], outputs]
    model = MLP(sizes, activation, loss=loss, dtype="float64", seed=depth, **options)
    for bias in model.biases:
        bias[...] = random.uniform(-0.5, 0.5, bias.shape)
    return model, random.standard_normal((SAMPLES, 2)), targets(loss, outputs, random)


def flat(gradients):
    return np.concatenate([part.ravel() for part in (*gradients.weights, *gradients.biases)])


def assert_close(found, expected, relative, absolute=1e-9):
    error, size = np.linalg.norm(flat(found) - flat(expected)), np.linalg.norm(flat(expected))
    assert error <= relative * size + absolute
    assert abs(found.loss - expected.loss) <= relative * abs(expected.loss)


def with_hidden(activation, loss):
    """Depth, activations and outputs of networks with this activation in their hidden layers."""
    for outputs in outputs_of(loss):
        # depths take turns, so that each activation and each loss meets all of them
        turn = DIFFERENTIABLE.index(activation) + list(LOSSES).index(loss) + outputs
        yield 2 + turn % 3, activation, outputs


def with_output(activation, loss):
    """The same for networks of depth 1 and 2 with this activation at their end."""
    for outputs in outputs_of(loss):
        hidden = (list(ACTIVATIONS).index(activation) + list(LOSSES).index(loss) + outputs // 2) % 2
        yield 1 + hidden, [*["tanh"] * hidden, activation], outputs


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", DIFFERENTIABLE)
@pytest.mark.parametrize("networks", [with_hidden, with_output])
def test_backpropagation_agrees_with_central_differences(networks, activation, loss):
    for depth, activations, outputs in networks(activation, loss):
        model, x, y = network(depth, outputs, activations, loss)
        assert_close(model.gradients(x, y), model.numerical_gradient(x, y), 1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_numba_gives_the_gradients_of_numpy(loss):
    found = chain.from_iterable(each(name, loss) for each in (with_hidden, with_output) for name in DIFFERENTIABLE)
    for turn, (depth, activations, outputs) in enumerate(found):
        reference, x, y = network(depth, outputs, activations, loss)
        threads = 1 + turn // 2 % 2
        model, _, _ = network(depth, outputs, activations, loss, backend="numba", n_threads=threads)
        assert_close(model.gradients(x, y), reference.gradients(x, y), 1e-12, 1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", LOSSES)
def test_weights_penalties_and_reductions(backend, loss, reduction):
    options = {"l1": 0.03, "l2": 0.2, "reduction": reduction, "backend": backend}
    model, x, y = network(3, 3, "tanh", loss, **options)
    sample_weight = np.linspace(0, 2, SAMPLES)
    assert_close(model.gradients(x, y, sample_weight), model.numerical_gradient(x, y, sample_weight), 1e-6)


def test_penalties_are_on_weights_only():
    plain, x, y = network(2, 1, "tanh", "half_squared_error")
    model, _, _ = network(2, 1, "tanh", "half_squared_error", l1=0.3, l2=0.7)
    found, expected = model.gradients(x, y), plain.gradients(x, y)
    weights = np.concatenate([w.ravel() for w in plain.weights])
    penalty = 0.3 * abs(weights).sum() + 0.7 / 2 * (weights**2).sum()
    assert found.loss == pytest.approx(expected.loss + penalty, rel=1e-12)
    for g, without, w in zip(found.weights, expected.weights, plain.weights, strict=True):
        np.testing.assert_allclose(g, without + 0.3 * np.sign(w) + 0.7 * w, rtol=1e-12)
    for g, without in zip(found.biases, expected.biases, strict=True):
        np.testing.assert_array_equal(g, without)


def test_class_indices_are_one_hot_targets(backend):
    model, x, _ = network(2, 3, "relu", "softmax_cross_entropy", backend=backend)
    labels = np.arange(SAMPLES) % 3
    assert_close(model.gradients(x, labels), model.gradients(x, np.eye(3)[labels]), 1e-14, 0)


@pytest.mark.parametrize(("link", "outputs"), [("sigmoid", 1), ("sigmoid", 3), ("softmax", 3)])
def test_with_its_canonical_link_a_cross_entropy_gives_prediction_minus_target(backend, link, outputs):
    model, x, y = network(1, outputs, link, None, backend=backend)
    z = x @ model.weights[0] + model.biases[0]
    prediction = special.expit(z) if link == "sigmoid" else special.softmax(z, axis=1)
    np.testing.assert_allclose(model.predict_proba(x), prediction, rtol=1e-12)
    y = y / y.sum(axis=1, keepdims=True) if link == "softmax" else y
    found, delta = model.gradients(x, y), prediction - y
    np.testing.assert_allclose(found.weights[0], x.T @ delta / SAMPLES, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(found.biases[0], delta.mean(axis=0), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_per_sample_make_up_that_of_the_batch(backend, reduction):
    model, x, y = network(3, 3, "silu", "huber", reduction=reduction, backend=backend)
    each, batch = model.gradients(x, y, per_sample=True), model.gradients(x, y)
    join = np.mean if reduction == "mean" else np.sum
    assert each.loss.shape == (SAMPLES,)
    assert join(each.loss) == pytest.approx(batch.loss, rel=1e-12)
    for parts, whole in zip((*each.weights, *each.biases), (*batch.weights, *batch.biases), strict=True):
        assert parts.shape == (SAMPLES, *whole.shape)
        np.testing.assert_allclose(join(parts, axis=0), whole, rtol=1e-12, atol=1e-15)


def test_a_batch_of_many_chunks_has_the_mean_of_its_gradients(backend):
    model, x, y = network(2, 3, "gelu", "mean_squared_error", backend=backend)
    repeats = 200  # 1400 rows: two full chunks and a ragged one
    many = model.gradients(np.tile(x, (repeats, 1)), np.tile(y, (repeats, 1)))
    assert_close(many, model.gradients(x, y), 1e-12, 0)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_the_gradient_passes_the_mask_of_dropout(activation):
    """`MLP.gradients` is without dropout, so this takes the step itself, which draws the same mask every time."""
    layout, random = Layout.of((2, 5, 4, 1)), np.random.RandomState(0)
    params, code = np.zeros(layout.n_params), ACTIVATION[activation]
    for part in (*layout.weights(params), *layout.biases(params)):
        part[...] = random.uniform(-1, 1, part.shape)
    order, x, y = np.arange(20), random.standard_normal((20, 2)), random.standard_normal((20, 1))
    loss = LOSSES["half_squared_error"].code
    net = build_network(layout, [code, code, ACTIVATION["identity"]], [0.6, 0.8, 1.0], loss, (), params, 8)
    data = Data.of(x, params.dtype, targets=y)
    update = SGD().init(params, mean=False).update

    def value(at):
        params[...] = at
        return step.gradient(NumpyOps(), net, data, update, order, 123, 4, 0.0)

    expected = numerical_gradient(value, params)
    value(params)
    assert np.linalg.norm(update.into - expected) <= 1e-6 * np.linalg.norm(expected)


def test_gradients_leave_the_model_as_it_is(backend):
    model, x, y = network(3, 1, "elu", "poisson", backend=backend)
    before = [array.copy() for array in (*model.weights, *model.biases)]
    model.gradients(x, y)
    model.numerical_gradient(x, y)
    for array, old in zip((*model.weights, *model.biases), before, strict=True):
        np.testing.assert_array_equal(array, old)


def test_a_threshold_layer_follows_the_perceptron_rule(backend):
    model, x, _ = network(1, 3, "threshold", None, backend=backend)
    assert model.loss.name == "half_squared_error"
    y = np.random.RandomState(5).randint(0, 2, (SAMPLES, 3))
    delta = (x @ model.weights[0] + model.biases[0] >= 0) - y
    assert (delta != 0).any()
    found = model.gradients(x, y)
    np.testing.assert_allclose(found.weights[0], x.T @ delta / SAMPLES, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.biases[0], delta.mean(axis=0), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("activations", [["threshold", "sigmoid"], ["tanh", "threshold"]])
def test_no_gradient_passes_a_threshold(activations):
    model, x, y = network(2, 1, activations, "half_squared_error")
    model.predict(x)
    layer = activations.index("threshold") + 1
    for refused in (model.gradients, model.fit):
        with pytest.raises(InputError, match=rf"Layer {layer} is a threshold .* derivative 0 .* use 'sigmoid'"):
            refused(x, y)


@pytest.mark.parametrize("activation", sorted(set(DIFFERENTIABLE) - {"softmax"}))
def test_nan_in_a_weight_is_seen_behind_every_activation(backend, activation):
    model, x, y = network(3, 1, activation, "mean_squared_error", backend=backend)
    model.weights[0][1, 2] = np.nan
    assert np.isnan(model.predict_raw(x)).all()
    assert np.isnan(model.gradients(x, y).loss)
    with pytest.raises(DivergenceError):
        model.fit(x, y, epochs=1)


def test_the_nine_derivatives_of_a_2_2_1_sigmoid_network(backend):
    """Written out by the chain rule for C = (a - y)², o the outputs of the hidden neurons, s' = o (1 - o)."""
    w, b = np.array([[0.4, -0.3], [0.8, 0.6]]), np.array([0.1, -0.2])
    v, c = np.array([[0.7], [-0.9]]), np.array([0.3])
    x, y = np.array([0.5, -1.0]), 1.0
    model = MLP([2, 2, 1], ["sigmoid", "sigmoid"], loss="squared_error", dtype="float64", backend=backend)
    model.set_parameters([w, v], [b, c])

    def s(z):
        return 1 / (1 + np.exp(-z))

    o1 = s(w[0, 0] * x[0] + w[1, 0] * x[1] + b[0])
    o2 = s(w[0, 1] * x[0] + w[1, 1] * x[1] + b[1])
    a = s(v[0, 0] * o1 + v[1, 0] * o2 + c[0])
    d = 2 * (a - y) * a * (1 - a)
    d1, d2 = d * v[0, 0] * o1 * (1 - o1), d * v[1, 0] * o2 * (1 - o2)
    found = model.gradients(x[None], [y])
    assert found.loss == pytest.approx((a - y) ** 2, rel=1e-14)
    expected = [[d1 * x[0], d2 * x[0], d1 * x[1], d2 * x[1]], [d * o1, d * o2], [d1, d2], [d]]
    parts = (*found.weights, *found.biases)
    for part, values in zip(parts, expected, strict=True):
        np.testing.assert_allclose(part.ravel(), values, rtol=1e-13)


def test_the_circuit_of_the_lecture():
    assert numerical_gradient(lambda v: (v[0] + v[1]) * v[2], [-2, 5, -4]) == pytest.approx([-4, -4, 3])
