"""What networks learn from data, and its scores: rows 11 to 17."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from example_systems.by_hand import CORNERS, parts
from fastmlp import MLP
from fastmlp.datasets import digits, load, load_table, read_idx, spirals, xor
from fastmlp.metrics import accuracy_score, confusion_matrix, per_class_accuracy


def shared(*parts):
    """Path of a file or folder below FASTMLP_DATA; skips the test where there is none."""
    root = os.environ.get("FASTMLP_DATA")
    if not root:
        pytest.skip("the environment variable FASTMLP_DATA names no folder with data sets")
    path = Path(root, *parts)
    if not path.exists():
        pytest.skip(f"FASTMLP_DATA has no {'/'.join(parts)}")
    return path


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
    data = load_table(path, target="Liver_Disease", missing="impute", seed=0)
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
    data = load_table(path, target="median_house_value", missing="impute", standardize_target=True, seed=0)
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
    data = load_table(path, target="Species", drop_columns=["Weight", "Length1", "Length2", "Length3"], seed=0)
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
