"""The CUDA device of the tests: kernels by the emulation, products by NumPy, and checks that no GPU makes.

It fulfils the protocol of `fastmlp.backends.cuda.device`. All work is done when it is queued. What it reports:
faults in a kernel (`KernelFault`), arguments that do not fit it (`LaunchError`: size of the struct, pointers that lead
nowhere or are not aligned), graphs whose memory is gone (`GraphError`). New memory is filled with 0xFF, which is NaN
or -1, and guarded on either side.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from bisect import bisect, insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from emulation.build import load, real_name
from fastmlp.backends.cuda.device import Launch, Node, mask_width
from fastmlp.errors import OutOfDeviceMemoryError

__all__ = ["DeviceArray", "EmulatedDevice", "GraphError", "KernelFault", "LaunchError"]

ALIGNMENT = 256  # of new memory, in bytes
GUARD = 256  # bytes before and after it
POISON = 0xFF
UNTOUCHED = bytes([POISON]) * GUARD
THREADS_OF_MULTIPROCESSOR = 2048  # at once
MAX_BLOCKS = 2**31 - 1

Pointers = Mapping[str, tuple[tuple[int, int], ...]]
"""Of each kernel the pointers in its arguments: their offsets, and the bytes of what they point to (0: anything)."""


class KernelFault(AssertionError):
    """A kernel did something that is undefined on a GPU."""


class LaunchError(AssertionError):
    """A launch whose arguments do not fit its kernel."""


class GraphError(AssertionError):
    """A graph can no longer be launched."""


@dataclass(eq=False)
class Allocation:
    """A piece of the device's memory."""

    address: int
    nbytes: int
    room: weakref.ref[np.ndarray]  # the bytes and their guards, as long as an array needs them
    start: int  # of the bytes within `room`

    def check_alive(self) -> np.ndarray:
        room = self.room()
        if room is None:
            raise GraphError(f"a graph uses memory that was freed after the capture: {self}")
        return room

    def check_guards(self, when: str) -> None:
        room = self.room()
        if room is None:  # it has gone meanwhile: the garbage collector runs when it likes
            return
        end = self.start + self.nbytes
        for what, margin in ("before", room[self.start - GUARD : self.start]), ("past", room[end : end + GUARD]):
            if margin.tobytes() != UNTOUCHED:
                raise KernelFault(f"{when}: something wrote {what} {self}")

    def __str__(self) -> str:
        return f"the {self.nbytes} bytes from {self.address:#x} on"


class Span(NamedTuple):
    """The location of an array; it does not keep the memory alive, like an address in a graph."""

    allocation: Allocation
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype

    def memory(self) -> np.ndarray:
        """A host array on the contents."""
        room = self.allocation.check_alive()
        return np.ndarray(self.shape, self.dtype, room, self.allocation.start + self.offset)


class DeviceArray:
    """An array in device memory: like CuPy's, it is no NumPy array and never becomes one by itself.

    Not a subclass of ndarray, since np.asarray would take one without asking.
    """

    def __init__(self, span: Span, room: np.ndarray) -> None:
        self.span, self._room = span, room
        self.shape, self.dtype = span.shape, span.dtype

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: int(np.prod(self.shape, dtype=np.int64)))
    nbytes = property(lambda self: self.size * self.dtype.itemsize)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> DeviceArray:
        view = self.span.memory()[key]
        if not isinstance(view, np.ndarray):
            raise TypeError(f"element {key} of an array on the device is no number on the host: use Device.download")
        return self._like(view)

    def reshape(self, *shape: Any) -> DeviceArray:
        return self._like(self.span.memory().reshape(*shape))

    def _like(self, view: np.ndarray) -> DeviceArray:
        if not view.flags.c_contiguous:
            raise ValueError(f"arrays on the device are C-contiguous; this view has strides {view.strides}")
        allocation = self.span.allocation
        offset = view.__array_interface__["data"][0] - allocation.address
        return DeviceArray(Span(allocation, offset, view.shape, view.dtype), self._room)

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("an array on the device does not become one on the host by itself: use Device.download")

    __array__ = __array_ufunc__ = __array_function__ = __iter__ = __float__ = __int__ = __index__ = _refuse
    __bool__ = __setitem__ = __eq__ = __lt__ = __add__ = __sub__ = __mul__ = __truediv__ = __matmul__ = _refuse
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype})"


