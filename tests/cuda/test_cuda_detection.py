"""The reasons why the CUDA backend is unavailable: each has its own message, with the remedy."""

import os
import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest

from fastmlp.backends.cuda.detection import cuda_problem

CUDA_13 = 13020


class CudaError(RuntimeError):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def machine(monkeypatch):
    """Simulate a machine by the reports of CuPy and the pathfinder; by default everything works."""

    def make(devices=1, driver=13000, runtime=CUDA_13, capability="90", missing=(), headers="/usr/include"):
        def count():
            if isinstance(devices, Exception):
                raise devices
            return devices

        def load(name):
            if name in missing:
                raise RuntimeError(f'Failure finding "lib{name}.so"\nlooked everywhere')

        cupy = ModuleType("cupy")
        versions = {"driverGetVersion": lambda: driver, "runtimeGetVersion": lambda: runtime}
        cupy.cuda = SimpleNamespace(
            runtime=SimpleNamespace(getDeviceCount=count, **versions),
            Device=lambda: SimpleNamespace(compute_capability=capability),
        )
        cuda = ModuleType("cuda")
        cuda.pathfinder = SimpleNamespace(
            load_nvidia_dynamic_lib=load, find_nvidia_header_directory=lambda name: headers
        )
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        monkeypatch.setitem(sys.modules, "cuda", cuda)

    return make


def test_nothing_is_wrong(machine):
    machine()
    assert cuda_problem() is None


NOT_USABLE = {
    "no driver": (
        {"devices": CudaError(35, "cudaErrorInsufficientDriver: too old"), "driver": 0},
        "no NVIDIA driver was found (CudaError: cudaErrorInsufficientDriver: too old). Install it, then check with "
        "nvidia-smi.",
    ),
    "old driver": (
        {"devices": CudaError(35, "cudaErrorInsufficientDriver: too old"), "driver": 12040},
        "the NVIDIA driver is too old: it supports CUDA 12.4, and CuPy is built for CUDA 13.2. Update the driver, or "
        "pip uninstall cupy-cuda13x, then pip install 'fastmlp[cuda12]'.",
    ),
    "older driver": (
        {"devices": CudaError(35, "cudaErrorInsufficientDriver: too old"), "driver": 11080, "runtime": 12090},
        "the NVIDIA driver is too old: it supports CUDA 11.8, and CuPy is built for CUDA 12.9. Update the driver.",
    ),
    "no device": (
        {"devices": CudaError(100, "cudaErrorNoDevice: none")},
        "the NVIDIA driver finds no GPU in this machine. Check nvidia-smi.",
    ),
    "zero devices": ({"devices": 0}, "the NVIDIA driver finds no GPU in this machine. Check nvidia-smi."),
    "forked": (
        {"devices": CudaError(3, "cudaErrorInitializationError: no")},
        "CUDA cannot be started in this process (CudaError: cudaErrorInitializationError: no). If it was forked from "
        "one that uses the GPU, start it by multiprocessing.get_context('spawn').",
    ),
    "mismatch": (
        {"devices": CudaError(803, "cudaErrorSystemDriverMismatch: no")},
        "the NVIDIA driver and its libraries are of different versions (CudaError: cudaErrorSystemDriverMismatch: no). "
        "Restart the machine.",
    ),
    "anything else": (
        {"devices": CudaError(999, "cudaErrorUnknown: unknown")},
        "no GPU can be used (CudaError: cudaErrorUnknown: unknown). Check nvidia-smi.",
    ),
    "old GPU": (
        {"capability": "61"},
        "the GPU's compute capability is 6.1; with CUDA 13 it must be 7.5 or more.",
    ),
    "GPU of CUDA 12": (
        {"capability": "70"},
        "the GPU's compute capability is 7.0; with CUDA 13 it must be 7.5 or more. To use this GPU, pip uninstall "
        "cupy-cuda13x, then pip install 'fastmlp[cuda12]'.",
    ),
    "no compiler": (
        {"missing": ["nvrtc"]},
        'CUDA\'s library nvrtc cannot be loaded (RuntimeError: Failure finding "libnvrtc.so"). It comes with pip '
        "install 'fastmlp[cuda13]'.",
    ),
    "no products": (
        {"missing": ["cublasLt"], "runtime": 12090},
        'CUDA\'s library cublasLt cannot be loaded (RuntimeError: Failure finding "libcublasLt.so"). It comes with '
        "pip install 'fastmlp[cuda12]'.",
    ),
    "no headers": (
        {"headers": None},
        "CUDA's headers (cudart) are missing, without which CuPy compiles no kernel. It comes with pip install "
        "'fastmlp[cuda13]'.",
    ),
}


