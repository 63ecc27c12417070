"""Threads: how many a step is worth, how many this process may have now, and the threads themselves.

An explicit number is taken as it is. Otherwise every run asks anew, since limits and neighbours come and go:

- FASTMLP_NUM_THREADS, or else the cores of the process (affinity, container quota), OMP_NUM_THREADS, and the limit that
  threadpoolctl has set on the BLAS; one in a process that multiprocessing has started, which is one of many at work;
- less the cores that other threads of this process compute on, so that fits at once share the cores;
- less the cores that other processes were seen to use.

It may change from run to run because the results do not depend on it (see `fastmlp.kernels.cpu.team.part_length`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property, partial
from math import ceil, inf
from operator import methodcaller
from queue import SimpleQueue
from threading import Lock, Thread, get_ident
from time import perf_counter, thread_time
from typing import Any

from fastmlp.errors import InputError

__all__ = ["TEAMS", "Task", "blas_limited", "choose_threads", "worth_threads"]

WORK_PER_THREAD = 100_000  # multiply-adds a step: about 3 µs, some thirty barriers
ROWS_PER_THREAD = 4  # below, threads would share the cache lines of too few rows

Task = Callable[[], float]
_CALL = methodcaller("__call__")


def choose_threads(n_threads: int | None, rows: int | None = None, work: int | None = None) -> int:
    """Threads for a step of `rows` rows and `work` multiply-adds in its forward pass, on an idle machine.

    An explicit n_threads is taken as it is. Otherwise FASTMLP_NUM_THREADS, else the cores this process may use
    (affinity, container quota) and OMP_NUM_THREADS bound what the work deserves.
    """
    if n_threads is not None:
        if isinstance(n_threads, bool) or not isinstance(n_threads, int) or n_threads < 1:
            raise InputError(f"n_threads={n_threads!r} must be a positive integer, or None to choose from the work.")
        return n_threads
    if rows is None or work is None:
        return _cores()
    worth = worth_threads(rows, work)
    return min(worth, _cores()) if worth > 1 else 1


def worth_threads(rows: int, work: int) -> int:
    """What such a step is worth."""
    return max(1, min(rows // ROWS_PER_THREAD, work // WORK_PER_THREAD))


def _cores() -> int:
    wanted = os.environ.get("FASTMLP_NUM_THREADS")
    if wanted is not None:
        if not wanted.isdecimal() or int(wanted) < 1:
            raise InputError(f"FASTMLP_NUM_THREADS={wanted!r} must be a positive integer. Correct or unset it.")
        return int(wanted)
    from multiprocessing import parent_process

    import joblib  # comes with scikit-learn and knows affinity masks and container quotas

    cores = joblib.cpu_count()
    openmp = os.environ.get("OMP_NUM_THREADS", "")  # which joblib's workers find set to their share
    if openmp.isdecimal() and int(openmp) > 0:
        return min(cores, int(openmp))
    return 1 if parent_process() is not None else cores


class _Blas:
    """The number of threads of NumPy's BLAS, which is one for the whole process."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """After a fork: the runs under way are the parent's."""
        self._lock = Lock()
        self._limits: list[int] = []  # of the runs under way

    @cached_property
    def _libraries(self) -> list[Any]:
        from threadpoolctl import ThreadpoolController  # comes with scikit-learn

        return ThreadpoolController().select(user_api="blas").lib_controllers  # a search of some milliseconds

    def threads(self) -> int | None:
        """The least number of any library, limits of our own aside; None if there is none."""
        with self._lock:
            return min(self._found if self._limits else self._numbers(), default=None)

    @contextmanager
    def limited(self, n_threads: int) -> Iterator[None]:
        """At most n_threads within; the least of these where runs in several threads overlap."""
        with self._lock:
            if not self._limits:
                self._found = self._numbers()
            self._limits.append(n_threads)
            self._apply()
        try:
            yield
        finally:
            with self._lock:
                self._limits.remove(n_threads)
                self._apply()

    def _numbers(self) -> list[int]:
        return [library.num_threads for library in self._libraries]

    def _apply(self) -> None:
        for library, found in zip(self._libraries, self._found, strict=True):
            library.set_num_threads(min(found, *self._limits) if self._limits else found)


class _Teams:
    """Threads that are kept from run to run, and the account of who computes in this process."""

    LINGER = 0.05  # seconds after a run for which its caller still counts as a neighbour: it is between two epochs
    WINDOW = 0.05  # seconds of running that are judged at once
    PREEMPTED = 5e-4  # seconds: waiting for the interpreter takes less, waiting for a core in use by others takes more
    PATIENCE = 0.5, 16.0  # seconds for which others are left a core: at first, and at most if they are there each time

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As in a new process: after a fork the child has none of the threads, and the locks may be held for ever."""
        self._lock = Lock()
        self._jobs: SimpleQueue[tuple[Task, SimpleQueue]] = SimpleQueue()
        self._threads = 0  # that serve the queue
        self._asked = 0  # jobs of the runs under way: never more than threads
        self._held: dict[int, tuple[int, float]] = {}  # calling thread: the cores it counts for, and until when
        self._wall = self._lost = 0.0  # of the runs not judged yet
        self._most, self._until, self._patience = 1, 0.0, self.PATIENCE[0]  # threads until then, for others' sake

    def run(self, n_threads: int | None, worth: int, tasks: Callable[[int], Sequence[Task]]) -> float:
        """Run ``tasks(size)`` at once, each in a thread of its own; the sum of what they return.

        The size is n_threads, or as much of `worth` as can be had now.
        """
        size = self._enter(n_threads, worth)
        try:
            return self._together(tasks(size), n_threads is None)
        finally:
            with self._lock:
                now = perf_counter()
                self._held[get_ident()] = 1, now + self.LINGER
                if len(self._held) > 1:
                    self._held = {caller: held for caller, held in self._held.items() if now < held[1]}

    def _enter(self, n_threads: int | None, worth: int) -> int:
        size = n_threads or 1
        free = _free_of_limits() if n_threads is None and worth > 1 else 0
        me, now = get_ident(), perf_counter()
        with self._lock:
            if free > 1:
                free -= sum(cores for caller, (cores, until) in self._held.items() if caller != me and now < until)
                size = max(1, min(free, worth, self._most if now < self._until else worth))
            self._held[me] = size, inf
        return size

    def _together(self, tasks: Sequence[Task], observed: bool) -> float:
        own, *others = tasks
        if not others:
            return own()
        answers: SimpleQueue[tuple[float, float]] = SimpleQueue()
        jobs = [partial(self._jobs.put, (task, answers)) for task in others]
        with self._lock:
            self._asked += len(jobs)
            while self._threads < self._asked:
                Thread(target=self._serve, args=(self._jobs,), name="fastmlp", daemon=True).start()
                self._threads += 1
        try:
            begin, waited = perf_counter(), _waited()
            # The members of a team wait for one another, so that none may be missing. Ctrl-C is delivered between two
            # bytecodes, of which there is one here: it comes when nobody has started or when all have done their work.
            *_, share = map(_CALL, [*jobs, own])
            answered = [(share, _waited() - waited), *(answers.get() for _ in jobs)]
        finally:
            with self._lock:
                self._asked -= len(jobs)
        if observed:
            self._judge(len(tasks), perf_counter() - begin, [lost for _, lost in answered])
        return sum(share for share, _ in answered)

    @staticmethod
    def _serve(jobs: SimpleQueue[tuple[Task, SimpleQueue]]) -> None:
        while True:
            task, answers = jobs.get()
            waited = _waited()
            answers.put((task(), _waited() - waited))
            del task, answers  # and with them a network's memory

    def _judge(self, size: int, seconds: float, lost: Sequence[float]) -> None:
        """Where threads lose time to other processes the whole team waits: go on with fewer, and look again later."""
        with self._lock:
            self._wall += seconds
            self._lost += sum(seconds for seconds in lost if seconds > self.PREEMPTED)
            if self._wall < self.WINDOW:
                return
            wall, cores, now = self._wall, self._lost / self._wall, perf_counter()
            self._wall = self._lost = 0.0
            if cores > 0.2:
                # for the time of ten such looks at least, so that they cost a tenth at most
                self._most, self._until = max(1, size - ceil(cores)), now + max(self._patience, 10 * wall)
                self._patience = min(2 * self._patience, self.PATIENCE[1])
            elif now >= self._until:
                self._patience = self.PATIENCE[0]


def _waited() -> float:
    """A clock that runs while this thread has no core."""
    return perf_counter() - thread_time()


_BLAS, TEAMS = _Blas(), _Teams()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=TEAMS.reset)
    os.register_at_fork(after_in_child=_BLAS.reset)


def _free_of_limits() -> int:
    if "FASTMLP_NUM_THREADS" in os.environ:
        return _cores()
    cores = _cores()
    return min(cores, _BLAS.threads() or cores) if cores > 1 else cores


def blas_limited(n_threads: int | None) -> AbstractContextManager[None]:
    """Context in which the BLAS has at most so many threads; None leaves it as it is."""
    return nullcontext() if n_threads is None else _BLAS.limited(n_threads)
