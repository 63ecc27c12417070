"""The threads that run a team, kept from run to run, and how many of them a run gets.

Limits and neighbours come and go, so every run without an explicit number of threads asks anew. It gets what its work
deserves and the limits allow (see `fastmlp.backends.threads`),

- less the cores that other threads of this process compute on, so that fits at once share the cores;
- less the cores that other processes were seen to use.

It may change from run to run because the results do not depend on it (see `part_length` in
`fastmlp.kernels.cpu.team.threads`). For the same reason a run goes on with fewer threads where the system lets the
process start no more.
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
    """Threads that are kept from run to run, and the account of who computes in this process."""

    LINGER = 0.05  # seconds after a run for which its caller still counts as a neighbour: it is between two epochs
    WINDOW = 0.05  # seconds of running that are judged at once
    PREEMPTED = 5e-4  # seconds: waiting for the interpreter takes less, waiting for a core in use by others takes more
    PATIENCE = 0.5, 4.0  # seconds for which others are left a core: at first, and at most if they are there each time

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As in a new process: after a fork the child has none of the threads, and the locks may be held for ever."""
        self._lock = Lock()
        self._jobs: SimpleQueue[tuple[Task, SimpleQueue]] = SimpleQueue()
        self._threads = 0  # that serve the queue
        self._asked = 0  # jobs of the runs under way: never more than threads
        self._told = False  # that the system allows no more
        self._held: dict[int, tuple[int, float]] = {}  # calling thread: the cores it counts for, and until when
        self._wall = self._lost = 0.0  # of the runs not judged yet
        self._suspected = False  # whether the last window was a bad one
        self._most, self._until, self._patience = 1, 0.0, self.PATIENCE[0]  # threads until then, for others' sake

    def run(self, n_threads: int | None, worth: int, tasks: Callable[[int], Sequence[Task]]) -> float:
        """Run ``tasks(size)`` at once, each in a thread of its own; the sum of what they return.

        The size is n_threads, or as much of `worth` as can be had now.
        """
        size = self._enter(n_threads, worth)
        try:
            return self._together(tasks(size), n_threads is None)
        finally:
            self._leave(size)

    def _enter(self, n_threads: int | None, worth: int) -> int:
        """The size of the team; as many threads less one are there for its jobs, whatever other runs begin."""
        wanted = min(n_threads, cores()) if n_threads and n_threads > 1 else 1
        free = free_of_limits() if n_threads is None and worth > 1 else 0
        me, now = get_ident(), perf_counter()
        with self._lock:
            if free > 1:
                free -= sum(held for caller, (held, until) in self._held.items() if caller != me and now < until)
                wanted = max(1, min(free, worth, self._most if now < self._until else worth))
            size = 1 + self._reserve(wanted - 1)
            self._held[me] = size, inf
            tell, self._told = size < wanted and not self._told, self._told or size < wanted
        if tell:
            _log.warning(
                "Only %d of %d threads could be had: the system lets this process start no more. Results are the same; "
                "for speed, raise its limit of processes (ulimit -u, or the container's) or give a smaller n_threads.",
                *(size, wanted),
            )
        return size

    def _reserve(self, jobs: int) -> int:
        """Have a thread for each of so many more jobs, or for as many as can be; how many."""
        while self._threads < self._asked + jobs:
            try:
                Thread(target=self._serve, args=(self._jobs,), name="fastmlp", daemon=True).start()
            except RuntimeError:  # a limit of the system's, or the end of the interpreter
                jobs = self._threads - self._asked
                break
            self._threads += 1
        self._asked += jobs
        return jobs

    def _leave(self, size: int) -> None:
        with self._lock:
            now = perf_counter()
            self._asked -= size - 1
            self._held[get_ident()] = 1, now + self.LINGER
            if len(self._held) > 1:
                self._held = {caller: held for caller, held in self._held.items() if now < held[1]}

    def _together(self, tasks: Sequence[Task], observed: bool) -> float:
        own, *others = tasks
        if not others:
            return own()
        answers: SimpleQueue[tuple[float | BaseException, float]] = SimpleQueue()
        jobs = [partial(self._jobs.put, (task, answers)) for task in others]
        begin, waited = perf_counter(), _waited()
        # The members of a team wait for one another, so that none may be missing. Ctrl-C is delivered between two
        # bytecodes, of which there is one here: it comes when nobody has started or when all have done their work.
        *_, share = map(_CALL, [*jobs, own])
        answered = [(share, _waited() - waited), *(answers.get() for _ in jobs)]
        if observed:
            self._judge(len(tasks), perf_counter() - begin, [lost for _, lost in answered])
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
            except BaseException as error:  # a thread less would leave the next team waiting for it
                share = error
            answers.put((share, _waited() - waited))
            del task, answers, share  # and with them a network's memory

    def _judge(self, size: int, seconds: float, lost: Sequence[float]) -> None:
        """Where threads lose time to other processes the whole team waits: go on with fewer, and look again later."""
        with self._lock:
            self._wall += seconds
            self._lost += sum(seconds for seconds in lost if seconds > self.PREEMPTED)
            if self._wall < self.WINDOW:
                return
            wall, cores, now = self._wall, self._lost / self._wall, perf_counter()
            self._wall = self._lost = 0.0
            # Threads of a BLAS spin for up to a tenth of a second after their last product: only what is still lost in
            # the next window is lost to others.
            self._suspected, suspected = cores > 0.2, self._suspected
            if self._suspected and suspected:
                # for the time of ten such looks at least, so that they cost a tenth at most
                self._most, self._until = max(1, size - ceil(cores)), now + max(self._patience, 10 * wall)
                self._patience = min(2 * self._patience, self.PATIENCE[1])
            elif now >= self._until:
                self._patience = self.PATIENCE[0]


def _waited() -> float:
    """A clock that runs while this thread has no core."""
    return perf_counter() - thread_time()


POOL = TeamPool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.reset)
