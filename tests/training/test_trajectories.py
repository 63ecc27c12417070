"""Whole training runs: the same on every backend, reproducible, and the same as in PyTorch and scikit-learn."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from fastmlp import MLP, SGD, Adam, AdamW, RMSprop
from fastmlp.backends import get_backend

OPTIMIZERS = {
    "sgd": SGD(0.1),
    "momentum": SGD(0.05, momentum=0.9),
    "nesterov": SGD(0.05, momentum=0.9, nesterov=True),
    "rmsprop": RMSprop(0.003),
    "adam": Adam(0.005),
    "adamw": AdamW(0.005, decay=0.1),
}
# Of parameters around 1 after 100 updates. Rounding differs between the backends and grows along the way.
DRIFT = {"float64": 1e-12, "float32": 5e-5}
EXTRAS = {
    "plain": ({}, {}),
    "dropout": ({"dropout": [0.2, 0.4]}, {}),
    "penalties": ({"l1": 1e-3, "l2": 1e-2}, {}),
    "l2": ({"l2": 1e-2}, {}),
    "clipped": ({}, {"max_norm": 0.1}),
    "weighted": ({"reduction": "sum"}, {"sample_weight": np.linspace(0, 0.2, 150)}),
}


def samples(n=150):
    random = np.random.RandomState(0)
    x = random.standard_normal((n, 6))
    return x, (x[:, 0] > 0).astype(int) + (x[:, 1] * x[:, 2] > 0)


def flat(model):
    return np.concatenate([array.ravel() for array in (*model.weights, *model.biases)])


def train(backend, optimizer, dtype="float64", n=150, options=None, **fit):
    """100 updates: ten epochs of nine batches of 16 and a ragged one of 6."""
    x, y = samples(n)
    model = MLP([6, 9, 7, 3], "tanh", dtype=dtype, backend=backend, seed=3, **{"n_threads": 1} | (options or {}))
    history = model.fit(x, y, optimizer=optimizer, **{"epochs": 10, "batch_size": 16} | fit)
    return model, history


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_numba_follows_numpy_for_100_updates(name, extra, dtype):
    options, fit = EXTRAS[extra]
    runs = [train(backend, OPTIMIZERS[name], dtype, options=options, **fit) for backend in ("numpy", "numba")]
    (one, first), (other, second) = runs
    assert first.updates == second.updates == 100
    np.testing.assert_allclose(flat(one), flat(other), rtol=0, atol=DRIFT[dtype])
    np.testing.assert_allclose(first["loss"], second["loss"], rtol=DRIFT[dtype])
    assert first["loss"][-1] < first["loss"][0]


@pytest.mark.parametrize("options", [{}, {"dropout": 0.3, "l2": 0.01}], ids=["plain", "dropout"])
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_full_batches_of_several_chunks(name, options, dtype):
    fit = {"n": 1100, "batch_size": "full", "epochs": 20, "options": options}
    (one, first), (other, second) = (train(b, OPTIMIZERS[name], dtype, **fit) for b in ("numpy", "numba"))
    assert first.updates == second.updates == 20
    np.testing.assert_allclose(flat(one), flat(other), rtol=0, atol=DRIFT[dtype])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_plain_sgd_straight_into_the_weights_is_plain_sgd(backend, reduction):
    options = {"l2": 0.05, "reduction": reduction}
    fit = {"optimizer": SGD(0.01), "options": options, "sample_weight": np.linspace(0, 2, 150)}
    direct, first = train(backend, **fit)
    # a gradient that may have to be clipped cannot go straight into the weights
    gathered, second = train(backend, max_norm=1e9, **fit)
    np.testing.assert_allclose(flat(direct), flat(gathered), rtol=0, atol=DRIFT["float64"])
    np.testing.assert_allclose(first["loss"], second["loss"], rtol=1e-12)


def test_the_size_of_the_chunks_changes_nothing(backend, monkeypatch):
    fit = {"n": 300, "batch_size": "full", "options": {"dropout": 0.3, "l1": 1e-3}}
    whole, _ = train(backend, OPTIMIZERS["momentum"], **fit)
    monkeypatch.setattr(type(get_backend(backend)), "chunk", 64)
    cut, _ = train(backend, OPTIMIZERS["momentum"], **fit)
    np.testing.assert_allclose(flat(cut), flat(whole), rtol=0, atol=DRIFT["float64"])
    assert (flat(cut) != flat(whole)).any()  # else the chunks were not cut


@pytest.mark.parametrize("threads", [1, 2])
def test_a_repeated_run_is_the_same_to_the_last_bit(backend, threads, dtype):
    options = {"dropout": 0.2, "l1": 1e-3, "n_threads": threads}
    runs = [train(backend, OPTIMIZERS["adam"], dtype, options=options, max_norm=0.5) for _ in range(3)]
    for model, history in runs[1:]:
        np.testing.assert_array_equal(flat(model), flat(runs[0][0]))
        assert history["loss"] == runs[0][1]["loss"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_threads_train_as_one_does(name):
    options = {"dropout": 0.2, "l1": 1e-3, "l2": 1e-2}
    one, _ = train("numba", OPTIMIZERS[name], options=options, max_norm=0.5)
    two, _ = train("numba", OPTIMIZERS[name], options=options | {"n_threads": 2}, max_norm=0.5)
    np.testing.assert_allclose(flat(one), flat(two), rtol=0, atol=DRIFT["float64"])


def test_an_epoch_in_several_calls_is_the_epoch_in_one(backend, monkeypatch):
    options = {"dropout": 0.3}
    whole, first = train(backend, OPTIMIZERS["adam"], options=options)
    monkeypatch.setattr(type(get_backend(backend)), "span_work", 1.0)  # every batch is a call of its own
    cut, second = train(backend, OPTIMIZERS["adam"], options=options)
    np.testing.assert_array_equal(flat(whole), flat(cut))
    np.testing.assert_allclose(first["loss"], second["loss"], rtol=1e-12)
    assert first.updates == second.updates == 100


def test_the_same_seed_gives_the_same_batches_on_every_backend(backend, monkeypatch):
    def batches(name):
        kind, orders = type(get_backend(name)), []
        train_backend = kind.train

        def spy(self, operations, net, data, update, epochs, *rest):
            orders.extend(epochs.copy())
            return train_backend(self, operations, net, data, update, epochs, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(kind, "train", spy)
            train(name, OPTIMIZERS["sgd"])
        return orders

    reference = batches("numpy")
    assert len(reference) == 10
    np.testing.assert_array_equal(batches(backend), reference)
    np.testing.assert_array_equal(np.sort(reference, axis=1), [np.arange(150)] * 10)
    assert (reference[0] != reference[1]).any()


def test_another_seed_is_another_run(backend):
    x, y = samples()
    models = [MLP([6, 5, 3], seed=seed, backend=backend) for seed in (0, 1)]
    for model in models:
        model.fit(x, y, epochs=1)
    assert (flat(models[0]) != flat(models[1])).mean() > 0.9


def torch_twin(torch, model):
    """A copy of a tanh network in PyTorch: modules, and their parameters with the weights before the biases."""
    layers = []
    for w, b in zip(model.weights, model.biases, strict=True):
        layer = torch.nn.Linear(*w.shape, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(w.T.copy()))
            layer.bias.copy_(torch.from_numpy(b.copy()))
        layers += [layer, torch.nn.Tanh()]
    linear = layers[::2]
    return torch.nn.Sequential(*layers[:-1]), [m.weight for m in linear], [m.bias for m in linear]


def torch_optimizer(torch, name, weights, biases):
    both, optim = [*weights, *biases], torch.optim
    return {
        "sgd": lambda: optim.SGD(both, lr=0.1),
        "momentum": lambda: optim.SGD(both, lr=0.05, momentum=0.9),
        "nesterov": lambda: optim.SGD(both, lr=0.05, momentum=0.9, nesterov=True),
        "rmsprop": lambda: optim.RMSprop(both, lr=0.003, alpha=0.9, eps=1e-8),
        "adam": lambda: optim.Adam(both, lr=0.005),
        "adamw": lambda: optim.AdamW(
            [{"params": biases, "weight_decay": 0.0}, {"params": weights}], 0.005, weight_decay=0.1
        ),
    }[name]()


@pytest.mark.parametrize(("name", "clipped"), [*((name, False) for name in OPTIMIZERS), ("momentum", True)])
def test_pytorch_goes_the_same_way(backend, name, clipped):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    torch.set_num_threads(1)  # for networks this small, threads only wait for one another
    x, y = samples()
    ours = MLP([6, 9, 7, 3], "tanh", dtype="float64", backend=backend, seed=3, n_threads=1)
    theirs, weights, biases = torch_twin(torch, ours)
    optimizer = torch_optimizer(torch, name, weights, biases)
    inputs, labels, losses = torch.from_numpy(x), torch.from_numpy(y), []
    for _ in range(10):
        total = 0.0
        for first in range(0, 150, 16):
            optimizer.zero_grad()
            batch = slice(first, first + 16)
            loss = torch.nn.functional.cross_entropy(theirs(inputs[batch]), labels[batch])
            loss.backward()
            if clipped:
                torch.nn.utils.clip_grad_norm_([*weights, *biases], 0.1)
            optimizer.step()
            total += loss.item() * len(labels[batch])
        losses.append(total / 150)
    history = ours.fit(
        x, y, optimizer=OPTIMIZERS[name], epochs=10, batch_size=16, shuffle=False, max_norm=0.1 if clipped else None
    )
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-6 if clipped else 1e-10)
    found = [*(w.T for w in ours.weights), *ours.biases]
    # PyTorch divides by the norm + 1e-6 when it clips
    tolerance = 1e-5 if clipped else 1e-10
    for one, other in zip(found, [*weights, *biases], strict=True):
        np.testing.assert_allclose(one, other.detach().numpy(), rtol=0, atol=tolerance)


def draws_of_scikit_learn(sizes, random):
    """Its initial weights and biases: Glorot's uniform law for both, drawn layer by layer."""
    weights, biases = [], []
    for fan_in, fan_out in pairwise(sizes):
        bound = np.sqrt(6 / (fan_in + fan_out))
        weights.append(random.uniform(-bound, bound, (fan_in, fan_out)))
        biases.append(random.uniform(-bound, bound, fan_out))
    return weights, biases


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("peer", [MLPClassifier, MLPRegressor])
def test_scikit_learn_goes_the_same_way(backend, peer, momentum):
    """Three epochs, shuffled: its initial weights and, from the same generator, its batches."""
    x, y = samples()
    theirs = peer(
        hidden_layer_sizes=(9, 7),
        activation="tanh",
        solver="sgd",
        alpha=0,
        batch_size=16,
        learning_rate_init=0.05,
        max_iter=3,
        momentum=momentum,
        nesterovs_momentum=momentum > 0,
        random_state=5,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(x, y)
    random = np.random.RandomState(5)
    sizes, loss = (
        ([6, 9, 7, 3], "softmax_cross_entropy") if peer is MLPClassifier else ([6, 9, 7, 1], "half_squared_error")
    )
    ours = MLP(sizes, "tanh", loss=loss, dtype="float64", initializer="zeros", backend=backend, seed=random)
    ours.set_parameters(*draws_of_scikit_learn(sizes, random))
    optimizer = SGD(0.05, momentum=momentum, nesterov=momentum > 0)
    history = ours.fit(x, y, epochs=3, batch_size=16, optimizer=optimizer)
    for one, other in zip((*ours.weights, *ours.biases), (*theirs.coefs_, *theirs.intercepts_), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    np.testing.assert_allclose(history["loss"], theirs.loss_curve_, rtol=1e-12)
