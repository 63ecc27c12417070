"""Fixtures of all tests: backends, skipped with the reason if missing, dtypes, and a check of single operations."""

import inspect

import numpy as np
import pytest
from emulation.device import EmulatedDevice
from hypothesis import settings
from operation_calls import CALLS, READ_ONLY, READS_SAMPLES, Guarded

from fastmlp import backends
from fastmlp.backends import BACKENDS, get_backend, teams
from fastmlp.backends.cuda_backend import CudaBackend
from fastmlp.backends.numpy_ops import NumpyOps
from fastmlp.errors import BackendUnavailableError
from fastmlp.formulas.by_code import BUILT_IN

settings.register_profile("fastmlp", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("fastmlp")


def pytest_addoption(parser):
    parser.addoption(
        "--emulate-gpu",
        choices=["kernel", "library"],
        help="the CUDA backend runs on an emulated device, its products by our kernels or by a stand-in of the library",
    )
    parser.addoption(
        "--require-gpu", action="store_true", help="a CUDA backend that cannot run is a failure, not a skip"
    )


def pytest_configure(config):
    if config.getoption("--emulate-gpu"):
        emulate_gpu(pytest.MonkeyPatch(), emulated_device(config.getoption("--emulate-gpu")))


def emulated_device(products):
    return EmulatedDevice(prefers_products=products == "library")


def emulate_gpu(monkeypatch, device):
    """Make backend="cuda" use this device from now on; return the backend."""
    backend, load = CudaBackend(device=device), backends._load
    monkeypatch.setattr(backends, "_load", lambda name, precision: backend if name == "cuda" else load(name, precision))
    monkeypatch.setattr(CudaBackend, "problem", classmethod(lambda cls: None))
    return backend


@pytest.fixture(params=["kernel", "library"])
def emulated(request, monkeypatch):
    """backend="cuda" on an emulated device, its products by our kernels or by a stand-in of the library."""
    return emulate_gpu(monkeypatch, emulated_device(request.param))


@pytest.fixture(params=BACKENDS)
def backend(request) -> str:
    """Name of a backend that runs here."""
    try:
        get_backend(request.param)
    except BackendUnavailableError as error:
        if request.param == "cuda" and request.config.getoption("--require-gpu"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    return request.param


@pytest.fixture
def cpu_backend(backend) -> str:
    """Name of a CPU backend, for losses made of Python functions."""
    if backend == "cuda":
        pytest.skip("cuda/test_cuda_training.py has losses made of Python functions")
    return backend


@pytest.fixture(autouse=True)
def teams_larger_than_the_cores(monkeypatch):
    """Do not limit an explicit n_threads to the cores, so that several threads are tested on any machine."""
    monkeypatch.setattr(teams, "cores", lambda: 64)


@pytest.fixture(params=["float32", "float64"])
def dtype(request) -> str:
    return request.param


@pytest.fixture
def tolerance(dtype) -> dict[str, float]:
    """Tolerances for sums of a few hundred products of numbers around 1, in any order of summation."""
    bound = {"float32": 1e-5, "float64": 1e-13}[dtype]
    return {"rtol": bound, "atol": bound}


@pytest.fixture
def draw(dtype):
    """draw(*shape): normal numbers divided by the root of the number of rows, so that sums over rows are near 1."""
    random = np.random.RandomState(0)
    return lambda *shape: (random.standard_normal(shape) / max(shape[0], 1) ** 0.5).astype(dtype)


@pytest.fixture
def nan(dtype):
    return lambda *shape: np.full(shape, np.nan, dtype)


@pytest.fixture
def check(backend, tolerance):
    """check(name, expected, **arguments): call an operation on copies of the arguments and check every array.

    `expected` maps parameters to their contents after the call, "share" to the sum of the threads' return values and
    "whole" to each of them. Other arrays must not change unless they are in `scratch`. `formulas` are those that the
    codes among the arguments refer to.
    """
    calls = CALLS[backend]
    known = {}

    def check(name, expected, scratch=(), tolerance=tolerance, formulas=BUILT_IN, **arguments):
        if (name, formulas) not in known:
            order = list(inspect.signature(getattr(NumpyOps, name)).parameters)[1:]
            known[name, formulas] = order, calls(name, formulas)
        order, ways = known[name, formulas]
        for call in ways:
            guarded = {
                key: Guarded(value, not (key in READ_ONLY or (key == "x" and name in READS_SAMPLES)))
                for key, value in arguments.items()
                if isinstance(value, np.ndarray)
            }
            with np.errstate(all="ignore"):
                results = call([guarded[key].array if key in guarded else arguments[key] for key in order])
            if results is None:
                continue
            for key, value in guarded.items():
                note = f"{name} {key}"
                assert value.guards_intact(), f"{name} wrote outside {key}"
                if key in expected:
                    wanted = np.asarray(expected[key]).astype(value.array.dtype)
                    np.testing.assert_allclose(value.array, wanted, **tolerance, strict=True, err_msg=note)
                else:
                    assert key in scratch or value.intact(), f"{name} wrote to {key}"
            if "share" in expected:
                np.testing.assert_allclose(sum(results), expected["share"], **tolerance, err_msg=name)
            if "whole" in expected:
                np.testing.assert_allclose(results, expected["whole"], **tolerance, err_msg=name)

    return check
