"""A stand-in for the parts of CuPy that `nvidia.py` uses, on the emulated device, with streams, events and captures.

Work on a stream is done when the stream is synchronized, as late as CUDA may do it, which shows host memory that is
changed too early; on a hasty stream it waits only for events. A capture accepts kernels and products; anything else
raises `CaptureError`.
"""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from functools import partial
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from emulation.cublaslt import Library
from emulation.device import DeviceArray, EmulatedDevice
from fastmlp.backends.cuda.cublaslt import CublasLt
from fastmlp.backends.cuda.device import Launch
from fastmlp.kernels.cuda import part_of

__all__ = ["CaptureError", "nvidia_device"]

NVIDIA = "fastmlp.backends.cuda.nvidia"


class CaptureError(AssertionError):
    """Something that CUDA refuses during a capture, or that a graph must not contain."""


class Array(DeviceArray):
    """An array with its address in the attribute where CuPy has it."""

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self.span.allocation.address + self.span.offset if self.size else 0)

    def _like(self, view: np.ndarray) -> Array:
        like = super()._like(view)
        return Array(like.span, like._room)


class Pinned(bytearray):
    """Host memory with a fixed address."""

    @property
    def ptr(self) -> int:
        return ctypes.addressof((ctypes.c_char * len(self)).from_buffer(self))


class Stream:
    """A queue of work. clock: what all that is done has taken."""

    def __init__(self, gpu: Gpu, non_blocking: bool = False) -> None:
        assert non_blocking, "a blocking stream waits for others' work on the legacy stream"
        self.gpu, self.clock = gpu, 0.0
        self.waiting: deque[tuple] = deque()
        self.captured: list | None = None
        self.ptr = 0x5000 + len(gpu.streams)
        gpu.streams[self.ptr] = self

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def put(self, work: Any, seconds: float | None = None, after: Marker | None = None) -> None:
        """Queue or capture work, which takes time unless it is none for a graph; what memory it may need stays."""
        if self.captured is None:
            rooms = [allocation.room() for allocation in self.gpu.device._allocations.values()]
            self.waiting.append((work, seconds or 0.0, after, rooms))
            if self.ptr in self.gpu.hasty:
                self.run_until(hasty=True)
        elif seconds is not None:
            self.captured.append((work, seconds))
        else:
            raise CaptureError("a copy would become part of a graph, with what its memory will have then")

    def run_until(self, marker: Marker | None = None, hasty: bool = False) -> None:
        """Do what waits, to its end or to a marker; hasty: as far as it waits for no other stream."""
        while self.waiting and not (marker and marker.done):
            work, seconds, after, _ = self.waiting[0]
            if after is not None and not after.done:
                if hasty:
                    return
                after.stream.run_until(after)
            self.waiting.popleft()
            self.clock += seconds
            work()

    def synchronize(self) -> None:
        self.gpu.refuse_in_capture("synchronize")
        self.run_until()

    def wait_event(self, event: Event) -> None:
        if event.marker is not None:
            self.put(lambda: None, after=event.marker)

    def begin_capture(self, mode: int) -> None:
        assert (mode, self.captured) == ("relaxed", None)
        self.captured = []

    def end_capture(self) -> Graph:
        captured, self.captured = self.captured, None
        assert captured is not None
        return Graph(captured)


class Graph:
    def __init__(self, captured: list) -> None:
        self._captured = captured

    def launch(self, stream: Stream) -> None:
        for work, seconds in self._captured:
            stream.put(work, seconds)


class Marker:
    """A position in the work of a stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.done, self.time = stream, False, 0.0

    def __call__(self) -> None:
        self.done, self.time = True, self.stream.clock


class Event:
    def __init__(self, disable_timing: bool = False) -> None:
        self.marker: Marker | None = None

    def record(self, stream: Stream) -> None:
        self.marker = Marker(stream)
        stream.put(self.marker)

    def synchronize(self) -> None:
        if self.marker is not None:
            self.marker.stream.gpu.refuse_in_capture("synchronize with an event")
            self.marker.stream.run_until(self.marker)


class Kernel:
    """A kernel of a module, called as CuPy's."""

    def __init__(self, gpu: Gpu, name: str, real: np.dtype) -> None:
        self.gpu, self.name, self.real, self.ptr = gpu, name, real, 0

    def __call__(self, grid, block, arguments, shared, stream, cooperative=False) -> None:
        (blocks,), (struct,) = grid, arguments
        self.gpu.launched.append(self.name)
        if self.name in self.gpu.refused:
            raise self.gpu.errors["CUDADriverError"](f"{self.name} cannot be launched")
        assert (block, shared, struct.ndim, struct.dtype.kind) == ((256,), 0, 0, "V")
        node = Launch(self.name, blocks, struct.copy(), cooperative or "program" in self.name, "cluster" in self.name)
        stream.put(self.gpu.device._ready_launch(node, self.real), self.gpu.seconds(self.name))


