"""Threads that cannot be started: runs continue with those that can, with the same bits."""

import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastmlp import MLP
from fastmlp.backends import get_backend, numba_backend, threads
from fastmlp.backends.teams import TeamPool
from fastmlp.orders import PREFETCH_FROM, Orders

SIZES, BATCH, WANTED = [128, 64, 70, 3], 64, 4
RANDOM = np.random.RandomState(0)
X, Y = RANDOM.standard_normal((2 * BATCH, SIZES[0])), RANDOM.randint(0, 3, 2 * BATCH)


def train(n_threads=None):
    model = MLP(SIZES, "tanh", backend="numba", seed=0, n_threads=n_threads)
    history = model.fit(X, Y, epochs=2, batch_size=BATCH, optimizer="adam")
    return np.concatenate([array.ravel() for array in (*model.weights, *model.biases)] + [history["loss"]])


@pytest.fixture
def account(monkeypatch):
    """The teams of a process without any of their threads yet, on an idle machine with four cores."""
    monkeypatch.delenv("FASTMLP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "_cpu_count", lambda _: WANTED)
    monkeypatch.setattr(threads._BLAS, "threads", lambda: WANTED)
    monkeypatch.setattr(threads, "WORK_PER_RUN", 1)
    monkeypatch.setattr(numba_backend, "POOL", TeamPool())
    monkeypatch.setattr(TeamPool, "_yield_to_others", lambda *_: None)
    return numba_backend.POOL


@pytest.fixture
def sizes(monkeypatch):
    """The sizes of the teams that have run."""
    seen, team = [], numba_backend._NetworkTeams.team
    monkeypatch.setattr(numba_backend._NetworkTeams, "team", lambda *given: seen.append(given[1]) or team(*given))
    return seen


def allow(monkeypatch, number):
    """Let the system start at most this many more threads of the team."""
    left, start = [None] * number, threading.Thread.start

    def limited(thread):
        if thread.name == "fastmlp":
            if not left:
                raise RuntimeError("can't start new thread")
            left.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)


@pytest.mark.parametrize("allowed", [0, 1, 2])
@pytest.mark.parametrize("n_threads", [None, WANTED])
def test_a_run_has_the_threads_that_can_be_started(account, sizes, caplog, n_threads, allowed):
    expected = train(1)
    sizes.clear()
    with pytest.MonkeyPatch.context() as monkeypatch, caplog.at_level(logging.WARNING, "fastmlp"):
        allow(monkeypatch, allowed)
        for _ in range(2):
            np.testing.assert_array_equal(train(n_threads), expected)
    assert set(sizes) == {1 + allowed}
    [said] = caplog.messages
    assert f"Only {1 + allowed} of {WANTED} threads could be had" in said
    sizes.clear()  # later there are more
    np.testing.assert_array_equal(train(2), expected)
    np.testing.assert_array_equal(train(n_threads), expected)
    assert set(sizes) == {2, WANTED}
    assert account._reserved == 0


def test_runs_at_once_share_the_threads_that_there_are(account, monkeypatch):
    """No team waits at a barrier for a thread that works for another team."""
    expected = train(1)
    allow(monkeypatch, 3)
    with ThreadPoolExecutor(4) as pool:
        for learned in pool.map(train, [3] * 12):
            np.testing.assert_array_equal(learned, expected)
    assert account._reserved == 0
    assert account._threads == 3


def test_a_run_that_cannot_be_prepared_gives_its_threads_back(account):
    def fail(size):
        raise MemoryError

    for _ in range(2):
        with pytest.raises(MemoryError):
            account.run(WANTED, 1, fail)
    assert (account._reserved, account._threads) == (0, WANTED - 1)


def test_orders_are_the_same_if_their_thread_cannot_be_started(monkeypatch):
    """A thread that can be started later does not draw an order that was requested before."""
    failing, start = [True], threading.Thread.start

    def unwilling(thread):
        if thread.name.startswith("fastmlp-orders") and failing:
            failing.pop()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", unwilling)
    random, expected = np.random.RandomState(4), np.random.RandomState(4)
    order = np.arange(PREFETCH_FROM)
    orders = Orders(order.copy(), random, get_backend("numpy").shuffler, 1, True)
    for epoch in range(6):
        expected.shuffle(order)
        np.testing.assert_array_equal(orders.take(1, 5 - epoch), order[None])
    orders.close()
    assert not failing
    assert random.randint(1 << 40) == expected.randint(1 << 40)


def under_a_limit():
    """Train as a user who may not start threads; print the sizes of the teams."""
    import resource

    import numpy.testing  # noqa: F401  # while its files may be read

    numba_backend.POOL._yield_to_others = lambda *_: None
    threads._cpu_count = lambda _: WANTED
    seen, team = [], numba_backend._NetworkTeams.team
    numba_backend._NetworkTeams.team = lambda *given: seen.append(given[1]) or team(*given)
    expected = train(1)  # compiles, or reads the cache that may be closed to another user
    seen.clear()
    if os.getuid() == 0:  # whom no limit binds
        os.setgid(65534)
        os.setuid(65534)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    try:
        threading.Thread(target=int).start()
    except RuntimeError:
        for n_threads in (32, 2, None):
            np.testing.assert_array_equal(train(n_threads), expected)
        print(*set(seen))
    else:
        print("no limit")


@pytest.mark.skipif(sys.platform != "linux", reason="limits the processes of a user, not their threads")
def test_a_limit_of_the_systems():
    script = "import logging, test_few_threads; logging.basicConfig(); test_few_threads.under_a_limit()"
    here = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    given = {"env": os.environ | here, "capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run([sys.executable, "-c", script], **given)
    assert done.returncode == 0, done.stderr
    if done.stdout == "no limit\n":
        pytest.skip("this system starts threads beyond RLIMIT_NPROC")
    assert done.stdout == "1\n"
    assert done.stderr.count("threads could be had") == 1
