"""The device of gpu.py, a GPU or its emulation; its environment, and the sizes of the measurements."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastmlp import MLP, backends
from fastmlp.backends import get_backend
from fastmlp.backends.cuda.device import Device
from fastmlp.backends.cuda.products import TRIED
from fastmlp.backends.cuda_backend import CudaBackend
from fastmlp.datasets import load

__all__ = ["Sizes", "device_of", "environment", "measured_by", "samples", "sizes"]

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("fastmlp", "numpy", "scipy", "numba", "cupy-cuda13x", "cupy-cuda12x", "torch", "triton", "jax", "jaxlib")
_SMI = "name,driver_version,memory.total,memory.used,clocks.sm,clocks.max.sm,power.limit,temperature.gpu"


class Sizes(NamedTuple):
    """Sizes of the work: large enough to be measured, or just large enough to run all code."""

    emulated: bool
    networks: dict[str, list[int]]
    large: list[int]
    large_batch: int
    large_batches: int  # of the large network's epoch
    batches: dict[str, int]  # samples of an epoch by batch size; "full" is that many at once
    rounds: int
    seconds: float  # that a run of a contender takes about
    steps: int  # of a measurement of single steps
    checked: int  # samples of a comparison with the CPU
    checked_one: int  # the same at batch size 1
    seeds: int


MEASURED = Sizes(
    emulated=False,
    networks={"784-128-10": [784, 128, 10], "784-512-256-10": [784, 512, 256, 10]},
    large=[4096, 4096, 4096, 1000],
    large_batch=8192,
    large_batches=4,
    batches={"1": 6000, "32": 60_000, "128": 60_000, "1024": 60_000, "full": 60_000},
    rounds=5,
    seconds=0.12,
    steps=2000,
    checked=2000,
    checked_one=500,
    seeds=10,
)
TINY = Sizes(
    emulated=True,
    networks={"12-8-3": [12, 8, 3]},
    large=[12, 10, 8, 5],
    large_batch=40,
    large_batches=1,
    batches={"1": 3, "40": 50, "full": 50},
    rounds=2,
    seconds=0.0,
    steps=2,
    checked=50,
    checked_one=5,
    seeds=1,
)


def sizes(emulated: bool) -> Sizes:
    """Sizes for a measurement; or for a trial, after which backend="cuda" is the emulated device."""
    if not emulated:
        return MEASURED
    sys.path.insert(0, str(ROOT / "tests"))
    from emulation.device import EmulatedDevice

    load_other = backends._load
    there: dict[str, CudaBackend] = {}

    def load_backend(name: str, precision: str) -> Any:
        if name != "cuda":
            return load_other(name, precision)
        return there.setdefault(precision, CudaBackend(precision, EmulatedDevice(precision=precision)))

    backends._load = load_backend  # type: ignore[assignment]
    CudaBackend.problem = classmethod(lambda cls: None)  # type: ignore[method-assign,assignment]
    return TINY


def device_of(precision: str = "float32") -> Device:
    backend = get_backend("cuda", precision)
    assert isinstance(backend, CudaBackend)
    return backend._device


class Stopwatch:
    """Takes the place of a `Choice`: times every implementation once per shape, and chooses the fastest."""

    def __init__(self, device: Device, real: np.dtype) -> None:
        self._device, self._real = device, real
        self.seconds: dict[str, dict[str, float]] = {}

    def of(self, key: tuple, ways: dict[str, Callable[[], list]], written: list[Any]) -> str:
        name = "-".join(map(str, key))
        if name not in self.seconds:
            before = [self._device.download(array) for array in written]
            order = [next(iter(ways)), *ways]  # as `Choice` does it
            self.seconds[name] = {way: self._device.seconds(ways[way](), self._real) / TRIED for way in order}
            for array, contents in zip(written, before, strict=True):
                self._device.write(array, contents)
        return min(self.seconds[name], key=self.seconds[name].__getitem__)


@contextmanager
def measured_by(model: MLP, precision: str = "float32") -> Iterator[Stopwatch]:
    """Let a stopwatch choose the implementation of each of the model's products during the block."""
    device, usual = device_of(precision), model._backend
    watch, backend = Stopwatch(device, model.dtype), CudaBackend(precision, device)
    backend._choice = lambda real: watch  # type: ignore[assignment]
    model._backend = backend
    yield watch
    model._backend = usual


def samples(inputs: int, classes: int, n: int, emulated: bool) -> tuple[np.ndarray, np.ndarray]:
    """Samples (N, I) float32 and labels (N,): MNIST's if it has this shape and is available, else random ones."""
    if inputs == 784 and n <= 60_000 and not emulated and "FASTMLP_DATA" in os.environ:
        mnist = load("mnist")
        return np.ascontiguousarray(mnist.x[:n], np.float32), mnist.y[:n].astype(np.int64)
    random = np.random.default_rng(0)
    return random.random((n, inputs), np.float32), random.integers(0, classes, n)


def environment(sizes: Sizes, deadline: float, keep: Callable) -> dict[str, Any]:
    """The machine and what is installed on it."""
    found = {
        "machine": f"{_cpu()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": _output("git", "-C", str(ROOT), "describe", "--always", "--dirty") or "unknown",
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "device": device_of().describe(),
        "multiprocessors": device_of().multiprocessors,
        "data": "MNIST" if "FASTMLP_DATA" in os.environ and not sizes.emulated else "random numbers",
    }
    if sizes.emulated:
        return found
    keep(found)
    from cupy.cuda import nvrtc, runtime

    shown = _output("nvidia-smi", f"--query-gpu={_SMI}", "--format=csv,noheader").splitlines()
    return found | {
        "nvidia-smi": {_SMI: shown},
        "CUDA runtime": runtime.runtimeGetVersion(),
        "CUDA of the driver": runtime.driverGetVersion(),
        "NVRTC": ".".join(map(str, nvrtc.getVersion())),
        "nvcc": (_output("nvcc", "--version").splitlines() or ["not there"])[-1],
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _output(*command: str) -> str:
    """The output of a command; empty if it does not exist or fails."""
    if shutil.which(command[0]) is None:
        return ""
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return ran.stdout.strip() if ran.returncode == 0 else ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
