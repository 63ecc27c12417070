"""Compilation of several jobs at once, in processes of their own.

Numba compiles under a lock and Python code besides, so threads would not help. Each worker takes the next job that none
has taken, by making a file whose name it must be the first to use, and writes what it has compiled to another.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from fastmlp.backends.compiled.cache import settings_changed
from fastmlp.backends.compiled.jobs import Job
from fastmlp.backends.compiled.loading import ObjectCode
from fastmlp.backends.threads import available_threads
from fastmlp.forks import no_fork
from fastmlp.progress import progress_bar

__all__ = ["compile_all", "work"]

_log = logging.getLogger("fastmlp")
_FEW = 3  # jobs that are sooner compiled here, where Numba may be imported already, than by new processes
_MOST = 8  # processes: each takes 200 MB, and the longest job as long as an eighth of all
_PAUSE = 0.2  # seconds between two looks at what is done
_LONGEST = "linear", "accumulate", "backward_data", "train_epoch", "linear_rows", "loss_gradient", "accumulate_rows"
_WORKER = "import sys; sys.path[:] = {path!r}; from fastmlp.backends.compiled.building import work; work({folder!r})"


def compile_all(jobs: Sequence[Job]) -> dict[Job, ObjectCode]:
    """The machine code of all the jobs; what other processes cannot compile is compiled in this one."""
    built = dict[Job, ObjectCode]()
    workers = min(available_threads(), len(jobs) // 2, _MOST)
    if len(jobs) > _FEW:
        _announce(len(jobs))
        if workers > 1 and not settings_changed() and _is_python(sys.executable):
            with suppress(OSError):  # no temporary folder, or no process more
                built = _by_workers(sorted(jobs, key=_length), workers)
    left = [job for job in jobs if job not in built]
    if left:
        with no_fork():
            from fastmlp.backends.compiled.compiler import compiled

        built |= {job: compiled(job) for job in left}
    return built


def _announce(jobs: int) -> None:
    _log.info("compiling %d kernels", jobs)
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"fastmlp: compiling {jobs} kernels for this machine: some seconds …", file=sys.stderr, flush=True)


def _is_python(executable: str | None) -> bool:
    """Whether it is an interpreter, and no program that contains one."""
    return not getattr(sys, "frozen", False) and Path(executable or "").name.lower().startswith(("python", "pypy"))


def _length(job: Job) -> tuple:
    """A key that sorts jobs that take long to the front: those behind them fill the gaps."""
    return _LONGEST.index(job.name) if job.name in _LONGEST else len(_LONGEST), job


def _by_workers(jobs: Sequence[Job], count: int) -> dict[Job, ObjectCode]:
    with TemporaryDirectory(prefix="fastmlp-") as folder:
        (Path(folder) / "jobs").write_bytes(pickle.dumps([tuple(job) for job in jobs]))
        path = [os.path.abspath(place) for place in sys.path]
        command = [sys.executable, "-Wignore", "-c", _WORKER.format(path=path, folder=folder)]
        nowhere = subprocess.DEVNULL
        workers: list[subprocess.Popen] = []
        try:
            for _ in range(count):
                workers.append(subprocess.Popen(command, cwd=folder, stdin=nowhere, stdout=nowhere, stderr=nowhere))
            _wait(workers, Path(folder), len(jobs))
        finally:  # also on Ctrl-C
            for worker in workers:
                worker.kill()
                worker.wait()
        results = {job: Path(folder) / f"{i}.code" for i, job in enumerate(jobs)}
        return {job: ObjectCode.unpacked(path.read_bytes()) for job, path in results.items() if path.exists()}


def _wait(workers: Sequence[subprocess.Popen], folder: Path, jobs: int) -> None:
    """Wait until all workers have ended; on a terminal, show how many jobs are done."""
    bar = progress_bar(None, jobs, "kernel")
    if bar is None:
        for worker in workers:
            worker.wait()
        return
    with bar:
        for worker in workers:
            while worker.poll() is None:
                bar.update(sum(1 for _ in folder.glob("*.code")) - bar.n)
                with suppress(subprocess.TimeoutExpired):
                    worker.wait(_PAUSE)


def work(folder: str) -> None:
    """Compile jobs from a folder until all are taken. An error ends the worker; the job is left to the parent."""
    with no_fork():
        from fastmlp.backends.compiled.compiler import compiled

    for i, fields in enumerate(pickle.loads((Path(folder) / "jobs").read_bytes())):
        with suppress(FileExistsError):
            (Path(folder) / f"{i}.taken").touch(exist_ok=False)
            unfinished = Path(folder) / f"{i}.unfinished"
            unfinished.write_bytes(compiled(Job(*fields)).packed())
            unfinished.rename(Path(folder) / f"{i}.code")
