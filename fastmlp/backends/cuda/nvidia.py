"""An NVIDIA GPU through CuPy: see `device.py` for what a device is.

CuPy's part is memory, our kernels' compilation (kept on disk for later processes), a stream, and graphs; products are
cublasLt's. Arrays are CuPy's, taken from its pool for our stream: memory that is given back is given out again to work
that is queued later on the same stream, so nothing needs to wait when an array goes.
"""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from statistics import median
from typing import Any

import cupy
import numpy as np
from cupy.cuda import driver, runtime

from fastmlp.backends.cuda.cublaslt import CublasLt, CublasLtError, NoAlgorithmError, Product, alignment
from fastmlp.backends.cuda.device import Launch, Matmul, NoClusterError, Node
from fastmlp.backends.cuda.nccl import nccl_sum
from fastmlp.errors import BackendUnavailableError, OutOfDeviceMemoryError
from fastmlp.formulas.by_code import Formulas
from fastmlp.kernels.cuda import THREADS, part_of, source
from fastmlp.ranks.group import Group

__all__ = ["NvidiaDevice"]

_WORKSPACE = 32 << 20  # bytes that a product may use: what NVIDIA advises for Hopper
_STAGING, _STAGED = 1 << 20, 1 << 18  # bytes of pinned memory, and of the largest array that goes through it
_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation and CUDA_ERROR_OUT_OF_MEMORY
_TIMED, _TIMED_SECONDS, _MOST_REPEATS = 5, 2e-3, 32  # measurements, the length of one, the repeats in one at most


