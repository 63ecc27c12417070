"""Several short epochs in one call of the backend give the results of epochs that are run one by one."""

import numpy as np
import pytest

from fastmlp import MLP, MLPClassifier
from fastmlp.backends import get_backend
from fastmlp.errors import DivergenceError
from fastmlp.history import History
from fastmlp.optimizers import SGD, Adam, RMSprop
from fastmlp.schedules import Cosine, ReduceOnPlateau, Schedule, WarmUp, get_schedule

X = np.random.RandomState(0).normal(size=(70, 4))
Y = (X[:, 0] > X[:, 1]).astype(int) + (X[:, 2] > 1)


def one_by_one(epoch):
    """A callback, which must be called after every epoch."""


@pytest.fixture
def calls(monkeypatch):
    """The number of epochs in each call of the Numba backend."""
    kind, counts = type(get_backend("numba")), []
    train = kind.train

    def counted(self, operations, net, data, update, orders, *arguments):
        counts.append(len(orders))
        return train(self, operations, net, data, update, orders, *arguments)

    monkeypatch.setattr(kind, "train", counted)
    return counts


def network(dropout=0.0):
    return MLP([4, 8, 3], "tanh", dropout=dropout, backend="numba", seed=1)


def assert_same(one, other):
    for a, b in zip((*one.weights, *one.biases), (*other.weights, *other.biases), strict=True):
        np.testing.assert_array_equal(a, b)
    names = "loss", "learning_rate"
    assert [one.history[name] for name in names] == [other.history[name] for name in names]
    assert (one.history.updates, one.history.stopped) == (other.history.updates, other.history.stopped)


@pytest.mark.parametrize(
    "schedule", ["constant", "step", "exponential", "inverse_scaling", "cosine", "one_cycle", "warm_up"]
)
@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, momentum=0.9), Adam(0.01), RMSprop(0.01)], ids=str)
@pytest.mark.parametrize("batch_size", [16, 70])
def test_same_weights_and_history(schedule, optimizer, batch_size, calls):
    fit = {"epochs": 23, "batch_size": batch_size, "optimizer": optimizer, "schedule": schedule}
    at_once, single = network(dropout=0.2), network(dropout=0.2)
    at_once.fit(X, Y, **fit)
    assert calls == [23]
    single.fit(X, Y, **fit, callbacks=[one_by_one])
    assert calls == [23] + 23 * [1]
    assert_same(at_once, single)


def test_the_stream_of_shuffles_goes_on_as_it_would(calls):
    at_once, single = network(), network()
    for epochs in (3, 5):
        at_once.fit(X, Y, epochs=epochs, batch_size=16)
        single.fit(X, Y, epochs=epochs, batch_size=16, callbacks=[one_by_one])
    assert calls == [3, 1, 1, 1, 5, 1, 1, 1, 1, 1]
    assert_same(at_once, single)


def test_patience_bounds_how_many(calls):
    fit = {"epochs": 400, "batch_size": 70, "optimizer": SGD(0.5), "patience": 4, "tol": 1e-3}
    at_once, single = network(), network()
    at_once.fit(X, Y, **fit)
    assert max(calls) == 4 and len(calls) < sum(calls) == len(at_once.history) < 400
    assert at_once.history.stopped == "plateau"
    single.fit(X, Y, **fit, callbacks=[one_by_one])
    assert_same(at_once, single)


class Halved:
    """A user's schedule that does not set `ignores_losses`."""

    def rates(self, lr, epoch, epochs, steps, losses):
        return np.full(steps, lr / (1 + len(losses)))


class Falling(Cosine):
    """One that takes over nothing but the name."""

    def rates(self, lr, epoch, epochs, steps, losses):
        return np.full(steps, lr * min(losses, default=1.0))


