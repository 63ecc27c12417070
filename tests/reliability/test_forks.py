"""Forks while other threads run: they wait for imports, compilations and draws, and the child can train."""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from numba.core.compiler_lock import global_compiler_lock
from tqdm.std import TqdmDefaultWriteLock

from fastmlp import MLP, backends, forks
from fastmlp.backends.compiled.functions import COMMON, Library
from fastmlp.forks import no_fork
from fastmlp.orders import PREFETCH_FROM, Orders

LONG = 6  # seconds, for what would otherwise hang

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


def fit(seed=0, **options):
    random = np.random.RandomState(0)
    x, y = random.rand(20, 3), random.randint(0, 2, 20)
    model = MLP([3, 4, 2], backend="numba", n_threads=2, seed=seed)
    model.fit(x, y, epochs=2, batch_size=5, **options)
    return model.predict(x)


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Compile the kernels first, so that no fork waits long."""
    fit()


def fork(work=fit):
    """Exit code of a forked child that does the work: 0 if it finishes in time."""
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LONG)
    try:
        child = os.fork()
    finally:
        signal.alarm(0)
    if not child:
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(LONG)
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def give_up(*_signal):
    raise TimeoutError("The fork waits for ever.")  # which ends the waiting


class Hold:
    """Delays a thread other than the main thread that calls it, until 0.2 s after the main thread starts to fork."""

    def __init__(self):
        self.held, self.go, self.ended = threading.Event(), threading.Event(), False

    def __call__(self):
        if threading.current_thread() is not threading.main_thread():
            self.held.set()
            assert self.go.wait(LONG)
            time.sleep(0.2)
            self.ended = True

    def amid(self, task, work=fit):
        """Fork while a thread is delayed in the task; return the child's exit code, 2 if the fork did not wait."""
        with ThreadPoolExecutor(1) as pool:
            busy = pool.submit(task)
            assert self.held.wait(LONG)
            self.go.set()
            code = fork(lambda: work() if self.ended else os._exit(2))
            busy.result(LONG)
        return code


@pytest.fixture
def hold():
    return Hold()


def test_while_a_module_is_imported(hold, tmp_path, monkeypatch):
    backends._backend_class.cache_clear()  # as in a process that has not imported the backend yet
    (tmp_path / "held_module.py").write_text("import sys; sys.hold()")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "hold", hold, raising=False)
    monkeypatch.setattr(
        backends, "import_module", lambda name: [importlib.import_module(each) for each in ("held_module", name)][1]
    )
    assert hold.amid(fit) == 0
    del sys.modules["held_module"]


def test_while_code_is_compiled(hold, monkeypatch):
    run = Library.run
    monkeypatch.setattr(COMMON, "runs", {})
    monkeypatch.setattr(Library, "run", lambda *given: hold() or run(*given))
    assert hold.amid(fit) == 0


@pytest.mark.parametrize("ahead", [False, True])
def test_while_an_order_is_drawn(hold, ahead):
    """By the training thread or by the prefetching one. The child draws from the same generator."""
    random = np.random.RandomState(0)

    def shuffle(orders, last):
        with random._bit_generator.lock:
            hold()

    orders = Orders(np.arange(PREFETCH_FROM), random, lambda *_: shuffle, 1, ahead)
    if ahead:
        orders.take(1, 1)
    assert hold.amid(orders.close if ahead else lambda: orders.take(1, 0), lambda: fit(random)) == 0


def test_while_a_function_of_the_users_is_compiled(hold):
    def compile_it():
        with global_compiler_lock:
            hold()

    assert hold.amid(compile_it, lambda: numba.njit(lambda x: x)(1)) == 0


def test_while_a_bar_is_drawn(hold):
    def draw_it():
        with TqdmDefaultWriteLock():
            hold()

    fit(progress=True)
    assert hold.amid(draw_it, lambda: fit(progress=True)) == 0


def test_a_thread_within_a_section_is_not_held_up_at_the_next(hold):
    """Otherwise it would wait for the fork, and the fork for it."""

    def nested():
        with no_fork():
            hold.held.set()
            while forks._gate.acquire(blocking=False):  # until the main thread has it
                forks._gate.release()
                time.sleep(1e-3)
            with no_fork():
                hold.ended = True

    assert hold.amid(nested) == 0


def test_sections_one_upon_another_leave_room_for_a_fork():
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            with no_fork():
                time.sleep(0.01)

    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            pool.submit(busy)
        begin = time.monotonic()
        try:
            codes = [fork(lambda: None) for _ in range(5)]
        finally:
            stop.set()
    assert codes == [0] * 5
    assert time.monotonic() - begin < LONG


def test_a_child_of_a_section_is_in_that_section_alone():
    me = threading.get_ident()

    def work():
        assert forks._inside == {me: 1}
        assert fork() == 0

    with no_fork():
        assert fork(work) == 0
    assert forks._inside == {}


def test_an_interrupted_section_is_over():
    with pytest.raises(KeyboardInterrupt), no_fork(), no_fork():
        raise KeyboardInterrupt
    assert forks._inside == {}


def test_a_fork_whose_wait_is_interrupted_leaves_nothing_locked(monkeypatch):
    """Python reports the exception, and forks anyway."""

    def interrupt(_seconds):
        raise KeyboardInterrupt

    reports, begun, go = [], threading.Event(), threading.Event()

    def section():
        with no_fork():
            begun.set()
            assert go.wait(LONG)

    monkeypatch.setattr(sys, "unraisablehook", reports.append)
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(section)
        assert begun.wait(LONG)
        with monkeypatch.context() as patched:
            patched.setattr(forks, "sleep", interrupt)
            assert fork(lambda: os._exit(len(forks._inside))) == 0
        go.set()
        busy.result(LONG)
        assert pool.submit(fit).result(LONG).size == 20  # passes the gate
    assert [report.exc_type for report in reports] == [KeyboardInterrupt]
    assert fork() == 0


def test_a_first_fit_may_outlive_the_main_thread():
    """At the end of the interpreter there are modules that can no longer be imported."""
    script = """
import threading, numpy as np
from fastmlp import MLP
def fit():
    threading.main_thread().join()
    x = np.random.RandomState(0).rand(600, 300)
    print(len(MLP([300, 64, 2], backend="numba", seed=0).fit(x, x[:, 0] > 0.5, epochs=3, batch_size=100)))
threading.Thread(target=fit).start()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")
