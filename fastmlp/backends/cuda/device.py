"""What the CUDA backend asks of a device: memory, launches of our kernels, products by a library, graphs.

There are two: an NVIDIA GPU through CuPy (`nvidia.py`), and in the tests a CPU that emulates one, thread by thread, so
that the whole backend runs and is checked on machines without a GPU.

Work is queued and done in order. Arrays are the device's own kind, with shape, dtype, size, nbytes, slices and reshape
as NumPy's, all C-ordered; their contents are reached by `download` alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from fastmlp.formulas.by_code import BUILT_IN, Formulas

if TYPE_CHECKING:
    from fastmlp.ranks.group import Group

__all__ = ["Access", "Device", "Graph", "Launch", "Matmul", "NoClusterError", "Node", "Staging", "mask_width"]


class Access(NamedTuple):
    """The memory that a kernel reads, or also writes: addresses from `first` to before `last`.

    own: the way in which blocks share it, if none touches another's part; else None.
    """

    first: int
    last: int
    written: bool
    own: tuple[str, int] | None = None


class Launch(NamedTuple):
    """A kernel of ours with so many blocks, and the struct of its arguments.

    cooperative: all blocks must run at once; cluster: they do, since they are one cluster. work: the time it takes, as
    a number of multiply-adds; numbers: how many it reads and writes in memory. formulas: those that the kernels are
    compiled with.
    """

    name: str
    blocks: int
    arguments: np.ndarray  # 0-d, structured
    cooperative: bool = False
    cluster: bool = False
    work: float = math.inf
    formulas: Formulas = BUILT_IN
    numbers: float = math.inf
    accesses: tuple[Access, ...] = ()


class Matmul(NamedTuple):
    """out (M, N) = epilogue(alpha op(a) op(b) + beta out) by the device's library; op transposes or does nothing.

    a and b are of out's dtype; or of uint16, the bits of bfloat16 numbers, with all else in float32.

    alpha and beta are numbers, or arrays (1,) on the device. With beta = 0.0 out is not read. Epilogues are None and

    - "bias": + vector (N,);
    - "relu_bias": ReLU of that, a NaN becoming 0;
    - "relu_aux_bias": the same, and `mask` receives where it is positive, for
    - "drelu_bgrad": 0 where the mask of an earlier product is not set; vector becomes the sum of out's rows;
    - "bgrad": vector becomes the sum of the rows of op(b), whatever alpha is.
    """

    a: Any
    b: Any
    out: Any
    transpose_a: bool = False
    transpose_b: bool = False
    alpha: Any = 1.0
    beta: Any = 0.0
    epilogue: str | None = None
    vector: Any = None
    mask: Any = None  # (M, mask_width(N)) bytes


Node = Launch | Matmul


class NoClusterError(RuntimeError):
    """The device has no place where the blocks of a cluster could run; its `clusters` is false from now on."""


def mask_width(columns: int) -> int:
    """Bytes of a mask's row: a bit for each column, in the library's units of 128 bits."""
    return -(-columns // 128) * 16


class Graph(Protocol):
    """Work that was recorded once, to be queued again and again with the same addresses and arguments."""

    def launch(self) -> None: ...


class Staging(Protocol):
    """An array on the device and memory of the host from which it is filled while the device computes."""

    array: Any

    def load(self, fill: Callable[[np.ndarray], None]) -> None:
        """`fill` a host array of the same shape; its contents are in `array` for all that is queued from now on."""
        ...

    def release(self) -> None:
        """Say that everything that reads the contents has been queued."""
        ...


class Device(Protocol):
    precision: str  # of the library's products of float32 numbers: "float32", "tf32" or "bf16"
    multiprocessors: int
    clusters: bool  # whether eight blocks can be a cluster, which has a barrier of its own, as far as is known

    def free_memory(self) -> int:
        """Bytes that are free."""
        ...

    def staging(self, n: int, dtype: np.dtype | type) -> Staging:
        """A staging buffer of n elements."""
        ...

    def describe(self) -> str:
        """For ``fastmlp info``: the device, its driver and libraries."""
        ...

    def empty(self, n: int, dtype: np.dtype | type) -> Any:
        """(n,) elements, not initialised, aligned to 256 bytes.

        Raises OutOfDeviceMemoryError, whose `asked` and `free` are bytes.
        """
        ...

    def upload(self, host: np.ndarray) -> Any:
        """A new array of the same shape, dtype and contents."""
        ...

    def write(self, array: Any, host: np.ndarray) -> None:
        """Copy a host array, of as many elements of the same dtype, to an array."""
        ...

    def fill(self, array: Any, byte: int) -> None:
        """Set every byte of an array."""
        ...

    def download(self, array: Any) -> np.ndarray:
        """Copy an array to a new host array, after all work queued before."""
        ...

    def address(self, array: Any) -> int:
        """The address of an array's first element."""
        ...

    def queue(self, nodes: list[Node], real: np.dtype) -> None:
        """Queue the kernels and products, one after another.

        Raises NoClusterError if a launch is of a cluster and can have none.
        """
        ...

    def prepare(self, nodes: list[Node], real: np.dtype) -> None:
        """Compile, load and plan all that these need, so that they can be captured."""
        ...

    def seconds(self, nodes: list[Node], real: np.dtype) -> float:
        """Run these, warmed up, and return how long they take; infinity if the library cannot do one of them."""
        ...

    def capture(self, nodes: list[Node], real: np.dtype) -> Graph:
        """A graph of these nodes."""
        ...

    def sum_over(self, group: Group) -> Callable[[Any], None] | None:
        """Function that queues the sum of an array over the ranks' devices, in place; None if there is no way.

        For all ranks to call; so is the function.
        """
        ...

    def lock(self) -> AbstractContextManager[Any]:
        """Held during a run, while other threads wait."""
        ...