class NvidiaDevice:
    """CuPy's current GPU.

    Parameters
    ----------
    precision : {"float32", "tf32", "bf16"}
        Of the library's products of float32 numbers: see `CublasLt`.

    Raises
    ------
    InputError
        The precision is unknown.
    OutOfDeviceMemoryError
        No memory is free.
    """

    def __init__(self, precision: str = "float32") -> None:
        self._library, self.precision = CublasLt(precision, _WORKSPACE), precision
        self._process, self._mutex = os.getpid(), threading.RLock()
        self._gpu = cupy.cuda.Device()
        with self._gpu, _explained():
            self._stream, self._copies = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
            self._pinned = cupy.cuda.alloc_pinned_memory(_STAGING)
        self._staging, self._staged = np.frombuffer(self._pinned, np.uint8, _STAGING), 0
        self.multiprocessors: int = self._gpu.attributes["MultiProcessorCount"]
        self.clusters = int(self._gpu.compute_capability) >= 90
        self._modules: dict[tuple[np.dtype, Formulas, str], Any] = {}
        self._kernels: dict[tuple[str, tuple[np.dtype, Formulas, str]], Any] = {}
        self._constants: dict[tuple[float, np.dtype], Any] = {}
        self._warm: set[Product] = set()
        self._workspace: Any = None

    def describe(self) -> str:
        properties = runtime.getDeviceProperties(self._gpu.id)
        version = runtime.driverGetVersion()
        products = "" if self.precision == "float32" else f", products in {self.precision}"
        return (
            f"{properties['name'].decode()} ({properties['totalGlobalMem'] / 2**30:.0f} GiB), CuPy {cupy.__version__}, "
            f"driver for CUDA {version // 1000}.{version // 10 % 100}, cublasLt {self._library.version()}{products}"
        )

    @contextmanager
    def lock(self) -> Iterator[None]:
        if os.getpid() != self._process:
            raise BackendUnavailableError(
                f"backend='cuda' cannot be used in process {os.getpid()}: it was forked from process {self._process}, "
                "which uses the GPU, and CUDA does not survive a fork. Start processes by "
                "multiprocessing.get_context('spawn'), or use backend='numba' in them."
            )
        with self._mutex, self._gpu, self._stream, _explained():
            yield

    def sum_over(self, group: Group) -> Callable[[Any], None] | None:
        with self.lock():
            return nccl_sum(group, runtime.deviceGetPCIBusId(self._gpu.id), self._stream)

    # Memory

    def free_memory(self) -> int:
        with self.lock():
            return runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()

    def staging(self, n: int, dtype: np.dtype | type) -> _Staging:
        with self.lock():
            return _Staging(self.empty(n, dtype), self._stream, self._copies)

    def empty(self, n: int, dtype: np.dtype | type) -> Any:
        return self._new((n,), np.dtype(dtype))

    def _new(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        with self.lock():
            try:
                return cupy.empty(shape, dtype)
            except cupy.cuda.memory.OutOfMemoryError as error:
                asked, free, (_, total) = math.prod(shape) * dtype.itemsize, self.free_memory(), runtime.memGetInfo()
                raise OutOfDeviceMemoryError(
                    f"{asked:,} bytes of GPU memory were asked for; {free:,} of {total:,} are free. {_MORE_MEMORY}",
                    *(asked, free),
                ) from error

    def upload(self, host: np.ndarray) -> Any:
        with self.lock():
            array = self._new(host.shape, host.dtype)
            self.write(array, host)
            return array

    def write(self, array: Any, host: np.ndarray) -> None:
        if (host.size, host.dtype) != (array.size, array.dtype):
            raise ValueError(f"{array.size} {array.dtype} cannot become {host.size} {host.dtype}: they must agree")
        # The host may change its array when this returns, and the copy may run later than that: a small array waits in
        # pinned memory, a large one makes the host wait.
        host = np.ascontiguousarray(host)
        with self.lock():
            if host.nbytes > _STAGED:
                self._copy_in(array, host.ctypes.data)
                self._stream.synchronize()
            elif host.nbytes:
                if self._staged + host.nbytes > _STAGING:
                    self._stream.synchronize()
                    self._staged = 0
                self._staging[self._staged : self._staged + host.nbytes] = host.reshape(-1).view(np.uint8)
                self._copy_in(array, self._pinned.ptr + self._staged)
                self._staged += host.nbytes

    def _copy_in(self, array: Any, address: int) -> None:
        size, kind = array.nbytes, runtime.memcpyHostToDevice
        runtime.memcpyAsync(array.data.ptr, address, size, kind, self._stream.ptr)

    def fill(self, array: Any, byte: int) -> None:
        with self.lock():
            if array.nbytes:
                runtime.memsetAsync(array.data.ptr, byte, array.nbytes, self._stream.ptr)

    def download(self, array: Any) -> np.ndarray:
        host, kind = np.empty(array.shape, array.dtype), runtime.memcpyDeviceToHost
        with self.lock():
            if host.nbytes:
                runtime.memcpyAsync(host.ctypes.data, array.data.ptr, host.nbytes, kind, self._stream.ptr)
            self._stream.synchronize()
        return host

    def address(self, array: Any) -> int:
        return array.data.ptr

    # Work

    def queue(self, nodes: list[Node], real: np.dtype) -> None:
        with self.lock():
            for node in nodes:
                if isinstance(node, Launch):
                    self._launch(node, real)
                else:
                    self._multiply(node, node.out)

    def prepare(self, nodes: list[Node], real: np.dtype) -> None:
        with self.lock():
            for node in nodes:
                if isinstance(node, Launch):
                    self._kernel(node, real)
                    continue
                product = self._product(node)
                self._factors(node, product)  # a captured upload would be done again in every replay
                if product not in self._warm:
                    # cublasLt loads a kernel when it first runs, which a capture does not allow. So it runs once, into
                    # an array that is dropped. A vector or mask that it writes is in the workspace, not yet in use.
                    self._multiply(node, self.empty(node.out.size, node.out.dtype))

    def capture(self, nodes: list[Node], real: np.dtype) -> _Graph:
        with self.lock():
            self.prepare(nodes, real)
            self._stream.begin_capture(runtime.streamCaptureModeRelaxed)
            try:
                self.queue(nodes, real)
            except BaseException:
                with suppress(Exception):
                    self._stream.end_capture()
                raise
            return _Graph(self._stream.end_capture(), self._stream, (self, list(nodes)))

    def seconds(self, nodes: list[Node], real: np.dtype) -> float:
        """How long these take in a graph, as the median of a few measurements; inf if the library cannot do them."""
        with self.lock():
            try:
                once = self._timed(self.capture(nodes, real))
            except NoAlgorithmError:
                return math.inf
            except CublasLtError as error:  # one way less, which is no reason to give up
                warnings.warn(f"a way to compute a product is left out: {error}", RuntimeWarning, stacklevel=2)
                return math.inf
            repeats = min(max(int(_TIMED_SECONDS / max(once, 1e-9)), 1), _MOST_REPEATS)
            graph = self.capture(nodes * repeats, real)
            self._timed(graph)
            return median(self._timed(graph) for _ in range(_TIMED)) / repeats

    def _timed(self, graph: _Graph) -> float:
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record(self._stream)
        graph.launch()
        end.record(self._stream)
        end.synchronize()
        return cupy.cuda.get_elapsed_time(start, end) / 1e3

    # Our kernels

    def _launch(self, node: Launch, real: np.dtype) -> None:
        kernel, blocks = self._kernel(node, real), node.blocks
        if node.cooperative and not node.cluster:
            # blocks that do not fit would never reach the barrier at which the others wait
            room = driver.occupancyMaxActiveBlocksPerMultiprocessor(kernel.ptr, THREADS, 0)
            blocks = min(blocks, room * self.multiprocessors)
        # CuPy passes an array of one element by value; of a struct it would list the fields first, which takes longer
        struct = node.arguments.view(f"V{node.arguments.nbytes}")
        try:
            kernel((blocks,), (THREADS,), (struct,), 0, self._stream, node.cooperative and not node.cluster)
        except driver.CUDADriverError as error:
            if not node.cluster or error.status == _OUT_OF_MEMORY:
                raise
            # A part of a GPU, as MIG and MPS give it, may have no eight multiprocessors beside each other. If it was
            # something else, the launch that takes its place fails as well.
            self.clusters = False
            raise NoClusterError(f"eight blocks cannot run as a cluster: {error}") from error

    def _kernel(self, node: Launch, real: np.dtype) -> Any:
        module = real, node.formulas, part_of(node.name)
        if (node.name, module) not in self._kernels:
            if module not in self._modules:
                # No fast math: divisions and roots are rounded correctly. But CuPy adds -ftz=true, so that float32
                # numbers below 1.2e-38 count as 0, as they do in no other backend; float64 has no such option.
                options = "-DREAL=double" if real == np.float64 else "-DREAL=float", f"-D{module[2]}"
                self._modules[module] = cupy.RawModule(code=source(node.formulas), options=options)
            self._kernels[node.name, module] = self._modules[module].get_function(node.name).kernel
        return self._kernels[node.name, module]

    # The library's products

    def _product(self, node: Matmul) -> Product:
        arrays = node.a, node.b, node.out, node.vector, node.mask
        aligned = tuple(alignment(0 if array is None else array.data.ptr) for array in arrays)
        on_device = any(isinstance(factor, cupy.ndarray) for factor in (node.alpha, node.beta))
        what = node.out.dtype, node.a.dtype, node.a.shape, node.b.shape, node.out.shape
        return Product(*what, node.transpose_a, node.transpose_b, node.epilogue, on_device, aligned)

    def _multiply(self, node: Matmul, out: Any) -> None:
        """Queue the node's product, written to `out`."""
        product = self._product(node)
        if self._workspace is None:
            self._workspace = self.empty(_WORKSPACE, np.uint8)
        vector, mask = (0 if array is None else array.data.ptr for array in (node.vector, node.mask))
        plan = self._library.plan(product, vector, mask)
        alpha, beta = self._factors(node, product)
        operands = alpha, node.a.data.ptr, node.b.data.ptr, beta, out.data.ptr, vector, mask
        self._library.multiply(plan, *operands, self._workspace.data.ptr, self._stream.ptr)
        self._warm.add(product)

    def _factors(self, node: Matmul, product: Product) -> list[Any]:
        """alpha and beta as the library takes them: both as numbers, or both as addresses."""
        factors = node.alpha, node.beta
        return [self._place(factor, product.dtype) for factor in factors] if product.on_device else list(factors)

    def _place(self, factor: Any, dtype: np.dtype) -> int:
        """Address of alpha or beta on the device, to which a number is copied: the library wants both in one memory."""
        if isinstance(factor, cupy.ndarray):
            return factor.data.ptr
        key = float(factor), dtype
        if key not in self._constants:
            self._constants[key] = self.upload(np.array([factor], dtype))
        return self._constants[key].data.ptr


class _Staging:
    """A buffer of the device and pinned memory from which it is filled. To be used with the device's lock held.

    The copies have a stream of their own, so that they run beside the work on another buffer's contents.
    """

    def __init__(self, array: Any, work: Any, copies: Any) -> None:
        self.array, self._work, self._copies = array, work, copies
        self._pinned = cupy.cuda.alloc_pinned_memory(array.nbytes)
        self._host = np.frombuffer(self._pinned, array.dtype, array.size)
        self._loaded, self._released = (cupy.cuda.Event(disable_timing=True) for _ in range(2))
        self.release()  # the first `load` waits for the work queued so far, which may use this memory

    def load(self, fill: Callable[[np.ndarray], None]) -> None:
        self._loaded.synchronize()  # the host's memory has been read
        fill(self._host)
        self._copies.wait_event(self._released)
        size, kind = self.array.nbytes, runtime.memcpyHostToDevice
        runtime.memcpyAsync(self.array.data.ptr, self._pinned.ptr, size, kind, self._copies.ptr)
        self._loaded.record(self._copies)
        self._work.wait_event(self._loaded)

    def release(self) -> None:
        self._released.record(self._work)


class _Graph:
    """A captured graph, and all that must live as long. To be launched with the device's lock held."""

    def __init__(self, graph: Any, stream: Any, kept: tuple) -> None:
        self._graph, self._stream, self._kept = graph, stream, kept

    def launch(self) -> None:
        self._graph.launch(self._stream)


_MORE_MEMORY = (
    "Free some (nvidia-smi shows what holds it), use float32 in place of float64, fewer samples or a smaller network, "
    "or backend='numba'."
)


@contextmanager
def _explained() -> Iterator[None]:
    """Explain a lack of memory for what is not an array: a context, a graph, a module."""
    try:
        yield
    except (runtime.CUDARuntimeError, driver.CUDADriverError) as error:
        if error.status != _OUT_OF_MEMORY:
            raise
        raise OutOfDeviceMemoryError(f"the GPU's memory is full ({error}). {_MORE_MEMORY}") from error
