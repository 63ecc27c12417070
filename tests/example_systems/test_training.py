"""Updates, stops, momenta and linear models by hand: rows 7 to 10."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from example_systems.by_hand import CORNERS, assert_parts, descend, parts
from fastmlp import SGD, Adam


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
