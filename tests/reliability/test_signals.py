"""Signals during training: they are held back until a safe point, a checkpoint is written, and they are delivered."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from training_runs import outcome, train

from fastmlp import InputError
from fastmlp.backends.numpy_ops import NumpyOps
from fastmlp.checkpoint import read_state


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard():
    """Handle SIGINT as in a terminal; in a background job of a script it would be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def signal_at_step(monkeypatch, number, n, method="apply_rule"):
    """Raise the signal at the n-th call of an operation of the NumPy backend."""
    operation, count = getattr(NumpyOps, method), [0]

    def raising(self, *arguments):
        count[0] += 1
        if count[0] == n:
            signal.raise_signal(number)
        return operation(self, *arguments)

    with monkeypatch.context() as context:
        context.setattr(NumpyOps, method, raising)
        yield


def test_a_part_of_an_epoch_more_than_is_asked_for_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("fastmlp.backends.numpy_backend.NumpyBackend.span_work", 1.0)
    with signal_at_step(monkeypatch, signal.SIGINT, 8):
        train("adam", "numpy", checkpoint=tmp_path / "c")
    with pytest.raises(InputError, match="has 2 epochs and a part, more than the 2 asked for"):
        train("adam", "numpy", epochs=2, checkpoint=tmp_path / "c", resume=True)


def test_a_signal_that_waits_is_delivered_where_training_fails(tmp_path, monkeypatch):
    def broken(epoch):
        signal.raise_signal(signal.SIGTERM)
        raise OSError("the callback's own")

    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("SIGTERM"))
    try:
        with pytest.raises(OSError, match="the callback's own"):
            train("sgd", "numpy", checkpoint=tmp_path / "c", callbacks=[broken])
        assert heard == ["SIGTERM"]
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_that_is_forked_within_can_be_ended(tmp_path):
    ended = []

    def forks(epoch):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, b"x")
            time.sleep(60)
            os._exit(0)
        os.read(reader, 1)  # Python drops signals that come while it starts the child
        os.kill(child, signal.SIGTERM)
        ended.append(os.WTERMSIG(os.waitpid(child, 0)[1]))
        os.close(reader)
        os.close(writer)

    train("sgd", "numpy", epochs=2, checkpoint=tmp_path / "c", callbacks=[forks])
    assert ended == 2 * [signal.SIGTERM]


def test_ctrl_c_within_a_callbacks_own_training_ends_that(tmp_path, monkeypatch):
    inner = []

    def trains(epoch):
        with signal_at_step(monkeypatch, signal.SIGINT, 8, "total_weight"):
            inner.append(train("sgd", "numpy", epochs=50, checkpoint=tmp_path / f"inner{epoch.number}")[1])

    _, outer = train("adam", "numpy", epochs=2, checkpoint=tmp_path / "c", callbacks=[trains])
    assert [history.stopped for history in inner] == 2 * ["interrupt"] and all(len(history) < 5 for history in inner)
    assert outer.stopped == "epochs"


def test_a_handler_that_a_callback_sets_stays(tmp_path):
    def sets(epoch):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    try:
        train("sgd", "numpy", epochs=1, checkpoint=tmp_path / "c", callbacks=[sets])
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_a_signal_waits_for_a_safe_point_and_leaves_a_checkpoint_of_it(tmp_path, monkeypatch):
    """In the middle of an epoch; the resumed run ends like an uninterrupted one."""
    monkeypatch.setattr("fastmlp.backends.numpy_backend.NumpyBackend.span_work", 1.0)
    wanted = outcome(*train("adam", "numpy"))
    path = tmp_path / "c"
    with signal_at_step(monkeypatch, signal.SIGINT, 8):
        _, history = train("adam", "numpy", checkpoint=path, checkpoint_every="1h")
    assert history.stopped == "interrupt" and len(history) == 2
    assert read_state(path).facts["part"][0] == 2
    assert outcome(*train("adam", "numpy", checkpoint=path, resume=True)) == wanted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


PROGRAM = """
import sys
import numpy as np
from fastmlp import MLP
x = np.random.RandomState(0).standard_normal((90, 7))
def tell(epoch):
    if epoch.number == 200:
        print("ready", flush=True)
model = MLP([7, 9, 3], seed=0, backend="numpy", loss="softmax_cross_entropy")
model.fit(x, np.arange(90) % 3, epochs=100_000, checkpoint=sys.argv[1], checkpoint_every="1h", callbacks=[tell])
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_that_ends_the_process_comes_after_a_checkpoint(name, tmp_path):
    """In a program without signal handlers, as when a scheduler sends SIGTERM before it kills."""
    number = getattr(signal, name)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "c")]
    # whatever is ignored where the tests run
    fresh = {"preexec_fn": lambda: signal.signal(number, signal.SIG_DFL)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **fresh) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        assert child.wait(timeout=60) == -number
    assert read_state(tmp_path / "c").facts["epochs"] >= 200