class Gpu:
    """The module cupy, and the library of products, on a device."""

    def __init__(self, device: EmulatedDevice, prefers_products: bool) -> None:
        self.device, self.streams = device, dict[int, Stream]()
        self.hasty: set[int] = set()  # streams whose work is done as early as CUDA may do it
        self.prefers_products = prefers_products
        self.refused: set[str] = set()  # kernels whose launches fail
        self.launched: list[str] = []
        self.bus = 0  # where the GPU is
        names = "CUDARuntimeError", "CUDADriverError"
        self.errors = {name: type(name, (RuntimeError,), {"status": 0}) for name in names}
        self.cublaslt = Library()
        self.cublaslt.queue = lambda stream, work: self.streams[stream].put(work, self.seconds("product"))

    def seconds(self, what: str) -> float:
        """That work takes; products by one of our kernels and by the library are what there is a choice between."""
        dear = ("linear", "backward_data", "accumulate") if self.prefers_products else ("product",)
        return 1.0 if what in dear else 0.01

    def refuse_in_capture(self, what: str) -> None:
        if any(stream.captured is not None for stream in self.streams.values()):
            raise CaptureError(f"{what} while a stream is captured")

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        array = self.device._new(shape, np.dtype(dtype))
        return Array(array.span, array._room)

    def memcpy(self, to: int, of: int, size: int, kind: int, stream: int) -> None:
        self.streams[stream].put(partial(ctypes.memmove, to, of, size))

    def memset(self, at: int, byte: int, size: int, stream: int) -> None:
        self.streams[stream].put(partial(ctypes.memset, at, byte, size))

    def nccl(self) -> ModuleType:
        """A stand-in for CuPy's module of NCCL, by MPI."""
        from mpi4py import MPI

        kinds = {7: np.float32, 8: np.float64}  # ncclFloat32, ncclFloat64

        class NcclCommunicator:
            def __init__(self, size: int, identity: tuple, rank: int) -> None:
                assert (size, identity, rank) == (MPI.COMM_WORLD.size, (1, 2, 3), MPI.COMM_WORLD.rank)

            def allReduce(_self, source, target, count, kind, operation, stream):
                assert source == target and operation == 0
                size = count * np.dtype(kinds[kind]).itemsize

                def work() -> None:
                    array = np.frombuffer((ctypes.c_char * size).from_address(target), kinds[kind])
                    MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, array)

                self.streams[stream].put(work)

        module = ModuleType("cupy.cuda.nccl")
        vars(module).update(
            available=True, get_unique_id=lambda: (1, 2, 3), NcclCommunicator=NcclCommunicator,
            NCCL_FLOAT32=7, NCCL_FLOAT64=8, NCCL_SUM=0,
        )  # fmt: skip
        return module

    def modules(self) -> dict[str, ModuleType]:
        """The modules for `import cupy` and its submodules in nvidia.py."""
        cupy, cuda = ModuleType("cupy"), ModuleType("cupy.cuda")
        names = {"name": b"Fake GPU", "totalGlobalMem": 1 << 30}
        runtime = SimpleNamespace(
            memcpyAsync=self.memcpy, memsetAsync=self.memset, memcpyHostToDevice=1, memcpyDeviceToHost=2,
            streamCaptureModeRelaxed="relaxed", driverGetVersion=lambda: 13000,
            getDeviceProperties=lambda number: names,
            deviceGetPCIBusId=lambda number: f"0000:0{self.bus}:00.0",
            memGetInfo=lambda: (self.device.free_memory(), 1 << 40),
            CUDARuntimeError=self.errors["CUDARuntimeError"],
        )  # fmt: skip
        driver = SimpleNamespace(
            occupancyMaxActiveBlocksPerMultiprocessor=lambda kernel, threads, shared: 8,
            CUDADriverError=self.errors["CUDADriverError"],
        )

        class Device:
            id, compute_capability = 0, "90" if self.device.clusters else "80"
            attributes = {"MultiProcessorCount": self.device.multiprocessors}  # noqa: RUF012

            def __enter__(self) -> Device:
                return self

            def __exit__(self, *_: object) -> None:
                pass

        def raw_module(code: str, options: tuple[str, ...]) -> Any:
            real = np.dtype({"-DREAL=float": np.float32, "-DREAL=double": np.float64}[options[0]])

            def get_function(name: str) -> Any:
                assert options[1] == f"-D{part_of(name)}", f"{name} is not compiled by {options}"
                return SimpleNamespace(kernel=Kernel(self, name, real))

            return SimpleNamespace(get_function=get_function)

        vars(cupy).update(
            __version__="0", cuda=cuda, empty=self.empty, ndarray=Array, RawModule=raw_module,
            get_default_memory_pool=lambda: SimpleNamespace(free_bytes=lambda: 0),
        )  # fmt: skip
        vars(cuda).update(
            driver=driver, runtime=runtime, Device=Device, Stream=partial(Stream, self), Event=Event,
            alloc_pinned_memory=lambda size: Pinned(b"\xff" * size),
            get_elapsed_time=lambda start, end: 1e3 * (end.marker.time - start.marker.time),
            memory=SimpleNamespace(OutOfMemoryError=MemoryError),
        )  # fmt: skip
        return {"cupy": cupy, "cupy.cuda": cuda}


def nvidia_device(monkeypatch: Any, precision: str = "float32", prefers_products: bool = True, **device: Any) -> Any:
    """The `NvidiaDevice` of a GPU that is the emulated one, which is its attribute `gpu`."""
    gpu = Gpu(EmulatedDevice(**device), prefers_products)
    for name, module in gpu.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, NVIDIA, raising=False)
    nvidia = import_module(NVIDIA)
    monkeypatch.delitem(sys.modules, NVIDIA)  # nobody else shall have what knows no other CuPy
    monkeypatch.setattr(nvidia, "CublasLt", lambda *given: CublasLt(*given, library=gpu.cublaslt))
    made = nvidia.NvidiaDevice(precision)
    made.gpu = gpu
    return made
