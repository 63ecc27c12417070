"""A word before the silence in which kernels are compiled."""

from __future__ import annotations

import sys

from fastmlp.forks import no_fork

__all__ = ["announce_compilation"]


def announce_compilation(backend: str, quiet: bool = False) -> None:
    """Say so on standard error if the Numba backend has no compiled kernels on this machine yet."""
    if backend != "numba" or quiet:
        return
    with no_fork():
        from fastmlp.backends.compile_cache import cache_folder

    if not any(path.is_file() for path in cache_folder().rglob("*")):
        print("compiling the kernels, once on this machine: half a minute or so …", file=sys.stderr, flush=True)