@pytest.mark.parametrize("schedule", [ReduceOnPlateau(), WarmUp(2, ReduceOnPlateau()), Halved(), Falling()], ids=type)
def test_schedules_that_look_at_losses_see_each(schedule, calls):
    assert isinstance(get_schedule(schedule), Schedule)
    network().fit(X, Y, epochs=5, schedule=schedule)
    assert calls == 5 * [1]


@pytest.mark.parametrize(
    "option",
    [
        {"validation_data": (X, Y)},
        {"metrics": ["accuracy"]},
        {"gradient_norms": True},
        {"target_loss": 0.0},
        {"restore_best": True},
    ],
    ids=lambda option: next(iter(option)),
)
def test_what_needs_the_weights_of_each_epoch_has_them(option, calls):
    network().fit(X, Y, epochs=5, **option)
    assert calls == 5 * [1]


def test_long_epochs_are_calls_of_their_own(calls):
    x = np.tile(X, (300, 1))
    network().fit(x, np.tile(Y, 300), epochs=3, batch_size=1000)
    assert calls == [1, 1, 1]


@pytest.mark.parametrize("when", ["training", "recording"])
def test_ctrl_c_among_them_leaves_weights_and_history_of_the_same_epochs(when, monkeypatch):
    """It comes in the second call, as this trains, or as its rows go into the history."""

    def counted(method, limit):
        calls = []

        def interrupted(*arguments, **keywords):
            calls.append(arguments)
            result = method(*arguments, **keywords)
            if len(calls) == limit:
                raise KeyboardInterrupt
            return result

        return interrupted

    model, twin = network(), network()
    fit = {"batch_size": 16, "optimizer": SGD(0.05, momentum=0.9), "patience": 4}  # so that four or less run together
    with monkeypatch.context() as patch:
        if when == "training":
            kind = type(get_backend("numba"))
            patch.setattr(kind, "train", counted(kind.train, 2))
        else:
            patch.setattr(History, "extend", counted(History.extend, 2))
        history = model.fit(X, Y, epochs=50, **fit)
    assert (history.stopped, len(history)) == ("interrupt", 4 if when == "training" else 8)
    twin.fit(X, Y, epochs=len(history), **fit)
    np.testing.assert_array_equal(model.weights[0], twin.weights[0])
    assert history.updates == twin.history.updates and history["loss"] == twin.history["loss"]


@pytest.mark.parametrize("optimizer", [SGD(6.0), SGD(6.0, momentum=0.9)], ids=str)
def test_divergence_among_them_keeps_the_weights_of_the_epoch_before(optimizer, calls):
    def fit(model, **more):
        with pytest.raises(DivergenceError) as caught:
            model.fit(X, X[:, :3], epochs=90, optimizer=optimizer, batch_size=70, **more)
        return str(caught.value)

    at_once, single = (MLP([4, 3], loss="mean_squared_error", backend="numba", seed=1) for _ in range(2))
    assert fit(at_once) == fit(single, callbacks=[one_by_one])
    assert calls[0] == 90 and 10 < len(at_once.history) < 89
    assert_same(at_once, single)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # without end, if inf is the patience
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize("n_iter_no_change", [1, 10, np.inf])
def test_an_estimator_stops_where_it_would(learning_rate, n_iter_no_change, calls):
    stopping = {"n_iter_no_change": n_iter_no_change, "tol": 1e-3, "max_iter": 300}
    rule = {"solver": "sgd", "learning_rate": learning_rate, "learning_rate_init": 0.3}
    parameters = stopping | rule | {"random_state": 0, "backend": "numba"}
    at_once = MLPClassifier((8,), **parameters).fit(X, Y)
    assert sum(calls) == at_once.n_iter_ and len(calls) < at_once.n_iter_
    single = MLPClassifier((8,), **parameters, callbacks=[one_by_one]).fit(X, Y)
    assert (at_once.loss_curve_, at_once.t_) == (single.loss_curve_, single.t_)
    for a, b in zip(at_once.coefs_, single.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
