"""The order of the samples in each epoch; for many samples, drawn on a thread during the previous epoch."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastmlp.forks import drawing

__all__ = ["PREFETCH_FROM", "Orders", "block_of"]

# Samples. A shuffle takes 5 ns for each, half as long as an epoch of a tiny network; from this number on, it is worth
# the 30 µs of handing it over to a thread.
PREFETCH_FROM = 1 << 13

# A memory map larger than the memory is shuffled in blocks of consecutive samples, which are read together. A thousand
# blocks from all over the map are put together, and their samples are shuffled among each other.
_BLOCK_BYTES = 1 << 16
_BLOCKS = 1 << 10


def block_of(sample_bytes: int) -> int:
    """Return the number of samples in a block."""
    return max(1, _BLOCK_BYTES // sample_bytes)


@dataclass
class Orders:
    """Draws the orders of a run. After `close`, the state of `random` is that after the last order taken."""

    samples: np.ndarray  # (N,) int64: indices of the training samples, in their initial order
    random: np.random.RandomState | None  # None: always the initial order
    shuffler: Callable[[np.random.RandomState, int], Callable[[np.ndarray, np.ndarray], None]]  # Backend.shuffler
    epochs_at_once: int  # most orders of one `take`
    prefetch: bool  # whether orders may be drawn early, since nothing else uses `random` before `close`
    block: int = 0  # number of consecutive samples that stay near one another (all of 0 .. N-1); 0: a full shuffle
    _pool: ThreadPoolExecutor | None = field(default=None, init=False)
    _next: Future[np.ndarray] | None = field(default=None, init=False)
    _before: Any = field(default=None, init=False)  # state of `random` before what is in `_next`

    def __post_init__(self) -> None:
        if len(self.samples) < 2:
            self.random = None  # nothing is to be drawn
        if self.random is not None:
            self._shuffle = self._shuffle_blocks if self.block else self.shuffler(self.random, len(self.samples))
            if self.prefetch and self.epochs_at_once == 1 and len(self.samples) >= PREFETCH_FROM:
                self._pool = ThreadPoolExecutor(1, "fastmlp-orders")
        shape = self.epochs_at_once, len(self.samples)
        # memory that no epoch comes to is not touched
        self._buffers = [np.empty(shape, np.int64) for _ in range(2 if self._pool else 1)]
        if self.random is None:
            self._buffers[0][...] = self.samples
        self._last = self.taken = self.samples  # `taken` (N,): the last order that was taken

    def take(self, count: int, left: int) -> np.ndarray:
        """Return orders (count, N) of the next epochs, valid until the next call; `left` more will be taken later."""
        orders = self._draw(count) if self._next is None else self._next.result()
        self._next, self.taken = None, orders[-1]
        if self._pool is not None and left:
            self._buffers.reverse()
            try:
                self._next = self._pool.submit(self._prefetch)
            except RuntimeError:  # no thread can be started; the pool keeps the task
                self._pool = None
        return orders

    def generator(self) -> dict[str, Any] | None:
        """Return the state of `random` after the last order that was taken; None without a generator."""
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
            # the previous order is shuffled, which gives scikit-learn's batches for the same seed
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

    def _prefetch(self) -> np.ndarray:
        assert self.random is not None
        self._before = self.random.get_state(legacy=False)
        return self._draw(1)
