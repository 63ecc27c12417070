"""The CUDA backend: the text of `fastmlp.step` recorded once, then replayed by the GPU."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.backends.base import Backend, Reduction
from fastmlp.backends.cuda.choice import Choice
from fastmlp.backends.cuda.device import Device
from fastmlp.backends.cuda.runs import Run
from fastmlp.backends.cuda.streaming import HostSamples
from fastmlp.cache_folders import cache_folders
from fastmlp.forks import no_fork
from fastmlp.formulas.by_code import BUILT_IN, Formulas
from fastmlp.kernels.cuda import source
from fastmlp.network import Network

__all__ = ["CudaBackend"]

# The steps of a span may be a single launch: Ctrl-C waits for its end, and a GPU with a display is taken away from one
# that lasts some seconds.
SPAN_SECONDS = 0.2
STEP_SECONDS = 25e-6  # of a step, however small it is
# Multiply-adds of forward passes that a multiprocessor does in a second, along with the rest of their steps: a sixth of
# the peak of an H100 in float32.
RATE = {"float32": 3e10, "tf32": 2e11, "bf16": 4e11}


class CudaBackend(Backend):
    """One NVIDIA GPU. Data cross to it once per fit; within an epoch nothing returns to the host.

    Parameters
    ----------
    precision : {"float32", "tf32", "bf16"}
        Of what goes into the products of float32 numbers: 24, 11 or 8 significant bits. Sums, parameters, updates and
        all that is not a product are float32 in any case.
    device : Device, optional
        Default: the current GPU of CuPy.
    choices : Path, optional
        Folder in which the fastest way to each product is remembered; default: the user's cache folder.
    """

    name = "cuda"
    chunk = 16384  # rows fill the multiprocessors, and their activations are a small part of the memory
    span_work = 1e13
    samples_at_once = 1 << 20
    precisions = ("float32", "tf32", "bf16")

    def __init__(self, precision: str = "float32", device: Device | None = None, choices: Path | None = None) -> None:
        super().__init__(precision)
        if device is None:
            device = _gpu(precision)
            choices = choices or next(iter(cache_folders("cuda")), None)
        gpu = self._device = device
        self._choice = cache(lambda real: Choice(gpu, real, choices))

    @classmethod
    def problem(cls) -> str | None:
        with no_fork():
            from fastmlp.backends.cuda.detection import cuda_problem

        return cuda_problem()

    def describe(self) -> str:
        return self._device.describe()

    def steps_at_once(self, work: float) -> int:
        seconds = max(work / (self._device.multiprocessors * RATE[self.precision]), STEP_SECONDS)
        return min(super().steps_at_once(work), max(1, int(SPAN_SECONDS / seconds)))

    def free_memory(self) -> int:
        return self._device.free_memory()

    def chunk_of(self, row_bytes: int) -> int:
        rows = self.free_memory() // 4 // row_bytes
        return min(self.chunk, 1 << max(rows.bit_length() - 1, 0))

    def zeros(self, n: int, dtype: np.dtype | type) -> Any:
        array = self._device.empty(n, dtype)
        self._device.fill(array, 0)
        return array

    def asarray(self, host: np.ndarray) -> Any:
        return self._device.upload(np.ascontiguousarray(host))

    def samples(self, x: np.ndarray) -> Any:
        return HostSamples(x) if x.nbytes > self.free_memory() // 2 else self.asarray(x)

    def to_host(self, array: Any) -> np.ndarray:
        return self._device.download(array)

    def write(self, array: Any, host: Any) -> None:
        values = np.broadcast_to(np.asarray(host, array.dtype), array.shape)
        self._device.write(array, np.ascontiguousarray(values))

    def operations(
        self,
        net: Network,
        rows: int,
        n_threads: int | None,
        formulas: Formulas = BUILT_IN,
        all_reduce: Reduction | None = None,
    ) -> Run:
        source(formulas)  # for the errors of what has no translation
        return Run(self._device, net, rows, self._choice(net.params.dtype), formulas, all_reduce)

    def release(self, operations):
        operations.release()

    def prepare(self, operations, net, data, update, orders, batch_size, rates, seed, first_step):
        with self._device.lock():
            operations.prepare(net, data, update, orders, batch_size, rates, seed, first_step)

    def train(self, operations, *arguments):
        with self._device.lock():
            return operations.train(*arguments)

    def run(self, entry, operations, *arguments):
        with self._device.lock():
            return getattr(operations, entry)(*arguments)


def _gpu(precision: str) -> Device:
    with no_fork():
        from fastmlp.backends.cuda.nvidia import NvidiaDevice

    return NvidiaDevice(precision)
