"""The threads that run a team, kept from run to run, and how many of them a run gets.

Limits and the load of the machine change, so every run without an explicit number of threads chooses it anew: what its
work is worth and the limits allow (see `fastmlp.backends.threads`),

- less the cores that other threads of this process compute on, so that concurrent fits share the cores;
- less the cores that other processes were seen to use.

The number may change from run to run because results do not depend on it (see `part_length` in
`fastmlp.kernels.cpu.team.threads`). For the same reason a run goes on with fewer threads where the system refuses to
start more.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from math import ceil, inf
from operator import methodcaller
from queue import SimpleQueue
from threading import Lock, Thread, get_ident
from time import perf_counter, thread_time

from fastmlp.backends.threads import cores, free_of_limits

__all__ = ["POOL", "Task"]

Task = Callable[[], float]
_CALL = methodcaller("__call__")
_log = logging.getLogger("fastmlp")


class TeamPool:
    """Threads that are kept from run to run, and which threads of this process are computing."""

    LINGER = 0.05  # seconds after a run for which its caller still counts as computing: it may be between two epochs
    WINDOW = 0.05  # seconds of running time that are evaluated together
    PREEMPTED = 5e-4  # seconds: shorter waits are for the interpreter's lock, longer ones for a core that others use
    YIELDING = 0.5, 4.0  # seconds for which other processes are left a core: the first time, and at most

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin as in a new process: after a fork the child has no threads, and the locks may be held for ever."""
        self._lock = Lock()
        self._jobs: SimpleQueue[tuple[Task, SimpleQueue]] = SimpleQueue()
        self._threads = 0  # that serve the queue
        self._reserved = 0  # threads, for the jobs of the runs under way
        self._warned = False  # that the system allows no more threads
        self._computing: dict[int, tuple[int, float]] = {}  # calling thread: cores that it uses, and until when
        # seconds of the runs not evaluated yet: running, waiting for a core, and what explains some of the waiting
        self._wall = self._lost = self._excused = 0.0
        self._suspected = False  # whether others used our cores in the last window
        self._most, self._yields_until = 1, 0.0  # threads until then, at most, to leave others their cores
        self._yielding = self.YIELDING[0]

    def run(self, n_threads: int | None, worth: int, tasks: Callable[[int], Sequence[Task]]) -> float:
        """Run ``tasks(size)`` in parallel, each in a thread of its own; the sum of what they return.

        The size is n_threads, or, if that is None, `worth` or as many threads as are free.
        """
        size = self._enter(n_threads, worth)
        try:
            return self._together(tasks(size), n_threads is None)
        finally:
            self._leave(size)

    def excuse(self, seconds: float) -> None:
        """Take so many seconds of a core as spent for the runs, by a thread that reads their samples, not by others.

        A run waits for samples as well, if they are read slowly: it must not leave the reader more than that.
        """
        with self._lock:
            self._excused += seconds

    def _enter(self, n_threads: int | None, worth: int) -> int:
        """The size of the team; size - 1 threads are reserved for its jobs, whatever other runs begin."""
        wanted = min(n_threads, cores()) if n_threads and n_threads > 1 else 1
        free = free_of_limits() if n_threads is None and worth > 1 else 0
        me, now = get_ident(), perf_counter()
        with self._lock:
            if free > 1:
                free -= sum(held for caller, (held, until) in self._computing.items() if caller != me and now < until)
                wanted = max(1, min(free, worth, self._most if now < self._yields_until else worth))
            size = 1 + self._reserve(wanted - 1)
            self._computing[me] = size, inf
            tell, self._warned = size < wanted and not self._warned, self._warned or size < wanted
        if tell:
            _log.warning(
                "Only %d of %d threads could be had: the system lets this process start no more. Results are the same; "
                "for speed, raise its limit of processes (ulimit -u, or the container's) or give a smaller n_threads.",
                *(size, wanted),
            )
        return size

    def _reserve(self, jobs: int) -> int:
        """Reserve a thread for each of so many jobs, or for as many as the system allows; how many."""
        while self._threads < self._reserved + jobs:
            try:
                Thread(target=self._serve, args=(self._jobs,), name="fastmlp", daemon=True).start()
            except RuntimeError:  # a limit of the system's, or the end of the interpreter
                jobs = self._threads - self._reserved
                break
            self._threads += 1
        self._reserved += jobs
        return jobs

    def _leave(self, size: int) -> None:
        with self._lock:
            now = perf_counter()
            self._reserved -= size - 1
            self._computing[get_ident()] = 1, now + self.LINGER
            if len(self._computing) > 1:
                self._computing = {caller: held for caller, held in self._computing.items() if now < held[1]}

    def _together(self, tasks: Sequence[Task], observed: bool) -> float:
        own, *others = tasks
        if not others:
            return own()
        answers: SimpleQueue[tuple[float | BaseException, float]] = SimpleQueue()
        jobs = [partial(self._jobs.put, (task, answers)) for task in others]
        begin, waited = perf_counter(), _waited()
        # The members of a team wait for one another, so none may be missing. Ctrl-C raises between two bytecodes, and
        # the next line starts and runs all members in one: it comes before any has started or after all are done.
        *_, share = map(_CALL, [*jobs, own])
        answered = [(share, _waited() - waited), *(answers.get() for _ in jobs)]
        if observed:
            self._yield_to_others(len(tasks), perf_counter() - begin, [lost for _, lost in answered])
        for share, _ in answered:
            if isinstance(share, BaseException):
                raise share
        return sum(share for share, _ in answered)

    @staticmethod
    def _serve(jobs: SimpleQueue[tuple[Task, SimpleQueue]]) -> None:
        while True:
            task, answers = jobs.get()
            waited = _waited()
            share: float | BaseException
            try:
                share = task()
            except BaseException as error:  # if this thread ended, the next team would wait for it for ever
                share = error
            answers.put((share, _waited() - waited))
            del task, answers, share  # and with them a network's memory

    def _yield_to_others(self, size: int, seconds: float, lost: Sequence[float]) -> None:
        """Use fewer threads for a while if other processes use our cores: a team waits for its slowest thread."""
        with self._lock:
            self._wall += seconds
            self._lost += sum(seconds for seconds in lost if seconds > self.PREEMPTED)
            if self._wall < self.WINDOW:
                return
            wall, cores, now = self._wall, max(0.0, self._lost - self._excused) / self._wall, perf_counter()
            self._wall = self._lost = self._excused = 0.0
            # A BLAS's threads spin for up to a tenth of a second after their last product, so one window is no proof.
            self._suspected, suspected = cores > 0.2, self._suspected
            if self._suspected and suspected:
                # for ten windows at least, so that finding out costs a tenth of the time at most
                self._most, self._yields_until = max(1, size - ceil(cores)), now + max(self._yielding, 10 * wall)
                self._yielding = min(2 * self._yielding, self.YIELDING[1])
            elif now >= self._yields_until:
                self._yielding = self.YIELDING[0]


def _waited() -> float:
    """A clock that runs while this thread has no core."""
    return perf_counter() - thread_time()


POOL = TeamPool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.reset)
