"""joblib's backend "fastmlp": scikit-learn's searches and ensembles with one network on each core."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

from joblib.parallel import ParallelBackendBase

from fastmlp.backends.threads import available_threads
from fastmlp.workers import Workers

__all__ = ["SearchBackend"]


class _Job(NamedTuple):
    """A task, as joblib waits for it."""

    future: Future[Any]

    def get(self, timeout: float | None = None) -> Any:
        """What the task has returned; or its error is raised."""
        return self.future.result(timeout)


class SearchBackend(ParallelBackendBase):
    """Threads of this process, which share the samples.

    joblib's own threads poll for results and hand out work in a thread of its own, which takes about as long as an
    epoch of a small network; these do neither.
    """

    uses_threads = True
    supports_sharedmem = True
    default_n_jobs = -1

    _workers: Workers | None = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many networks train at the same time; -1 for as many as there are cores, -2 for one less."""
        if n_jobs == 0:
            raise ValueError("n_jobs=0 has no meaning. Give a number of networks, or -1 for one on each core.")
        n_jobs = self.default_n_jobs if n_jobs is None else n_jobs
        return n_jobs if n_jobs > 0 else max(1, available_threads() + 1 + n_jobs)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_settings: Any) -> int:
        """Start the threads; how many."""
        self.parallel, number = parallel, self.effective_n_jobs(n_jobs)
        self._workers = Workers(number)
        return number

    def submit(self, func: Callable[[], Any], callback: Callable | None = None) -> _Job:
        """Run joblib's task, and then its callback."""
        assert self._workers is not None
        future = self._workers.submit(func)
        if callback is not None:
            future.add_done_callback(callback)
        return _Job(future)

    apply_async = submit  # its name before joblib 1.5

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End all tasks, after Ctrl-C or an error of one of them."""
        self._end(abort=True)
        if ensure_ready:
            self.configure(self.parallel.n_jobs, self.parallel)

    def terminate(self) -> None:
        """End the threads, which have nothing more to do."""
        self._end(abort=False)

    def _end(self, abort: bool) -> None:
        workers, self._workers = self._workers, None
        if workers is not None:
            workers.stop() if abort else workers.close()
