"""What the tests share: backends with the reason where one is missing, dtypes, and a bench for single operations."""

import inspect
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from emulation.device import EmulatedDevice
from hypothesis import settings

from fastmlp import backends
from fastmlp.backends import BACKENDS, get_backend
from fastmlp.backends.cuda_backend import CudaBackend
from fastmlp.backends.numpy_ops import NumpyOps
from fastmlp.errors import BackendUnavailableError

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
    """Let backend="cuda" be on this device from now on; the backend."""
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


@pytest.fixture(params=["float32", "float64"])
def dtype(request) -> str:
    return request.param


@pytest.fixture
def tolerance(dtype) -> dict[str, float]:
    """For sums of some hundred products of numbers around 1, in whatever order they are added."""
    bound = {"float32": 1e-5, "float64": 1e-13}[dtype]
    return {"rtol": bound, "atol": bound}


@pytest.fixture
def draw(dtype):
    """draw(*shape): normal numbers over the root of the number of rows, so that sums over them stay near 1."""
    random = np.random.RandomState(0)
    return lambda *shape: (random.standard_normal(shape) / max(shape[0], 1) ** 0.5).astype(dtype)


@pytest.fixture
def nan(dtype):
    return lambda *shape: np.full(shape, np.nan, dtype)


GUARD = 67  # elements of poison on either side: odd, so that nothing between them is aligned
READ_ONLY = {"labels", "targets", "weights", "values", "columns", "starts"}
READS_SAMPLES = {"linear_rows", "accumulate_rows", "expect"}  # whose x is read-only too


class Guarded:
    """A copy of some values amid poison: all bits set, so NaN or -1."""

    def __init__(self, values, writeable=True):
        self.bytes = np.full((values.size + 2 * GUARD) * values.itemsize, 0xFF, np.uint8)
        inside = self.bytes.view(values.dtype)[GUARD : GUARD + values.size]
        self.array = inside.reshape(values.shape)
        self.array[...] = values
        self.array.flags.writeable = writeable
        self.margin = GUARD * values.itemsize
        self.before = inside.tobytes()

    def guards_intact(self):
        return (self.bytes[: self.margin] == 0xFF).all() and (self.bytes[-self.margin :] == 0xFF).all()

    def intact(self):
        return self.array.tobytes() == self.before


def numpy_calls(name, custom):
    """Ways to call an operation, as functions of its arguments; each gives what every thread returned."""
    return [lambda arguments: [getattr(NumpyOps(custom), name)(*arguments)]]


_threads = ThreadPoolExecutor(2)


def room_of_a_thread(name, first, second, *_):
    """Elements of scratch memory that an operation needs, from its first two arguments."""
    from fastmlp.kernels import cpu

    needs = {
        "backward_data": lambda: second.size,  # the weights transposed
        "linear_rows": lambda: cpu.ROWS * first.shape[1],  # some samples converted
        "accumulate_rows": lambda: max(cpu.ROWS * len(second), first.shape[1]),  # some columns of all samples
    }
    return max(needs.get(name, int)(), 1)


def numba_calls(name, custom):
    import numba
    from fastmlp.kernels import cpu
    from fastmlp.kernels.cpu.losses import custom_loss_gradient

    from fastmlp.backends.compile_cache import cached
    from fastmlp.backends.numba_backend import OPTIONS

    if custom is None:
        compiled = cached(getattr(cpu, name), OPTIONS)
    else:
        compiled = numba.njit(**OPTIONS)(custom_loss_gradient(custom.value, custom.gradient))
    of_sample = [cached(operation, OPTIONS) for operation in cpu.SAMPLE_OPERATIONS if operation.__name__ == name]

    def by_team_of(size, compiled, single=False):
        def call(arguments):
            if single and len(arguments[name.endswith("_rows")]) != 1:
                return None  # it is for batches of one sample
            arrays = [value for value in arguments if isinstance(value, np.ndarray)]
            # the data that operations read may be of other dtypes; what they write comes last
            itemsize, room = arrays[-1].itemsize, room_of_a_thread(name, *arguments)
            poison = np.full(size * (room + GUARD) * itemsize, 0xFF, np.uint8)
            scratch = Guarded(poison.view(arrays[-1].dtype))
            teams = cpu.make_teams(size, scratch.array, len(cpu.OPERATIONS))
            # an error while it compiles would leave the other thread waiting at the barrier
            compiled.compile(tuple(map(numba.typeof, (teams[0], *arguments))))
            results = list(_threads.map(lambda team: compiled(team, *arguments), teams))
            beyond = [team.scratch[room:].view(np.uint8) for team in teams]
            assert scratch.guards_intact() and (np.array(beyond) == 0xFF).all(), "the scratch memory is too small"
            return results

        return call

    ways = [(compiled, False), *((operation, True) for operation in of_sample)]
    return [by_team_of(size, *way) for way in ways for size in (1, 2)]


@pytest.fixture
def check(backend, tolerance):
    """check(name, expected, **arguments): call an operation on copies and compare all that it may have written.

    expected maps parameters to their contents afterwards, "share" to the sum of what the threads return and
    "whole" to what each returns. Arrays not in it must not change, unless they are named as scratch. custom is the
    Loss whose functions `loss_gradient` is to call.
    """
    calls = {"numpy": numpy_calls, "numba": numba_calls}[backend]
    known = {}

    def check(name, expected, scratch=(), tolerance=tolerance, custom=None, **arguments):
        if (name, custom) not in known:
            order = list(inspect.signature(getattr(NumpyOps, name)).parameters)[1:]
            known[name, custom] = order, calls(name, custom)
        order, ways = known[name, custom]
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
