"""The order of the samples in each epoch: NumPy's shuffles, compiled or not, drawn ahead or not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neural_network import MLPClassifier as Theirs

from fastmlp import MLP, MLPClassifier
from fastmlp.backends import get_backend, shuffler
from fastmlp.orders import MANY, Orders

BITS = [np.random.MT19937, np.random.PCG64, np.random.Philox, np.random.SFC64]


@given(n=st.integers(0, 5000), seed=st.integers(0, 2**32 - 1), bits=st.sampled_from(BITS))
def test_the_compiled_shuffle_is_numpys(n, seed, bits):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shuffler, "MANY", 0)
        ours, numpys = np.random.RandomState(bits(seed)), np.random.RandomState(bits(seed))
        shuffle = get_backend("numba").shuffler(ours, n)
        order, expected = np.arange(n), np.arange(n)
        for _ in range(3):
            shuffle(order)
            numpys.shuffle(expected)
            np.testing.assert_array_equal(order, expected)
        assert ours.randint(1 << 40) == numpys.randint(1 << 40)  # and draws as many numbers


def test_a_subclass_shuffles_in_its_own_way():
    class Reversing(np.random.RandomState):
        def shuffle(self, x):
            x[...] = x[::-1].copy()

    order = np.arange(2000)
    get_backend("numba").shuffler(Reversing(0), 2000)(order)
    np.testing.assert_array_equal(order, np.arange(2000)[::-1])


@pytest.mark.parametrize("name", ["numpy", "numba"])
@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("n", [10, MANY + 1])
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


X = np.random.RandomState(0).normal(size=(MANY + 5, 4)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(np.int64)


@pytest.mark.parametrize("fit", [{"epochs": 3}, {"epochs": 50, "target_loss": 0.4}], ids=["to the end", "stopped"])
def test_a_second_fit_draws_what_comes_next(fit):
    """Whether or not epochs were drawn ahead that were never trained on."""
    trained = []
    for name in ("numpy", "numba"):
        model = MLP([4, 8, 2], backend=name, seed=3, dtype="float64")
        history = model.fit(X, Y, batch_size=500, **fit)
        assert len(history) < 50
        model.fit(X, Y, batch_size=500, epochs=2)
        trained.append(model.weights[0])
    np.testing.assert_allclose(*trained, rtol=1e-9)


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


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", [7, np.random.RandomState])
def test_an_estimator_draws_from_a_users_stream_in_turn(seed):
    """What the user draws from it during the fit and after it is what it would be with scikit-learn."""
    drawn, losses = [], []
    for kind, own in ((Theirs, {}), (MLPClassifier, {"backend": "numba"})):
        random = seed if seed == 7 else seed(7)
        model = kind((5,), max_iter=3, random_state=random, **own).fit(X.astype(np.float64), Y)
        losses.append(model.loss_curve_)
        drawn.append(None if seed == 7 else random.randint(1 << 30))
    np.testing.assert_allclose(*losses, rtol=1e-6)
    assert drawn[0] == drawn[1]
