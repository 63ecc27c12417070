"""How many threads a step is worth, and how many the limits allow.

No run gets more threads than the process has cores (affinity, container quota): threads that share a core wait for one
another at every barrier, and results do not depend on the number. Up to there an explicit number is taken as it is.
Without one there are more limits:

- FASTMLP_NUM_THREADS, or else OMP_NUM_THREADS and the limit that threadpoolctl has set on the BLAS. Without either
  variable, a process that multiprocessing has started gets one thread, being one of several at work;
- what other threads and processes leave free (see `fastmlp.backends.teams`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from math import inf
from threading import Lock
from time import perf_counter
from typing import Any

from fastmlp.errors import InputError
from fastmlp.forks import no_fork

__all__ = [
    *("WORK_PER_ROW", "available_threads", "blas_limited", "cores"),
    *("free_of_limits", "is_worth_sharing", "worth_threads"),
]

WORK_PER_THREAD = 65_000  # multiply-adds a step, for each thread: about 1 µs, as long as some twenty barriers
WORK_PER_ROW = 2_000  # multiply-adds that take as long as the rest of a row: its loss, the edges of tiles
WORK_PER_RUN = 1_000_000  # multiply-adds a run, for each thread: about 100 µs, the time to wake one
ROWS_PER_THREAD = 4  # at least: threads would contend for the cache lines of fewer rows
# Small batches are bound by loading weights: splitting pays from so many weights for each of two threads
WEIGHTS_PER_HALF = 50_000
WEIGHTS_PER_HALF_OF_ONE = 16_000  # for batches of one row, whose step has two barriers only
INPUTS_PER_OUTPUT = 40  # at least, averaged over all layers: inputs are the work, outputs move between the cores
ROWS_OF_FEW_INPUTS = 256  # with more rows, threads pay even with fewer inputs


def is_worth_sharing(rows: int, products: int, outputs: int) -> bool:
    """Whether several threads gain more than they lose by reading one another's outputs and gradients.

    `products` are the multiply-adds of a row's forward pass, `outputs` those of all layers. Measured on two threads:
    batches of 200 take 1.2 times as long in a 30-100-1 network, 0.8 times in 50-100-1; batches of 512 take 0.8 times as
    long in the former.
    """
    return rows == 1 or rows > ROWS_OF_FEW_INPUTS or products >= INPUTS_PER_OUTPUT * outputs


def worth_threads(rows: int, work: int, update: int = 0, steps: float = inf) -> int:
    """Threads that pay in a run of `steps` steps of `rows` rows.

    A step has `work` multiply-adds in its products and as much as `update` in its update rule.
    """
    by_rows = min(rows // ROWS_PER_THREAD, (work + update) // WORK_PER_THREAD)
    per_half = WEIGHTS_PER_HALF_OF_ONE if rows == 1 else WEIGHTS_PER_HALF
    by_weights = min(2, work // rows // per_half) if 0 < rows < 2 * ROWS_PER_THREAD else 0
    worth = max(by_rows, by_weights, update // WORK_PER_THREAD)
    return max(1, int(min(worth, (work + update) * steps // WORK_PER_RUN)))


def cores() -> int:
    """Cores that this process may use, by its affinity and the quota of its container."""
    return _cpu_count(int(perf_counter()))


def available_threads() -> int:
    """Threads on an idle machine: the cores, or fewer by FASTMLP_NUM_THREADS, else by OMP_NUM_THREADS.

    Raises InputError if FASTMLP_NUM_THREADS is no positive integer.
    """
    wanted = os.environ.get("FASTMLP_NUM_THREADS")
    if wanted is not None:
        if not wanted.isdecimal() or int(wanted) < 1:
            raise InputError(f"FASTMLP_NUM_THREADS={wanted!r} must be a positive integer. Correct or unset it.")
        return min(int(wanted), cores())
    openmp = os.environ.get("OMP_NUM_THREADS", "")  # which joblib's workers find set to their share
    if openmp.isdecimal() and int(openmp) > 0:
        return min(int(openmp), cores())
    multiprocessing = sys.modules.get("multiprocessing")  # a process that it has started has imported it
    return 1 if multiprocessing and multiprocessing.parent_process() else cores()


@lru_cache(maxsize=1)
def _cpu_count(_second: int) -> int:
    """Looked up once a second: it takes a tenth of a millisecond, which is an epoch of a small network."""
    try:
        with no_fork():
            import joblib  # comes with scikit-learn and knows affinity masks and container quotas
    except RuntimeError:  # at the end of the interpreter, where there are no new threads either
        return 1
    return joblib.cpu_count()


class _Blas:
    """The number of threads of NumPy's BLAS, which is one for the whole process."""

    def __init__(self) -> None:
        self._libraries: list[Any] | None = None  # None: not searched for yet
        self._found: list[int] = []  # their numbers of threads before our first limit, while any is set
        self.reset()

    def reset(self) -> None:
        """After a fork: the runs under way are the parent's. The child lifts their limits at its next call."""
        self._lock = Lock()
        self._limits: list[int] = []  # of the runs under way

    def threads(self) -> int | None:
        """The least number of threads of any library, without our own limits; None if there is no library."""
        libraries = self._search()
        with self._lock:
            if not self._limits:
                self._apply(libraries)
            return min(self._found or _numbers(libraries), default=None)

    @contextmanager
    def limited(self, n_threads: int) -> Iterator[None]:
        """At most n_threads within; the least of these where runs in several threads overlap."""
        libraries = self._search()
        with self._lock:
            if not self._limits:
                self._apply(libraries)
                self._found = _numbers(libraries)
            self._limits.append(n_threads)
            self._apply(libraries)
        try:
            yield
        finally:
            with self._lock:
                self._limits.remove(n_threads)
                self._apply(libraries)

    def _search(self) -> list[Any]:
        """The libraries. The first search takes milliseconds and holds off forks, so it must not hold our lock."""
        if self._libraries is None:
            with no_fork():
                from threadpoolctl import ThreadpoolController  # comes with scikit-learn

                self._libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        return self._libraries

    def _apply(self, libraries: list[Any]) -> None:
        """Set the least of the limits, or, without any, go back to what was found."""
        for library, found in zip(libraries, self._found, strict=False):  # nothing is found before the first limit
            library.set_num_threads(min(found, *self._limits) if self._limits else found)
        if not self._limits:
            self._found = []


def _numbers(libraries: list[Any]) -> list[int]:
    return [library.num_threads for library in libraries]


_BLAS = _Blas()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_BLAS.reset)


def free_of_limits() -> int:
    """Threads that the limits allow now."""
    if "FASTMLP_NUM_THREADS" in os.environ:
        return available_threads()
    threads = available_threads()
    return min(threads, _BLAS.threads() or threads) if threads > 1 else threads


def blas_limited(n_threads: int | None) -> AbstractContextManager[None]:
    """Context in which the BLAS has at most so many threads; None leaves it as it is."""
    return nullcontext() if n_threads is None else _BLAS.limited(n_threads)
