"""``fastmlp compile``: kernels compiled ahead of time, for an image of a machine."""

from __future__ import annotations

import sys
from argparse import Namespace
from time import perf_counter

from fastmlp.backends import get_backend
from fastmlp.cli.text import counted
from fastmlp.forks import no_fork

__all__ = ["compile"]

_AT_ONCE = 32  # kernels between two lines of progress; those that are done stay if the command is interrupted


def compile(arguments: Namespace) -> int:
    """Run the command; return the exit code."""
    get_backend("numba")
    with no_fork():
        from fastmlp.backends.compiled.building import compile_all
        from fastmlp.backends.compiled.cache import kernel_folders, load, store, stored_sizes
        from fastmlp.backends.compiled.selection import selected_jobs

    jobs = selected_jobs([arguments.dtype] if arguments.dtype else ["float32", "float64"], arguments.all)
    missing = [job for job in jobs if load(job) is None]
    begin, done = perf_counter(), 0
    while done < len(missing):
        some = missing[done : done + _AT_ONCE]
        for job, code in compile_all(some).items():
            if store(job, code) is None:  # which has said why
                return 1
        done += len(some)
        seconds = perf_counter() - begin
        left = f", about {seconds / done * (len(missing) - done):.0f} s left" if done < len(missing) else ""
        print(f"{done} of {len(missing)} kernels, {seconds:.0f} s{left}", file=sys.stderr, flush=True)
    folder = next(folder for folder in kernel_folders() if stored_sizes(folder))
    there = f", {len(jobs) - done} were there" if done < len(jobs) else ""
    print(f"{counted(done, 'kernel')} compiled{there}: {sum(stored_sizes(folder)) / 1e6:.1f} MB in {folder}")
    return 0
