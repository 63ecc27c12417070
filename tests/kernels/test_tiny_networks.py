"""Networks so small that they are vectorised along the batch: the numbers of NumPy for all layers and losses."""

from itertools import product

import numpy as np
import pytest

from fastmlp import MLP
from fastmlp.activations import ACTIVATIONS
from fastmlp.backends.compiled.functions import COMMON, Library

SAMPLES, BATCH = 333, 150  # the last batch is ragged


@pytest.fixture
def kinds(monkeypatch):
    """The kinds of networks whose operations were asked for."""
    asked, run = [], Library.run

    def noted(library, entry, needed, regime, *rest):
        asked.append(regime)
        return run(library, entry, needed, regime, *rest)

    monkeypatch.setattr(Library, "run", noted)
    monkeypatch.setattr(COMMON, "runs", {})
    return asked


def data(outputs, labels):
    random = np.random.RandomState(3)
    x = random.standard_normal((SAMPLES, 5))
    return x, random.randint(0, outputs, SAMPLES) if labels else random.rand(SAMPLES, outputs)


def trained(backend, sizes, x, y, n_threads=None, **options):
    fit = {"epochs": 4, "batch_size": BATCH, "optimizer": "sgd", "lr": 0.1} | options.pop("fit", {})
    net = MLP(sizes, dtype="float64", backend=backend, seed=1, n_threads=n_threads, **options)
    history = net.fit(x, y, progress=False, **fit)
    return [*net.weights, *net.biases, net.predict(x), np.array(history["loss"])]


def assert_same(sizes, x, y, **options):
    reference = trained("numpy", sizes, x, y, **options)
    alone, together = (trained("numba", sizes, x, y, n, **options) for n in (1, 2))
    for wanted, one, two in zip(reference, alone, together, strict=True):
        np.testing.assert_allclose(one, wanted, rtol=1e-9, atol=1e-11)
        assert one.tobytes() == two.tobytes()  # whatever the number of threads


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS.keys() - {"threshold"}))
def test_activations(activation, kinds):
    x, y = data(3, labels=True)
    assert_same([5, 7, 4, 3], x, y, activation=[activation, activation, "identity"], loss="softmax_cross_entropy")
    assert set(kinds) == {"tiny"}


LOSSES_OF_TARGETS = ["mean_squared_error", "huber", "binary_cross_entropy", "absolute_error"]


@pytest.mark.parametrize("loss, outputs", [*product(LOSSES_OF_TARGETS, (1, 3)), ("softmax_cross_entropy", 3)])
def test_losses_of_targets(loss, outputs, kinds):
    x, y = data(outputs, labels=False)
    assert_same([5, 6, outputs], x, y, loss=loss, fit={"sample_weight": np.linspace(0, 2, SAMPLES)})
    assert set(kinds) == {"tiny"}


def test_output_of_the_network_is_an_activation(kinds):
    x, y = data(3, labels=False)
    assert_same([5, 4, 3], x, y, activation=["tanh", "softmax"], loss="mean_squared_error")
    assert set(kinds) == {"tiny"}


def test_weights_of_classes(kinds):
    x, y = data(4, labels=True)
    assert_same([5, 4], x, y, loss="softmax_cross_entropy", fit={"class_weight": "balanced", "optimizer": "adam"})
    assert set(kinds) == {"tiny"}


@pytest.mark.parametrize(
    ("hidden", "batch", "options"),
    [([17], 333, {}), ([16, 16], 150, {}), ([6], 15, {}), ([6], 150, {"dropout": 0.3})],
)
def test_not_where_it_does_not_pay(hidden, batch, options, kinds):
    """Wider layers, smaller batches, and dropout, for which there is no such operation."""
    x, y = data(3, labels=True)
    assert_same([5, *hidden, 3], x, y, loss="softmax_cross_entropy", fit={"batch_size": batch}, **options)
    assert "" in kinds