@pytest.mark.parametrize(("machine_is", "message"), NOT_USABLE.values(), ids=NOT_USABLE)
def test_a_machine_without_a_usable_gpu(machine, machine_is, message):
    machine(**machine_is)
    assert cuda_problem() == f"{message} Or use backend='numba' (or 'auto')."


@pytest.mark.parametrize("capability", ["75", "100", "121"])
def test_later_gpus_are_new_enough(machine, capability):
    machine(capability=capability)
    assert cuda_problem() is None


def test_volta_with_cuda_12_is_new_enough(machine):
    machine(capability="70", runtime=12090)
    assert cuda_problem() is None


@pytest.mark.parametrize("devices", [0, CudaError(100, "cudaErrorNoDevice: none")], ids=["0", "error"])
def test_hidden_gpus(machine, monkeypatch, devices):
    machine(devices=devices)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert cuda_problem().startswith("CUDA_VISIBLE_DEVICES='-1' shows no NVIDIA GPU. Unset it, or set it to a number")


def test_no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert cuda_problem() == (
        "CuPy is not installed; it comes with pip install 'fastmlp[cuda13]' (or cuda12). Or use backend='numba' (or "
        "'auto')."
    )


NOT_IMPORTED = {
    "a module is missing": ("import fastrlock_that_is_missing", "fastrlock_that_is_missing'). Reinstall it: pip "),
    "CuPy hides the cause": (
        "try:\n    raise ImportError('libcudart.so.99: no such file')\n"
        "except ImportError as e:\n    raise ImportError('====\\nFailed to import CuPy.\\n') from e",
        "CuPy cannot be imported (ImportError: libcudart.so.99: no such file). Reinstall it: pip ",
    ),
    "anything else": (
        "raise AttributeError('numpy.foo')",
        "(AttributeError: numpy.foo). Reinstall it: pip install --f",
    ),
    "home": (
        "raise FileNotFoundError(2, 'No such file or directory', '/nowhere/.cupy')",
        "CuPy cannot be imported (FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/.cupy'). It keeps "
        "compiled kernels in ~/.cupy: make the home folder writable, or set CUPY_CACHE_DIR to a folder that is.",
    ),
}


@pytest.mark.parametrize(("code", "message"), NOT_IMPORTED.values(), ids=NOT_IMPORTED)
def test_a_cupy_that_cannot_be_imported(tmp_path, monkeypatch, code, message):
    (tmp_path / "cupy.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    problem = cuda_problem()
    assert message in problem
    assert problem.endswith(" Or use backend='numba' (or 'auto').")
    assert "\n" not in problem


@pytest.mark.skipif(find_spec("cupy") is None, reason="CuPy is not installed")
class TestRealCupy:
    def problem(self, **environment):
        code = "from fastmlp.backends.cuda.detection import cuda_problem; print(cuda_problem())"
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={name: value for name, value in os.environ.items() if name != "CUPY_CACHE_DIR"} | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout.strip()

    def test_it_is_detected(self):
        problem = self.problem()
        if problem == "None":
            import cupy

            assert cupy.cuda.runtime.getDeviceCount()
        else:
            assert problem.endswith("Or use backend='numba' (or 'auto').")

    def test_hidden_gpus(self):
        assert self.problem(CUDA_VISIBLE_DEVICES="-1") != "None"

    def test_an_unwritable_home(self, tmp_path):
        (tmp_path / "home").write_text("a file, in which nobody can make a folder")
        assert "set CUPY_CACHE_DIR" in self.problem(HOME=str(tmp_path / "home"))
        assert "CUPY_CACHE_DIR" not in self.problem(HOME=str(tmp_path / "home"), CUPY_CACHE_DIR=str(tmp_path / "cache"))
