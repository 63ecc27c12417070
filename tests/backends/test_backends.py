"""The choice of a backend and its threads: by name, by environment variables, by availability."""

import logging
import pickle
import sys

import numpy as np
import pytest

from fastmlp import MLP, BackendUnavailableError, InputError, available_backends, backends, get_backend
from fastmlp.backends import cuda_backend, threads
from fastmlp.backends.threads import (
    ROWS_PER_THREAD,
    WEIGHTS_PER_HALF,
    WEIGHTS_PER_HALF_OF_ONE,
    WORK_PER_THREAD,
    available_threads,
    is_worth_sharing,
    worth_threads,
)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in ("FASTMLP_BACKEND", "FASTMLP_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(threads, "_cpu_count", lambda _: 8)


def test_a_backend_has_its_name(backend):
    assert get_backend(backend).name == backend
    assert get_backend(backend) is get_backend(backend)
    assert MLP([2, 1], backend=backend).backend == backend


@pytest.mark.parametrize("name", ["gpu", "NumPy", "", 3, ["numpy"]])
def test_an_unknown_name_is_refused_with_the_choices(name):
    with pytest.raises(InputError) as caught:
        get_backend(name)
    assert str(caught.value) == f"backend={name!r} is unknown. Choose 'numpy', 'numba', 'cuda' or 'auto'."


def test_the_environment_decides_where_the_caller_does_not(monkeypatch):
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    assert get_backend().name == "numpy"
    assert get_backend("numba").name == "numba"
    monkeypatch.setenv("FASTMLP_BACKEND", "fast")
    with pytest.raises(InputError, match=r"^FASTMLP_BACKEND='fast' is unknown\. Choose 'numpy', "):
        MLP([2, 1])
    assert get_backend("numpy").name == "numpy"


def test_auto_takes_the_fastest_and_says_so(monkeypatch, caplog):
    problems = available_backends()
    usable = [name for name in ("numba", "numpy") if not problems[name].startswith("unavailable")]
    for ask in (lambda: get_backend("auto"), get_backend):
        caplog.clear()
        with caplog.at_level(logging.INFO, "fastmlp"):
            assert ask().name == usable[0]
        assert [record.getMessage() for record in caplog.records] == [f"backend='auto' chose {usable[0]!r}"]


def test_a_named_backend_is_never_replaced(monkeypatch):
    monkeypatch.setattr(cuda_backend.CudaBackend, "problem", classmethod(lambda cls: "the cable is loose. Push it in."))
    with pytest.raises(BackendUnavailableError) as caught:
        MLP([2, 1], backend="cuda")
    assert str(caught.value) == "backend='cuda' is not available: the cable is loose. Push it in."
    assert available_backends()["cuda"] == "unavailable: the cable is loose. Push it in."
    assert get_backend("auto").name == "numba"


def test_a_broken_numba_is_explained_and_auto_does_without(monkeypatch):
    backends._backend_class.cache_clear()  # as in a process that has not imported the backend yet
    monkeypatch.delitem(sys.modules, "fastmlp.backends.numba_backend", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(cuda_backend.CudaBackend, "problem", classmethod(lambda cls: "none here."))
    with pytest.raises(BackendUnavailableError, match=r"'numba' is not available: .*numba.*pip install"):
        get_backend("numba")
    assert get_backend("auto").name == "numpy"


def test_precisions_of_other_backends_are_refused():
    with pytest.raises(InputError, match=r"precision='tf32' is not offered by backend='numpy'\. Choose 'float32'\."):
        MLP([2, 1], backend="numpy", precision="tf32")
    with pytest.raises(InputError, match=r"precision='bf16' is for dtype='float32'; .* dtype='float64'"):
        MLP([2, 1], backend="numpy", precision="bf16", dtype="float64")


def test_a_pickled_model_of_a_missing_backend_lives_on_another(caplog):
    model = MLP([2, 1], backend="numpy", seed=0)
    model._backend = cuda_backend.CudaBackend.__new__(cuda_backend.CudaBackend)
    model._backend.precision = "float32"
    with caplog.at_level(logging.WARNING, "fastmlp"):
        copy = pickle.loads(pickle.dumps(model))
    if copy.backend != "cuda":
        assert "backend='cuda', which is not available here" in caplog.text
    np.testing.assert_array_equal(copy.weights[0], model.weights[0])
    assert copy.predict_raw([[1.0, 2.0]]).shape == (1, 1)


def test_all_backends_are_described(backend):
    described = available_backends()
    assert list(described) == ["numpy", "numba", "cuda"]
    assert not described[backend].startswith("unavailable")
    assert any(digit in described[backend] for digit in "0123456789")  # a version


def test_threads_follow_the_work(eight_cores):
    plenty = 100 * WORK_PER_THREAD
    assert available_threads() == 8
    assert worth_threads(100, plenty) == 25
    assert worth_threads(100, 3 * WORK_PER_THREAD) == 3
    assert worth_threads(2 * ROWS_PER_THREAD, plenty) == 2
    assert worth_threads(1, 0) == 1
    few = dict.fromkeys((2, 2 * ROWS_PER_THREAD - 1), WEIGHTS_PER_HALF) | {1: WEIGHTS_PER_HALF_OF_ONE}
    for rows, weights in few.items():  # in two halves
        assert worth_threads(rows, plenty) == 2
        assert worth_threads(rows, 2 * rows * weights) == 2
        assert worth_threads(rows, 2 * rows * weights - 1) == 1
    assert worth_threads(1, 0, update=plenty) == 100
    assert [is_worth_sharing(200, *layers) for layers in ((3100, 101), (5100, 101))] == [False, True]
    assert is_worth_sharing(512, 3100, 101)
    assert is_worth_sharing(1, 3100, 101)


def test_threads_of_the_environment_are_bounds(eight_cores, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert available_threads() == 3
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "5")
    assert available_threads() == 5


@pytest.mark.parametrize("value", ["", "4,2", "0", "many"])
def test_a_strange_omp_num_threads_belongs_to_others(eight_cores, monkeypatch, value):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert available_threads() == 8


@pytest.mark.parametrize("value", ["", "0", "-1", "two", "1.5", "²"])
def test_bad_thread_settings_are_refused(monkeypatch, value):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", value)
    with pytest.raises(InputError, match=r"FASTMLP_NUM_THREADS=.* must be a positive integer\. Correct or unset it"):
        available_threads()


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True])
def test_bad_numbers_of_threads_are_refused(value):
    with pytest.raises(InputError, match="n_threads="):
        MLP([2, 1], backend="numpy", n_threads=value)
