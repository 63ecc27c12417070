"""The disk cache of compiled code, tied to a digest of every source that goes into it.

Numba's own cache notices a change in the file of the cached function only, not in the kernels that it calls: an
upgraded package could run stale machine code. Here each state of the sources has a folder of its own.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import RLock

import numba
from numba import config
from numba.core.compiler_lock import global_compiler_lock

from fastmlp import kernels, network, step
from fastmlp.files import cache_roots
from fastmlp.forks import hold_at_forks, no_fork

__all__ = ["cache_folder", "cached", "compiling"]

_COMPILING = RLock()
hold_at_forks(global_compiler_lock)  # Numba's own, which functions of the user's are compiled under


@contextmanager
def compiling() -> Iterator[None]:
    """Within, no other thread compiles or loads, and none forks the process."""
    with no_fork(), _COMPILING:
        yield


@cache
def cache_folder() -> Path:
    """Folder for this state of the sources, under FASTMLP_CACHE_DIR or the user's cache folder."""
    files = [Path(str(module.__file__)) for module in (network, step)]
    files += [
        Path(__file__).with_name(f"{name}.py") for name in ("compile_cache", "call_table", "numba_backend", "shuffler")
    ]
    files += sorted(Path(str(kernels.__file__)).parent.rglob("*.py"))
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for root in cache_roots():
        folder = root / digest.hexdigest()[:16]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="fastmlp-"))  # a read-only home: compiled anew by each process


def cached(function, options: dict):
    """`function` jitted with `options`, found again on disk by later processes."""
    before = config.CACHE_DIR  # type: ignore[attr-defined]
    config.CACHE_DIR = str(cache_folder())  # type: ignore[attr-defined]
    try:
        return numba.njit(cache=True, **options)(function)
    finally:
        config.CACHE_DIR = before  # type: ignore[attr-defined]