class EmulatedDevice:
    """A CPU that acts as a GPU.

    order: the schedule of the threads (0: warps in turn, 1: backward, 2 and more: threads at random).
    sanitizer: "thread", "address" or "undefined", for a process that `build.under_sanitizer` has prepared.
    memory: bytes of memory, or None for no limit.
    prefers_products: `seconds` pretends that the more products work has, those of bfloat16 numbers above all, the
        faster it is, or the slower.
    precision: "bf16" lets the backend have products of bfloat16 numbers.
    source, pointers: kernels other than fastmlp's, and the pointers that they take.
    """

    def __init__(
        self,
        order: int = 0,
        sanitizer: str | None = None,
        memory: int | None = None,
        multiprocessors: int = 2,
        clusters: bool = True,
        prefers_products: bool = False,
        source: str | None = None,
        pointers: Pointers | None = None,
        precision: str = "float32",
    ) -> None:
        if order < 0:
            raise ValueError(f"order={order} is no schedule: choose 0 (forward), 1 (backward), 2, 3, ... (random)")
        self.clusters, self.precision = clusters, precision
        self.order, self.multiprocessors, self.prefers_products = order, multiprocessors, prefers_products
        self._sanitizer, self._memory, self._source, self._pointers = sanitizer, memory, source, pointers
        self._allocations: dict[int, Allocation] = {}
        self._addresses: list[int] = []  # sorted, of the allocations
        self._lock = threading.RLock()

    def describe(self) -> str:
        return f"CUDA emulated on the CPU, schedule {self.order}"

    def lock(self) -> threading.RLock:
        return self._lock

    def sum_over(self, group) -> None:
        return None

    # Memory

    def empty(self, n: int, dtype: np.dtype | type) -> DeviceArray:
        return self._new((n,), np.dtype(dtype))

    def _new(self, shape: tuple[int, ...], dtype: np.dtype) -> DeviceArray:
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if self._memory is not None and nbytes > (free := self._memory - self.used):
            raise OutOfDeviceMemoryError(
                f"{self.describe()} has no room for {nbytes} bytes: {free} of its {self._memory} are free.",
                *(nbytes, free),
            )
        room = np.full(ALIGNMENT + GUARD + nbytes + GUARD, POISON, np.uint8)
        first = room.__array_interface__["data"][0]
        address = -(-(first + GUARD) // ALIGNMENT) * ALIGNMENT
        allocation = Allocation(address, nbytes, weakref.ref(room), address - first)
        self._allocations[address] = allocation
        insort(self._addresses, address)
        weakref.finalize(room, self._free, allocation).atexit = False
        self._guard(allocation, "poison")
        return DeviceArray(Span(allocation, 0, shape, dtype), room)

    def _free(self, allocation: Allocation) -> None:
        self._guard(allocation, "unpoison")
        del self._allocations[allocation.address]
        self._addresses.remove(allocation.address)

    def _guard(self, allocation: Allocation, how: str) -> None:
        """Mark the guards as inaccessible for AddressSanitizer, or as accessible again."""
        if self._sanitizer == "address":
            mark = getattr(ctypes.CDLL(None), f"__asan_{how}_memory_region")
            for address in allocation.address - GUARD, allocation.address + allocation.nbytes:
                mark(ctypes.c_void_p(address), ctypes.c_size_t(GUARD))

    @property
    def used(self) -> int:
        """Bytes of memory that arrays hold."""
        return sum(allocation.nbytes for allocation in self._allocations.values())

    def free_memory(self) -> int:
        return 1 << 40 if self._memory is None else self._memory - self.used

    def staging(self, n: int, dtype: np.dtype | type) -> EmulatedStaging:
        return EmulatedStaging(self, n, np.dtype(dtype))

    def upload(self, host: np.ndarray) -> DeviceArray:
        array = self._new(host.shape, host.dtype)
        self.write(array, host)
        return array

    def write(self, array: DeviceArray, host: np.ndarray) -> None:
        if (host.size, host.dtype) != (array.size, array.dtype):
            raise ValueError(f"{array} is written with shape {host.shape}, dtype {host.dtype}: they must agree")
        array.span.memory()[...] = host.reshape(array.shape)

    def fill(self, array: DeviceArray, byte: int) -> None:
        array.span.memory().reshape(-1).view(np.uint8)[...] = byte

    def download(self, array: DeviceArray) -> np.ndarray:
        self._check_guards(self._allocations.values(), "at a download")
        return array.span.memory().copy()

    def address(self, array: DeviceArray) -> int:
        return array.span.allocation.address + array.span.offset if array.size else 0

    def _check_guards(self, allocations: Any, when: str) -> None:
        if self._sanitizer != "address":
            for allocation in list(allocations):
                allocation.check_guards(when)

    # Work

    def queue(self, nodes: list[Node], real: np.dtype) -> None:
        for node in nodes:
            self._ready(node, real)()

    def prepare(self, nodes: list[Node], real: np.dtype) -> None:
        self.capture(nodes, real)

    def capture(self, nodes: list[Node], real: np.dtype) -> EmulatedGraph:
        return EmulatedGraph([self._ready(node, real) for node in nodes])

    def seconds(self, nodes: list[Node], real: np.dtype) -> float:
        """No time was taken, but tests want the same choice every time: few nodes, and little work in them."""
        self.queue(nodes, real)
        launches = [node for node in nodes if isinstance(node, Launch)]
        products = [node for node in nodes if not isinstance(node, Launch)]
        work = sum(launch.work for launch in launches)
        score = sum(1000.0 + 100.0 * (node.a.dtype == np.uint16) for node in products)
        return len(nodes) + 1e-12 * work + (-score if self.prefers_products else score)

    def _ready(self, node: Node, real: np.dtype) -> Callable[[], None]:
        """A function that does the work with the current arguments."""
        if isinstance(node, Launch):
            return self._ready_launch(node, np.dtype(real))
        spans = {key: v.span if isinstance(v, DeviceArray) else v for key, v in node._asdict().items()}
        _check_product(**spans)
        return partial(multiply, **spans)

    def _ready_launch(self, node: Launch, real: np.dtype) -> Callable[[], None]:
        name, blocks, arguments, cooperative, cluster, _, formulas, *_ = node
        library = load(self._kernels(formulas), real_name(real), self._sanitizer)
        if name not in library.argument_sizes:
            raise LaunchError(f"there is no kernel {name!r}, only {', '.join(library.argument_sizes)}")
        if arguments.nbytes != library.argument_sizes[name]:
            raise LaunchError(
                f"{name} takes {library.argument_sizes[name]} bytes of arguments and was given {arguments.nbytes}:"
                f" {arguments.dtype}"
            )
        most = self.multiprocessors * THREADS_OF_MULTIPROCESSOR // 256 if cooperative else MAX_BLOCKS
        if cluster and blocks != 8:
            raise LaunchError(f"{name} is a cluster of 8 blocks and was launched with {blocks}")
        if not 1 <= blocks <= most:
            raise LaunchError(f"{name} cannot run with {blocks} blocks: choose 1 to {most} of them")
        frozen = arguments.tobytes()
        reached = [self._reached(name, frozen, *pointer) for pointer in self._pointers_of(name, real)]
        allocations = [allocation for allocation in reached if allocation is not None]

        def launch() -> None:
            for allocation in allocations:
                allocation.check_alive()
            fault = library.run(name, blocks, frozen, cooperative, self.order)
            if fault:
                raise KernelFault(f"{name}, schedule {self.order}: {fault}")
            self._check_guards(allocations, f"after {name}")

        return launch

    def _kernels(self, formulas) -> str:
        if self._source is not None:
            return self._source
        from fastmlp.kernels import cuda

        return cuda.source(formulas)

    def _pointers_of(self, name: str, real: np.dtype) -> tuple[tuple[int, int], ...]:
        if self._source is not None:
            return (self._pointers or {}).get(name, ())
        from fastmlp.kernels import cuda

        return cuda.operations(real)[name].pointers

    def _reached(self, name: str, arguments: bytes, offset: int, size: int) -> Allocation | None:
        """The allocation that the pointer at an offset of the arguments refers to; None for a null pointer."""
        pointer = int.from_bytes(arguments[offset : offset + 8], "little")
        if not pointer:
            return None
        what = f"the pointer {pointer:#x} at byte {offset} of the arguments of {name}"
        if size and pointer % (unit := size & -size):
            raise LaunchError(f"{what} is not aligned to the {unit} bytes that its elements want")
        below = bisect(self._addresses, pointer)
        if below:
            allocation = self._allocations[self._addresses[below - 1]]
            if pointer + size <= allocation.address + allocation.nbytes:
                return allocation
        raise LaunchError(f"{what} leads to no memory of the device: it has {self._layout()}")

    def _layout(self) -> str:
        return ", ".join(str(self._allocations[address]) for address in self._addresses) or "none"


class EmulatedStaging:
    """Released memory is filled with NaN, which shows work that was queued too late."""

    def __init__(self, device: EmulatedDevice, n: int, dtype: np.dtype) -> None:
        self._device, self.array = device, device.empty(n, dtype)
        self._loaded = False

    def load(self, fill: Callable[[np.ndarray], None]) -> None:
        if self._loaded:
            raise GraphError("a staging buffer is loaded anew before it was released")
        host = np.full(self.array.nbytes, POISON, np.uint8).view(self.array.dtype)
        fill(host)
        self._device.write(self.array, host)
        self._loaded = True

    def release(self) -> None:
        self._device.fill(self.array, POISON)
        self._loaded = False


class EmulatedGraph:
    """Work with the arguments of the capture, on the memory contents at the launch."""

    def __init__(self, work: list[Callable[[], None]]) -> None:
        self._work = work

    def launch(self) -> None:
        for step in self._work:
            step()


PRODUCTS = [("float32",) * 3, ("float64",) * 3, ("uint16", "uint16", "float32")]  # dtypes of a, b and out
EPILOGUES = {  # what each has
    None: (),
    "bias": ("vector",),
    "relu_bias": ("vector",),
    "relu_aux_bias": ("vector", "mask"),
    "drelu_bgrad": ("vector", "mask"),
    "bgrad": ("vector",),
}


def _check_product(a, b, out, transpose_a, transpose_b, alpha, beta, epilogue, vector, mask) -> None:
    """Raise ValueError unless all of a `Matmul` fits together; arrays are spans."""
    (m, k), (k_too, n) = a.shape[:: -1 if transpose_a else 1], b.shape[:: -1 if transpose_b else 1]
    arrays = {"out": (out, (m, n))}
    arrays |= {key: (v, (1,)) for key, v in (("alpha", alpha), ("beta", beta)) if isinstance(v, Span)}
    has = tuple(key for key, array in (("vector", vector), ("mask", mask)) if array is not None)
    if EPILOGUES.get(epilogue) != has:
        raise ValueError(f"epilogue={epilogue!r} with {has}: choose one, with what it has, of {EPILOGUES}")
    if vector is not None:
        arrays["vector"] = vector, (n,)
    if k != k_too:
        raise ValueError(f"op(a) {m, k} and op(b) {k_too, n} cannot be multiplied")
    for key, (array, shape) in arrays.items():
        if array.shape != shape or array.dtype != out.dtype:
            raise ValueError(f"{key} is {array.shape} {array.dtype}; it must be {shape} {out.dtype}")
    if (a.dtype.name, b.dtype.name, out.dtype.name) not in PRODUCTS:
        raise ValueError(f"there is no product of {a.dtype} and {b.dtype} in {out.dtype}, only {PRODUCTS}")
    arrays |= {"a": (a, a.shape), "b": (b, b.shape)}
    if mask is not None:
        if (mask.shape, mask.dtype) != ((m, mask_width(n)), np.uint8):
            raise ValueError(f"mask is {mask.shape} {mask.dtype}; it must be {m, mask_width(n)} uint8")
        if (mask.allocation.address + mask.offset) % 16:
            raise ValueError("the mask is not aligned to 16 bytes")
        arrays["mask"] = mask, mask.shape
    memory = out.memory()
    for key, (array, _) in arrays.items():
        if key != "out" and np.may_share_memory(memory, array.memory()):
            raise ValueError(f"out overlaps {key}")


def multiply(a, b, out, transpose_a, transpose_b, alpha, beta, epilogue, vector, mask) -> None:
    """`Matmul` by NumPy, in the precision of out; arrays are spans.

    As in cublasLt out is not read with beta = 0, and the positive part of NaN is 0.
    """
    alpha, beta = (x.memory()[0] if isinstance(x, Span) else x for x in (alpha, beta))
    left, right, result = wide(a.memory()), wide(b.memory()), out.memory()
    left, right = (left.T if transpose_a else left), (right.T if transpose_b else right)
    with np.errstate(all="ignore"):
        product = left @ right
        product *= product.dtype.type(alpha)
        if beta != 0:
            product += product.dtype.type(beta) * result
        if epilogue in ("bias", "relu_bias", "relu_aux_bias"):
            product += vector.memory()
        if epilogue == "relu_aux_bias":
            bits = np.packbits(product > 0, axis=1, bitorder="little")
            mask.memory()[:, : bits.shape[1]] = bits
        if epilogue in ("relu_bias", "relu_aux_bias"):
            np.fmax(product, 0, out=product)
        if epilogue == "drelu_bgrad":
            passed = np.unpackbits(mask.memory(), axis=1, count=product.shape[1], bitorder="little")
            product[passed == 0] = 0
            vector.memory()[...] = product.sum(axis=0)
        if epilogue == "bgrad":
            vector.memory()[...] = right.sum(axis=0)
        result[...] = product


def wide(factor: np.ndarray) -> np.ndarray:
    """float32 numbers from the bits of bfloat16 numbers, which are the upper half of theirs; others as they are."""
    return (factor.astype(np.uint32) << 16).view(np.float32) if factor.dtype == np.uint16 else factor
