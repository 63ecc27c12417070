"""The announcement that kernels are about to be compiled, which takes some seconds."""

from __future__ import annotations

import sys

from fastmlp.cache_folders import may_write
from fastmlp.forks import no_fork

__all__ = ["announce_compilation"]


def announce_compilation(backend: str, quiet: bool = False) -> None:
    """Print a line on standard error if the Numba backend has no compiled kernels on this machine yet.

    On a terminal the backend itself says so.
    """
    if backend != "numba" or quiet or sys.stderr.isatty():
        return
    with no_fork():
        from fastmlp.backends.compiled.cache import kernel_folders, stored_sizes

    folders = kernel_folders()
    if not any(map(stored_sizes, folders)):
        often = "once on this machine" if any(map(may_write, folders)) else "in every run, as no folder can keep them"
        print(f"compiling the kernels, {often}: some seconds …", file=sys.stderr, flush=True)
