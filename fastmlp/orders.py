"""The order of the samples in each epoch; where there are many, drawn while the epoch before is trained on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastmlp.forks import drawing

__all__ = ["Orders", "block_of"]

# Samples. A shuffle takes 5 ns for each, half as long as an epoch of a tiny network; from so many on it is worth being
# handed over to a thread, which takes some 30 µs.
AHEAD_FROM = 1 << 13

# Of a memory map larger than the memory, samples that lie together are read together, and taken in an order of their
# own once there are a thousand such blocks from all over the map.
_BLOCK_BYTES = 1 << 16
_BLOCKS = 1 << 10


def block_of(sample_bytes: int) -> int:
    """Samples of a block, of so many bytes each."""
    return max(1, _BLOCK_BYTES // sample_bytes)


@dataclass
class Orders:
    """Draws the orders of a run. Close it when no more is to be taken: then `random` is where the last one left it."""

    samples: np.ndarray  # (N,) int64: those to train on, in their first order
    random: np.random.RandomState | None  # None: always that order
    shuffler: Callable[[np.random.RandomState, int], Callable[[np.ndarray, np.ndarray], None]]  # Backend.shuffler
    epochs_at_once: int  # of which orders are taken, at most
    ahead: bool  # whether `random` may run ahead, since nobody else draws from it or looks at it until the end
    block: int = 0  # consecutive samples, all of 0 .. N-1, that stay near one another; 0: any may come after any
    _pool: ThreadPoolExecutor | None = field(default=None, init=False)
    _next: Future[np.ndarray] | None = field(default=None, init=False)
    _before: Any = field(default=None, init=False)  # state of `random` before what is in `_next`

    def __post_init__(self) -> None:
        if len(self.samples) < 2:
            self.random = None  # it would draw nothing
        if self.random is not None:
            self._shuffle = self._shuffle_blocks if self.block else self.shuffler(self.random, len(self.samples))
            if self.ahead and self.epochs_at_once == 1 and len(self.samples) >= AHEAD_FROM:
                self._pool = ThreadPoolExecutor(1, "fastmlp-orders")
        same = np.broadcast_to(self.samples, (self.epochs_at_once, len(self.samples)))
        self._buffers = [same.copy() for _ in range(2 if self._pool else 1)]
        self._last = self.taken = self._buffers[0][0]  # `taken` (N,): the last order that was given out

    def take(self, count: int, left: int) -> np.ndarray:
        """Orders (count, N) of the next epochs, good until the next call; `left` more are to be taken after these."""
        orders = self._draw(count) if self._next is None else self._next.result()
        self._next, self.taken = None, orders[-1]
        if self._pool is not None and left:
            self._buffers.reverse()
            try:
                self._next = self._pool.submit(self._draw_ahead)
            except RuntimeError:  # no thread can be started. The pool keeps what it was given, for one that may come
                self._pool = None
        return orders

    def generator(self) -> dict[str, Any] | None:
        """State of `random` after the last order that was given out; None where there is no generator."""
        if self.random is None:
            return None
        if self._next is None:
            return self.random.get_state(legacy=False)
        self._next.result()  # it has begun, at least
        return self._before

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        if self.random is not None and self._next is not None:
            self.random.set_state(self._before)

    def _draw(self, count: int) -> np.ndarray:
        orders = self._buffers[0][:count]
        if self.random is not None:
            # the running order, not a fresh one: scikit-learn's batches from the same seed
            with drawing(self.random):
                self._shuffle(orders, self._last)
            self._last = orders[-1]
        return orders

    def _shuffle_blocks(self, orders: np.ndarray, _last: np.ndarray) -> None:
        assert self.random is not None
        n, block = len(self.samples), self.block
        for order in orders:
            starts = block * self.random.permutation(-(-n // block))
            begin = 0
            for first in range(0, len(starts), _BLOCKS):
                some = (starts[first : first + _BLOCKS, None] + np.arange(block)).reshape(-1)
                some = some[some < n]  # the last block is shorter
                self.random.shuffle(some)
                order[begin : begin + len(some)] = some
                begin += len(some)

    def _draw_ahead(self) -> np.ndarray:
        assert self.random is not None
        self._before = self.random.get_state(legacy=False)
        return self._draw(1)
