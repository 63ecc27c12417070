"""Denormal numbers count as zero while the compiled step trains, and only then."""

import platform

import numba
import numpy as np
import pytest

from fastmlp import MLP, Adam
from fastmlp.engine import Engine
from fastmlp.kernels.cpu.machine.denormals import flush_denormals, restore_denormals

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="only on x86 they are told to count as zero"
)
TINY = np.finfo(np.float32).tiny


@numba.njit
def halved(x, flushed):
    before = flush_denormals() if flushed else 0
    for i in range(len(x)):
        x[i] *= np.float32(0.5)
    if flushed:
        restore_denormals(before)


def test_half_of_the_smallest_normal_number_is_zero_only_when_told():
    for flushed, half in ((False, TINY / 2), (True, 0), (False, TINY / 2)):
        x = np.full(40, TINY, np.float32)
        halved(x, flushed)
        np.testing.assert_array_equal(x, np.float32(half))


def test_training_leaves_the_thread_as_it_was():
    x = np.random.default_rng(0).standard_normal((64, 100)).astype(np.float32)
    model = MLP([100, 64, 3], backend="numba", dtype="float32", seed=0)
    model.fit(x, np.arange(64) % 3, epochs=1, batch_size=32)
    assert np.all(np.full(40, TINY, np.float32) / 2 > 0)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_moments_of_an_input_that_stays_zero(n_threads, monkeypatch):
    """0.9 times a denormal number of a few units rounds to the same number: without the flush it would never vanish."""
    x = np.random.default_rng(0).standard_normal((3000, 300)).astype(np.float32)
    x[100:, ::2] = 0
    sessions, session = [], Engine.session

    def noted(*arguments):
        sessions.append(session(*arguments))
        return sessions[-1]

    monkeypatch.setattr(Engine, "session", noted)
    for backend in ("numpy", "numba"):
        model = MLP([300, 64, 2], backend=backend, dtype="float32", n_threads=n_threads, seed=0)
        model.fit(x, x[:, 1] > 0, epochs=1, batch_size=1, optimizer=Adam(1e-3), shuffle=False)
    of_numpy, of_numba = (np.abs(found.state.update.moments[0]) for found in sessions)
    assert np.any((of_numpy > 0) & (of_numpy < TINY))
    assert not np.any((of_numba > 0) & (of_numba < TINY))
