"""Calls of compiled code, whose arguments nothing else checks, have the types that it was compiled for."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from fastmlp import MLP, SGD, Adam, MLPClassifier, MLPRegressor
from fastmlp.backends import numba_backend
from fastmlp.backends.compiled.entries import example
from fastmlp.backends.compiled.functions import COMMON, Library

RANDOM = np.random.RandomState(0)
X, Y, WEIGHTS = RANDOM.normal(size=(60, 5)).astype(np.float32), RANDOM.randint(0, 3, 60), RANDOM.rand(60)


def unaligned(array):
    copy = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def strided(array):
    return np.repeat(array, 2, axis=0)[::2]


def read_only(array):
    view = array.view()
    view.flags.writeable = False
    return view


def described(value):
    """What of an argument the machine code depends on."""
    if isinstance(value, tuple):
        return type(value), [*map(described, value)]
    if isinstance(value, np.ndarray):
        return value.dtype, value.ndim, value.flags.c_contiguous
    return bool if isinstance(value, bool) else float if isinstance(value, float) else int


@pytest.fixture
def checked(monkeypatch):
    """Check that every call has arguments of the types of its job; return the number of calls."""
    jobs, calls = {}, []
    compiled, run = Library.run, numba_backend._NetworkTeams.run
    words = numba_backend._NetworkTeams.words

    def noted(library, entry, *rest):
        found = compiled(library, entry, *rest)
        jobs[id(found)] = found, entry
        return found

    def chosen(operations, entry, call):
        found = run(operations, entry, call)
        operations.expected = list(map(described, example(jobs[id(found)][1])[1:]))
        return found

    def written(operations, arguments):
        calls.append(arguments)
        given = list(map(described, arguments))
        # an epoch's losses are a thread's own
        assert given == operations.expected[: len(given)] and len(operations.expected) - len(given) in (0, 1)
        return words(operations, arguments)

    monkeypatch.setattr(COMMON, "runs", {})
    monkeypatch.setattr(Library, "run", noted)
    monkeypatch.setattr(numba_backend._NetworkTeams, "run", chosen)
    monkeypatch.setattr(numba_backend._NetworkTeams, "words", written)
    return calls


def train(x=X, y=Y, sample_weight=None, *, dtype="float32", fit=None, **network):
    model = MLP([5, 8, 3], backend="numba", seed=0, dtype=dtype, **network)
    model.fit(x, y, sample_weight=sample_weight, **{"epochs": 3, "batch_size": 16} | (fit or {}))
    model.evaluate(x, y)
    model.gradients(x, y)
    model.predict(x)
    return model.weights[0]


@pytest.mark.parametrize("made", [unaligned, strided, read_only, np.asfortranarray])
def test_arrays_of_all_sorts(made, checked):
    for dtype in ("float32", "float64"):
        expected = train(X, Y, WEIGHTS, dtype=dtype)
        np.testing.assert_array_equal(train(made(X), made(Y), made(WEIGHTS), dtype=dtype), expected)
        np.testing.assert_array_equal(train(X, Y, WEIGHTS, dtype=dtype), expected)
    assert checked


@pytest.mark.parametrize(
    "samples", [X.astype(np.float16), (100 * X).astype(np.int8), X.astype(">f8"), csr_matrix(X)], ids=str
)
def test_samples_of_other_dtypes(samples, checked):
    first = train(X)
    train(samples)
    np.testing.assert_array_equal(train(X), first)
    assert checked


class Given:
    """A schedule with given rates."""

    def __init__(self, rate, kind):
        self.rate, self.kind = rate, kind

    def rates(self, lr, epoch, epochs, steps, losses):
        return self.kind([self.rate] * steps)


RATES = [list, np.array, lambda rates: np.array(rates, np.int64), lambda rates: np.array(rates, np.float32)]


@pytest.mark.parametrize("optimizer", [SGD(1.0), SGD(1.0, momentum=0.5), Adam(1.0)], ids=str)
@pytest.mark.parametrize("order", [1, -1])
def test_rates_of_a_users_schedule(optimizer, order, checked):
    for rate in (1, 0):
        fits = [{"optimizer": optimizer, "schedule": Given(rate, kind)} for kind in RATES[::order]]
        expected, *others = (train(fit=fit) for fit in fits)
        for other in others:
            np.testing.assert_array_equal(other, expected)
    assert checked


def test_whole_numbers_for_constants(checked):
    for l2, max_norm in ((0, 1), (0.0, 1.0), (1, 2), (1.0, 2.0)):
        train(l2=l2, fit={"max_norm": max_norm, "optimizer": SGD(1, momentum=0)})
    assert checked


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
def test_estimators(solver, checked):
    for kind, y in ((MLPClassifier, Y), (MLPRegressor, WEIGHTS)):
        for x in (X, X.astype(np.float64), csr_matrix(X)):
            model = kind(
                hidden_layer_sizes=(4,), solver=solver, max_iter=5, random_state=0, backend="numba", early_stopping=True
            )
            model.fit(x, y, sample_weight=strided(WEIGHTS)).predict(x)
            if solver != "lbfgs":
                model.set_params(early_stopping=False).partial_fit(x, y)
    assert checked


def test_a_task_that_fails_in_its_thread_is_an_error_here_and_the_thread_lives_on():
    from fastmlp.backends.teams import TeamPool

    def fail():
        raise ZeroDivisionError

    teams = TeamPool()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            teams.run(2, 2, lambda size: [lambda: 0.0, fail])
        assert teams.run(2, 2, lambda size: [lambda: 1.0, lambda: 2.0]) == 3.0
