"""Work on one piece of data after another, a few of them at a time on threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from fastmlp.backends.threads import available_threads

__all__ = ["column_chunks", "parallel_map"]

_CHUNK = 1 << 20  # numbers of several columns that are looked at together

Item = TypeVar("Item")
Result = TypeVar("Result")


def column_chunks(columns: Sequence[Item], rows: int) -> Iterator[Sequence[Item]]:
    """Yield a few columns at a time, so that a copy of them as a matrix is small."""
    step = max(1, _CHUNK // max(1, rows))
    for start in range(0, len(columns), step):
        yield columns[start : start + step]


def parallel_map(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `function(item)` for each of the items, in their order.

    As many are worked on at a time as there are threads, so the function must leave alone what others see. What it
    raises is raised here, in the place of the result; the items after it may have been taken by then.
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
    except RuntimeError:  # no thread can be started. Those that could, or else this one, do the work
        result: Future[Result] = Future()
        try:
            result.set_result(function(item))
        except BaseException as error:
            result.set_exception(error)
        return result
