"""Threads that each train a network at a time, and that Ctrl-C can stop."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from threading import get_ident
from time import sleep
from typing import Any

__all__ = ["Workers"]

_PAUSE = 1e-3  # seconds between checks whether threads are still in a task


class Workers:
    """So many threads. Compiled steps hold no lock of the interpreter, so networks train side by side.

    A run without an explicit number of threads takes those cores only that other runs leave free (see
    `fastmlp.backends.teams`): with a network to each core that is one thread, and the last network has them all.
    """

    def __init__(self, number: int) -> None:
        self._pool = ThreadPoolExecutor(number, "fastmlp-network")
        self._busy: set[int] = set()  # threads in a task

    def submit(self, task: Callable[[], Any]) -> Future[Any]:
        """Run the task in one of the threads, with the settings of scikit-learn that hold in this one."""
        settings = _settings()

        def run() -> Any:
            me = get_ident()
            self._busy.add(me)
            try:
                with settings():
                    return task()
            finally:
                self._busy.discard(me)

        return self._pool.submit(run)

    def run(
        self, tasks: Iterable[Callable[[], Any]], done: Callable[[Any], object], seconds: float | None = None
    ) -> None:
        """Run the tasks, and call `done` in this thread with what each returns, as it does; then end the threads.

        Whatever ends this sooner, Ctrl-C for example, ends the tasks as well, see `stop`, and is raised.

        Raises
        ------
        concurrent.futures.TimeoutError
            So many seconds have passed.
        """
        try:
            for future in as_completed([self.submit(task) for task in tasks], seconds):
                done(future.result())
        except BaseException:
            self.stop()
            raise
        self.close()

    def close(self) -> None:
        """Wait until all tasks are done."""
        self._pool.shutdown()

    def stop(self) -> None:
        """Cancel the tasks that have not begun, and end the others as Ctrl-C would in the main thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for thread in list(self._busy):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))
        self._pool.shutdown()
        while self._busy:  # a thread may have been in its first task before the pool knew of it, as Ctrl-C came
            sleep(_PAUSE)


def _settings() -> Callable[[], AbstractContextManager[Any]]:
    """Makes a context with the settings of scikit-learn as they are now in this thread; it keeps them by thread."""
    sklearn = sys.modules.get("sklearn")
    if sklearn is None:
        return nullcontext
    settings = sklearn.get_config()
    return lambda: sklearn.config_context(**settings)
