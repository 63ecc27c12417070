"""The order of the samples in each epoch: NumPy's shuffles, compiled or not, prefetched or not."""

import copy
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neural_network import MLPClassifier as Theirs

from fastmlp import MLP, MLPClassifier
from fastmlp.backends import get_backend
from fastmlp.orders import PREFETCH_FROM, Orders

BITS = [np.random.MT19937, np.random.PCG64, np.random.Philox, np.random.SFC64]


@given(n=st.integers(0, 5000), epochs=st.integers(1, 3), seed=st.integers(0, 2**32 - 1), bits=st.sampled_from(BITS))
def test_the_compiled_shuffle_is_numpys(n, epochs, seed, bits):
    ours, numpys = np.random.RandomState(bits(seed)), np.random.RandomState(bits(seed))
    shuffle = get_backend("numba").shuffler(ours, n)
    orders, expected = np.tile(np.arange(n), (epochs, 1)), np.arange(n)
    for _ in range(2):
        shuffle(orders, orders[-1])
        for order in orders:
            numpys.shuffle(expected)
            np.testing.assert_array_equal(order, expected)
    assert ours.randint(1 << 40) == numpys.randint(1 << 40)  # and draws as many numbers


def test_a_subclass_shuffles_in_its_own_way():
    class Reversing(np.random.RandomState):
        def shuffle(self, x):
            x[...] = x[::-1].copy()

    orders = np.zeros((2, 7), np.int64)
    get_backend("numba").shuffler(Reversing(0), 7)(orders, np.arange(7))
    np.testing.assert_array_equal(orders, [np.arange(7)[::-1], np.arange(7)])


@pytest.mark.parametrize("name", ["numpy", "numba"])
@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("n", [10, PREFETCH_FROM + 1])
@pytest.mark.parametrize("taken", [0, 1, 3, 5])
def test_orders_and_the_state_that_is_left(name, private, n, taken):
    """Five epochs are asked for; after some of them it is enough."""
    random, expected = np.random.RandomState(4), np.random.RandomState(4)
    samples = np.arange(n)[::-1].copy()
    order = samples.copy()
    orders = Orders(samples, random, get_backend(name).shuffler, 1, private)
    for epoch in range(taken):
        expected.shuffle(order)
        np.testing.assert_array_equal(orders.take(1, 4 - epoch), order[None])
    orders.close()
    assert random.randint(1 << 40) == expected.randint(1 << 40)
    np.testing.assert_array_equal(samples, np.arange(n)[::-1])


def test_several_epochs_at_once():
    random, expected, order = np.random.RandomState(4), np.random.RandomState(4), np.arange(30)
    orders = Orders(np.arange(30), random, get_backend("numpy").shuffler, 4, True)
    for count in (4, 2, 1, 3):
        for taken in orders.take(count, 9):
            expected.shuffle(order)
            np.testing.assert_array_equal(taken, order)


def test_without_a_shuffle_the_order_is_that_of_the_samples():
    orders = Orders(np.arange(6), None, get_backend("numpy").shuffler, 2, True)
    np.testing.assert_array_equal(orders.take(2, 0), [np.arange(6)] * 2)
    orders.close()


X = np.random.RandomState(0).normal(size=(PREFETCH_FROM + 5, 4)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(np.int64)


@pytest.mark.parametrize("fit", [{"epochs": 3}, {"epochs": 50, "target_loss": 0.4}], ids=["to the end", "stopped"])
@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_a_fit_leaves_the_generator_where_its_last_epoch_did(name, fit):
    """Whether or not an epoch was drawn ahead that was never trained on."""
    model = MLP([4, 8, 2], backend=name, seed=3)
    expected, order = copy.deepcopy(model._random), np.arange(len(X))
    history = model.fit(X, Y, batch_size=500, **fit)
    assert len(history) < 50
    for _ in range(len(history)):
        expected.shuffle(order)
    assert model._random.randint(1 << 40) == expected.randint(1 << 40)


def seed_or_stream(kind):
    return 7 if kind == "seed" else np.random.RandomState(7)


@pytest.mark.parametrize("kind", ["seed", "stream"])
def test_what_callbacks_see_and_draw_is_in_turn(kind):
    """A copy of the model goes on as the model does, and a user's stream serves a callback between the epochs."""
    seed, copies, drawn = seed_or_stream(kind), [], []

    def look(epoch):
        copies.append(copy.deepcopy(epoch.model))
        if kind == "stream":
            drawn.append(seed.randint(1 << 30))

    model = MLP([4, 8, 2], backend="numba", seed=seed)
    random, order = copy.deepcopy(model._random), np.arange(len(X))
    model.fit(X, Y, batch_size=500, epochs=4, callbacks=[look])
    expected = []
    for copied in copies:
        random.shuffle(order)
        assert copied._random.randint(1 << 40) == copy.deepcopy(random).randint(1 << 40)
        expected.append(random.randint(1 << 30) if kind == "stream" else None)
    assert kind == "seed" or drawn == expected


def test_a_callback_that_raises_leaves_the_next_draws_alone():
    def fail(epoch):
        raise ZeroDivisionError

    model, twin = (MLP([4, 8, 2], backend="numba", seed=3) for _ in range(2))
    with pytest.raises(ZeroDivisionError):
        model.fit(X, Y, batch_size=500, epochs=9, callbacks=[fail])
    twin.fit(X, Y, batch_size=500, epochs=1)
    for each in (model, twin):
        each.fit(X, Y, batch_size=500, epochs=1)
    np.testing.assert_array_equal(model.weights[0], twin.weights[0])


def test_a_fit_may_outlive_the_main_thread():
    """At its end Python starts no more threads; the fit goes on without."""
    script = """
import threading, numpy as np
from fastmlp import MLP
x = np.random.RandomState(0).rand(9000, 3)
model = MLP([3, 4, 2], backend="numpy", seed=0)
def fit():
    print(len(model.fit(x, (x[:, 0] > 0.5).astype(int), epochs=40, batch_size=50)))
threading.Thread(target=fit).start()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "40\n", "")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["seed", "stream"])
def test_an_estimator_draws_from_a_users_stream_in_turn(kind):
    """Stopped early, it leaves the stream where scikit-learn does."""
    drawn, losses = [], []
    for estimator, own in ((Theirs, {}), (MLPClassifier, {"backend": "numba"})):
        random = seed_or_stream(kind)
        stopping = {"max_iter": 30, "tol": 10.0, "n_iter_no_change": 2}
        model = estimator((5,), random_state=random, **stopping, **own).fit(X.astype(np.float64), Y)
        assert model.n_iter_ < 30
        losses.append(model.loss_curve_)
        drawn.append(None if kind == "seed" else random.randint(1 << 30))
    np.testing.assert_allclose(*losses, rtol=1e-6)
    assert drawn[0] == drawn[1]
