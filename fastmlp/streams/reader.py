"""A thread that reads the next window of samples while the present one is in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from time import perf_counter, thread_time
from typing import NamedTuple

import numpy as np

from fastmlp.array_checks import is_finite
from fastmlp.backends.teams import POOL
from fastmlp.errors import InputError
from fastmlp.streams.shuffling import Piece, Plan
from fastmlp.streams.source import Block, Source

__all__ = ["Convert", "Reader", "Window"]

Convert = Callable[[np.ndarray, np.ndarray | None], tuple[np.ndarray, ...]]
"""From targets and weights of some samples to the arrays that a window has of them; InputError if they are wrong."""

_POOLS = 2  # windows in memory: one in use, one being read


class Window(NamedTuple):
    """Samples in memory, until the next window is asked for."""

    plan: Plan
    x: np.ndarray  # (capacity, I), of which the first n are samples
    outcomes: tuple[np.ndarray, ...]  # (n, …) each: what was made of targets and weights


class Reader:
    """Reads the windows of `plans`, one ahead.

    In memory are two windows of `capacity` samples, and for each lane and each thread the block that it read last.

    Parameters
    ----------
    source : Source
        The samples.
    plans : iterator of Plan
        The windows; it is run by the thread.
    capacity : int
        Samples that a window may have.
    dtype : dtype
        Of the features in memory.
    convert : function
        From targets and weights, called by the thread.
    readers : int
        Threads that read lanes at the same time.
    """

    def __init__(
        self, source: Source, plans: Iterator[Plan], capacity: int, dtype: np.dtype, convert: Convert, readers: int
    ) -> None:
        self._source, self._plans, self._convert, self._readers = source, plans, convert, readers
        self._pools = [np.empty((capacity, source.n_features), dtype) for _ in range(_POOLS)]
        self._last: dict[int, tuple[int, Block]] = {}  # the block that each lane read last, and its number
        self._free, self._stop = Semaphore(_POOLS), Event()
        self._ready: SimpleQueue[Window | BaseException | None] = SimpleQueue()
        self._in_use = False
        self.waited = 0.0  # seconds, for windows that were not there yet
        self._thread = Thread(target=self._run, name="fastmlp-reader", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Window]:
        return self

    def __next__(self) -> Window:
        """The next window. The one before is overwritten from now on; what went wrong in the thread is raised here."""
        if self._in_use:
            self._free.release()
        self._in_use = True
        begin = perf_counter()
        window = self._ready.get()
        self.waited += perf_counter() - begin
        if isinstance(window, BaseException):
            raise window
        if window is None:
            raise StopIteration
        return window

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._free.release()
        self._thread.join()

    def _run(self) -> None:
        try:
            with ExitStack() as stack:
                pool = stack.enter_context(ThreadPoolExecutor(self._readers)) if self._readers > 1 else None
                for number, plan in enumerate(self._plans):
                    self._free.acquire()
                    if self._stop.is_set():
                        return
                    self._ready.put(self._read(plan, self._pools[number % _POOLS], pool))
            self._ready.put(None)
        except BaseException as error:
            self._ready.put(error)

    def _read(self, plan: Plan, x: np.ndarray, pool: ThreadPoolExecutor | None) -> Window:
        sizes = [sum(piece.last - piece.first for piece in pieces) for pieces in plan.pieces]
        ends = np.cumsum(sizes)
        parts = [x[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        run = map if pool is None else pool.map
        read = list(run(self._read_lane, range(len(sizes)), plan.pieces, parts))
        converted = [outcomes for lane in read for outcomes in lane]
        return Window(plan, x, tuple(map(np.concatenate, zip(*converted, strict=True))))

    def _read_lane(self, lane: int, pieces: list[Piece], x: np.ndarray) -> list[tuple[np.ndarray, ...]]:
        """Read the pieces of a lane into x (n, I); return what was made of targets and weights of each."""
        outcomes, begin = [], 0
        for number, first, last in pieces:
            if self._stop.is_set():
                break
            spent = thread_time()
            known, block = self._last.get(lane, (-1, None))
            if number != known or block is None:
                self._last.pop(lane, None)
                block = self._source.read(number)
                self._last[lane] = number, block
            rows = x[begin : begin + last - first]
            block.copy(first, last, rows)
            if rows.dtype.kind == "f" and not is_finite(rows):
                row, feature = np.argwhere(~np.isfinite(rows))[0]
                raise InputError(
                    f"{self._source.place(number)}: feature {feature} of sample {first + row} is {rows[row, feature]} "
                    f"in {rows.dtype}. Leave such samples out, or fill them, when the file is written."
                )
            weights = None if block.weights is None else block.weights[first:last]
            try:
                outcomes.append(self._convert(block.y[first:last], weights))
            except ValueError as error:
                raise InputError(f"{self._source.place(number)}: {error}") from error
            begin += last - first
            POOL.excuse(thread_time() - spent)
        return outcomes
