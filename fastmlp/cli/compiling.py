"""The announcement that kernels are about to be compiled, which takes half a minute."""

from __future__ import annotations

import sys

from fastmlp.cache_folders import may_write
from fastmlp.forks import no_fork

__all__ = ["announce_compilation"]


def announce_compilation(backend: str, quiet: bool = False) -> None:
    """Print a line on standard error if the Numba backend has no compiled kernels on this machine yet."""
    if backend != "numba" or quiet:
        return
    with no_fork():
        from fastmlp.backends.compiled.cache import kernel_folders, stored_sizes

    folders = kernel_folders()
    if not any(map(stored_sizes, folders)):
        often = "once on this machine" if any(map(may_write, folders)) else "in every run, as no folder can keep them"
        print(f"compiling the kernels, {often}: half a minute or so …", file=sys.stderr, flush=True)
