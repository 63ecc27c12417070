"""The disk cache of compiled code: one file for each function and signature, checked whenever it is read.

Numba's own cache notices a change in the file of the cached function only, not in the kernels that it calls. Its index
loses entries when two processes write it at once. And it trusts what it reads: one flipped bit can be a wrong product.

Here a file is named by a digest of all that shapes the machine code, so an upgraded package never runs stale code, and
it begins with a digest of its name and its content. A file that does not match is compiled anew and replaced.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import pickle
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any

import llvmlite
import numba
from numba import config
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.core.serialize import dumps

from fastmlp import kernels, network, step
from fastmlp.cache_folders import cache_folders
from fastmlp.errors import InputError
from fastmlp.files import atomic_write
from fastmlp.forks import hold_at_forks, no_fork
from fastmlp.kernels import cpu

__all__ = ["cached", "compiling", "kernel_folders", "prepare_loading", "stored_sizes"]

_SUFFIX = ".kernel"
_SETTINGS = "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT"  # of Numba, for all functions
_log = logging.getLogger("fastmlp")
_COMPILING = RLock()
hold_at_forks(global_compiler_lock)  # Numba's own, which functions of the user's are compiled under


@contextmanager
def compiling() -> Iterator[None]:
    """Within, no other thread compiles or loads, and none forks the process."""
    with no_fork(), _COMPILING:
        yield


def prepare_loading() -> None:
    """Import what Numba imports when it first compiles or loads a function, which takes 0.2 s."""
    with compiling():
        cpu_target.target_context.refresh()


def cached(function: Any, options: dict[str, Any]) -> Any:
    """`function` jitted with `options`, found again on disk by later processes.

    Only for the modules whose sources `_environment` reads: their digest stands for the options, too.
    """
    dispatcher = numba.njit(**options)(function)
    dispatcher._cache = _KernelCache(function)
    return dispatcher


def kernel_folders() -> list[Path]:
    """Folders for this state of the sources on this machine, the first choice first. None is made here."""
    return cache_folders(ENVIRONMENT)


def stored_sizes(folder: Path) -> list[int]:
    """Bytes of each file of compiled code in one of `kernel_folders()`; none if the folder is missing or unreadable."""
    try:
        with os.scandir(folder) as entries:
            return [entry.stat().st_size for entry in entries if entry.name.endswith(_SUFFIX)]
    except OSError:
        return []


class _KernelCache(NullCache):
    """Compiled code of one function; what Numba's dispatcher asks of its private member `_cache`.

    The members of Numba that are used here and in `cached` are private, and the same from version 0.61 to 0.68.
    """

    def __init__(self, function: Any) -> None:
        self._function = function

    def load_overload(self, sig, target_context):
        """The compiled function, or None if no folder has a sound file of it, which Numba then compiles."""
        target_context.refresh()  # the code may call what Numba registers on first use
        name = self._file_name(sig)
        for folder in kernel_folders():
            payload = _sound_payload(folder / name)
            if payload is not None:
                with suppress(Exception):  # it comes from another build of Numba of this version
                    return CompileResult._rebuild(target_context, *pickle.loads(payload))
        _number_functions_apart()
        return None

    def save_overload(self, sig, compiled):
        """Write the compiled function to the first folder that takes it; where none does, say so once."""
        if compiled.library.has_dynamic_globals:  # addresses in this process
            return
        name = self._file_name(sig)
        content = _sealed(name, dumps(compiled._reduce()))
        refusals = []
        for folder in kernel_folders():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                _make_way(folder / name)
                with atomic_write(folder / name, durable=False) as file:
                    file.write(content)
                return
            except (OSError, InputError) as error:
                reason = error.__cause__ or error
                refusals.append(f"{folder}: {getattr(reason, 'strerror', None) or reason}")
        _warn_unsaved("; ".join(refusals) or "there is neither FASTMLP_CACHE_DIR nor a home folder")

    def _file_name(self, sig) -> str:
        function = self._function
        key = f"{ENVIRONMENT} {function.__module__}.{function.__qualname__} {sig}"
        return f"{function.__name__}-{hashlib.sha256(key.encode()).hexdigest()[:32]}{_SUFFIX}"


def _environment() -> str:
    """Digest of everything that shapes machine code, except the function and its types."""
    codegen = cpu_target.target_context.codegen()
    settings = [getattr(config, name, None) for name in _SETTINGS]
    python = sys.implementation.cache_tag, getattr(sys, "abiflags", "")
    versions = numba.__version__, llvmlite.__version__, python
    digest = hashlib.sha256(repr((versions, codegen.magic_tuple(), cpu.L2, settings)).encode())
    files = [Path(str(module.__file__)) for module in (network, step)]
    files += [
        Path(__file__).with_name(f"{name}.py") for name in ("compile_cache", "call_table", "numba_backend", "shuffler")
    ]
    files += sorted(Path(str(kernels.__file__)).parent.rglob("*.py"))
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


ENVIRONMENT = _environment()  # while the sources are those that are imported: they may be upgraded under a long run


def _number_functions_apart() -> None:
    """Make the symbols of what Numba compiles next differ from those in all cached files.

    Numba numbers functions from 1 in each process, and closures of one function, such as the products of `tiled`,
    differ in that number alone. Different closures compiled by two processes could have the same symbol, and where both
    are loaded, one would silently be called for the other (Numba's issue 10486).
    """
    FunctionIdentity._unique_ids = itertools.count(secrets.randbits(56))


def _sealed(name: str, payload: bytes) -> bytes:
    """Content of a file: a digest of its name and payload, then the payload."""
    return hashlib.sha256(name.encode() + payload).digest() + payload


def _sound_payload(path: Path) -> bytes | None:
    """Payload of a file that is what was written under this name; unpickling any other could do anything."""
    try:
        content = path.read_bytes()
    except OSError:  # there is none, or a folder in its place, or it may not be read
        return None
    payload = content[hashlib.sha256().digest_size :]
    return payload if content == _sealed(path.name, payload) else None


def _make_way(path: Path) -> None:
    """Remove what a new file cannot simply replace.

    That is a folder; a link, since its target would be replaced; and an unreadable file, whose mode would be kept.
    """
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.islink(path) or not os.access(path, os.R_OK):
        path.unlink(missing_ok=True)


@cache
def _warn_unsaved(reason: str) -> None:
    _log.warning(
        "Compiled kernels stay in the memory of this process, the next one compiles them again: they cannot be saved "
        "(%s). Set FASTMLP_CACHE_DIR to a folder that can be written to, on a disk with room.",
        reason,
    )
