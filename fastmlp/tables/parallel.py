"""A parallel map over columns or blocks of a table, lazy and in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from fastmlp.backends.threads import available_threads

__all__ = ["column_chunks", "parallel_map"]

_CHUNK = 1 << 20  # values in a chunk of columns

Item = TypeVar("Item")
Result = TypeVar("Result")


def column_chunks(columns: Sequence[Item], rows: int) -> Iterator[Sequence[Item]]:
    """Yield the columns in chunks so small that a chunk can be copied to a matrix of `rows` rows."""
    step = max(1, _CHUNK // max(1, rows))
    for start in range(0, len(columns), step):
        yield columns[start : start + step]


def parallel_map(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, computed on as many threads as are available.

    The function must be thread-safe. An exception of the function is raised in place of its result; by then some of
    the items that follow may have been taken from the iterable.
    """
    threads = available_threads()
    every = iter(items)
    first = list(islice(every, 2))
    if threads == 1 or len(first) < 2:
        yield from map(function, (item for part in (first, every) for item in part))
        return
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, "fastmlp-tables")
    try:
        for part in (first, every):
            for item in part:
                waiting.append(_submitted(pool, function, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _submitted(pool: ThreadPoolExecutor, function: Callable[[Item], Result], item: Item) -> Future[Result]:
    try:
        return pool.submit(function, item)
    except RuntimeError:  # no further thread can be started: the item is done here
        result: Future[Result] = Future()
        try:
            result.set_result(function(item))
        except BaseException as error:
            result.set_exception(error)
        return result
