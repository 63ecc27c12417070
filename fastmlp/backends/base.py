"""What a backend is: memory, the operations of the step, and a way to run a function of the step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastmlp.forks import no_fork
from fastmlp.formulas.by_code import BUILT_IN, Formulas
from fastmlp.network import Data, Network, Update

if TYPE_CHECKING:
    from fastmlp.ranks.group import Group

__all__ = ["Backend", "Reduction"]


class Reduction(Protocol):
    """The operation `all_reduce` on host arrays."""

    shards: tuple[int, int, int, int]  # as in `Update`
    group: Group | None  # the ranks
    reproducible: bool  # whether the sum must not depend on the number of ranks

    def __call__(self, shard: int, rows: int, gradient: np.ndarray, loss: float) -> float: ...


class Backend(ABC):
    """Runs the entry points of `fastmlp.step` on some device."""

    name: str
    precisions: tuple[str, ...] = ("float32",)
    # Rows that go through the network at once. A batch larger than this passes in chunks, their gradients summed
    # exactly, so a full-batch step over any number of samples needs no more memory. By default a chunk's activations
    # stay in the cache.
    chunk: int = 512

    # Multiply-adds of a forward pass in one call of `train`, at most (on a CPU 0.1 s or so).
    span_work: float = 2e9
    # Samples times epochs of one call of `train` that has more epochs than one. It pays where a call costs as much as
    # an epoch of a small network takes; 0: never.
    samples_at_once: int = 0

    checks_samples: bool = False  # whether ``run("predict", …)`` returns NaN where a dense sample is not finite

    def __init__(self, precision: str = "float32") -> None:
        self.precision = precision  # of float32 matrix products

    def chunk_of(self, row_bytes: int) -> int:
        """Rows that go through the network at once where each takes so many bytes of workspace."""
        return self.chunk

    def steps_at_once(self, work: float) -> int:
        """Steps in one call of `train`, if each has so many multiply-adds in its forward pass.

        Nothing can be interrupted within a call, so a long epoch is run in spans; between these a Ctrl-C is seen.
        """
        return max(1, int(self.span_work / work))

    def free_memory(self) -> int:
        """Bytes that are free in the backend's own memory; 0 if it has none of its own."""
        return 0

    def release(self, operations: Any) -> None:  # noqa: B027
        """After training: keep nothing of its samples, so that their memory can be freed."""

    def __reduce__(self) -> tuple:
        with no_fork():
            from fastmlp.backends import revived_backend

        return revived_backend, (self.name, self.precision)  # a device and compiled code belong to a process

    @classmethod
    @abstractmethod
    def problem(cls) -> str | None:
        """Why this backend cannot run here and what to do about it; None if it can."""

    @abstractmethod
    def describe(self) -> str:
        """One line for ``fastmlp info``: versions and device."""

    @abstractmethod
    def zeros(self, n: int, dtype: np.dtype | type) -> np.ndarray:
        """(n,) zeros in the backend's memory, 64-byte aligned."""

    @abstractmethod
    def asarray(self, host: np.ndarray) -> np.ndarray:
        """The backend's array with the contents of a host array; the same memory where that is possible."""

    def samples(self, x: np.ndarray) -> Any:
        """Samples (N, I) as `run` reads them: as `asarray`, but they may stay on the host if they are many."""
        return self.asarray(x)

    @abstractmethod
    def to_host(self, array: np.ndarray) -> np.ndarray:
        """A host array with the contents of a backend's array; the same memory where that is possible."""

    def write(self, array: np.ndarray, host: Any) -> None:
        """Give a backend's array the contents of a host array or number; nothing to do where it is the same memory."""
        if array is not host:
            array[...] = host

    def shuffler(self, random: np.random.RandomState, n_samples: int) -> Callable[[np.ndarray, np.ndarray], None]:
        """Function ``shuffle(orders, last)`` of int64 arrays (E, n_samples) and (n_samples,).

        It makes the first order `last`, shuffled, and each other one the order before it, shuffled: by
        ``random.shuffle``, or by code that draws the same numbers.
        """

        def shuffle(orders: np.ndarray, last: np.ndarray) -> None:
            for order in orders:
                order[...] = last
                random.shuffle(order)
                last = order

        return shuffle

    @abstractmethod
    def operations(
        self,
        net: Network,
        rows: int,
        n_threads: int | None,
        formulas: Formulas = BUILT_IN,
        all_reduce: Reduction | None = None,
    ) -> Any:
        """What `run` needs to work on `net` with `rows` rows a step: the operations and their workspaces.

        n_threads is honoured, by Numba up to the number of cores; None lets every run take what is free. Numba's
        results do not depend on it; on NumPy it bounds the threads of the BLAS, whose sums may differ in the last
        digit. formulas are what the codes in `net` and in an `Update` stand for; all_reduce is the operation of that
        name, for batches in shards.
        """

    @abstractmethod
    def run(self, entry: str, operations: Any, *arguments: Any) -> float:
        """Run ``fastmlp.step.<entry>(ops, *arguments)``; the sum of what the threads return. To train, use `train`."""

    def repeatable(self, entry: str, operations: Any, *arguments: Any) -> Callable[[], float]:
        """A function that repeats this `run` at each call, with less overhead if the backend can."""
        return partial(self.run, entry, operations, *arguments)

    @abstractmethod
    def prepare(self, operations: Any, *arguments: Any) -> None:
        """Do what must be done once before `train` with such arguments, so that `train` can be timed."""

    def train(
        self,
        operations: Any,
        net: Network,
        data: Data,
        update: Update,
        orders: np.ndarray,
        batch_size: int,
        rates: np.ndarray,
        seed: int,
        first_step: int,
    ) -> np.ndarray:
        """Run ``fastmlp.step.train_epoch`` for each of the epochs orders (E, n), rates (E, steps, 3): losses (E,)."""
        losses = np.empty(len(orders))
        for e, order in enumerate(orders):
            step = first_step + e * rates.shape[1]
            arguments = net, data, update, order, batch_size, rates[e], seed, step
            losses[e] = self.run("train_epoch", operations, *arguments)
        return losses
