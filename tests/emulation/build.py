"""Compiles CUDA kernels for the CPU: their source after `cuda_emulation.hpp`, by $CXX (g++), into a shared object.

A shared object is compiled once for each source, compiler and options, and kept in a user's folder for temporary
files.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = [
    *("CompilationError", "CompilerMissingError", "Library"),
    *("kernel_names", "load", "real_name", "under_sanitizer"),
]

HEADER = Path(__file__).with_name("cuda_emulation.hpp")
FLAGS = (
    *("-std=c++17", "-O1", "-fPIC", "-shared", "-w"),
    "-fvisibility=hidden",  # a kernel may be called as a function of the C library is
    "-fno-strict-aliasing",  # a real4 may lie on reals
    "-U_FORTIFY_SOURCE",  # or longjmp to another stack is taken for an attack
)


class Sanitizer(NamedTuple):
    """A sanitizer of the compiler, and the requirements of a process that loads code compiled for it."""

    flags: tuple[str, ...]
    runtime: str
    symbol: str  # that the runtime defines
    variable: str
    options: str
    words: tuple[str, ...] = ()  # before the command


SANITIZERS = {
    "thread": Sanitizer(
        ("-fsanitize=thread", "-DEMULATION_TSAN"),
        *("libtsan.so", "__tsan_init", "TSAN_OPTIONS", "report_signal_unsafe=0:exitcode=66"),
        words=("setarch", "-R"),  # it wants addresses where it expects them, not at random
    ),
    "address": Sanitizer(
        ("-fsanitize=address", "-DEMULATION_ASAN"),
        *("libasan.so", "__asan_init", "ASAN_OPTIONS", "detect_leaks=0:exitcode=66"),
    ),
    "undefined": Sanitizer(
        ("-fsanitize=undefined",),
        *("libubsan.so", "__ubsan_handle_type_mismatch_v1", "UBSAN_OPTIONS", "halt_on_error=1:exitcode=66"),
    ),
}
_TEXT = re.compile(r"//[^\n]*|/\*.*?\*/|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.DOTALL | re.MULTILINE)  # no kernels in there
_ATTRIBUTES = r"(?:CLUSTER\s+)?(?:__launch_bounds__\([^)]*\)\s*)?"
_KERNEL = re.compile(
    rf'\bOPERATION(?:_OF_FEW)?\(\s*(\w+)\s*,|extern\s+"C"\s+__global__\s+void\s+{_ATTRIBUTES}(\w+)\s*\('
)


class CompilerMissingError(RuntimeError):
    """There is no C++ compiler, or it does not support the request."""


class CompilationError(RuntimeError):
    """The kernels do not compile; the message is that of the compiler."""


def kernel_names(source: str) -> list[str]:
    """Names in OPERATION(name, Struct) and of functions defined as ``extern "C" __global__ void name(``."""
    return [either or other for either, other in _KERNEL.findall(_TEXT.sub("", source))]


class Library:
    """Compiled kernels. One runs at a time: their threads share one scheduler."""

    def __init__(self, path: Path, names: list[str]) -> None:
        # PyDLL keeps the interpreter's lock: another Python thread must not launch meanwhile
        self._library = ctypes.PyDLL(str(path))
        self._library.emulation_error.restype = ctypes.c_char_p
        self.argument_sizes = {}
        for name in names:
            size_of = getattr(self._library, f"size_of_{name}")
            size_of.restype = ctypes.c_size_t
            self.argument_sizes[name] = size_of()

    def run(self, name: str, blocks: int, arguments: bytes, cooperative: bool, order: int) -> str:
        """Run a kernel to its end; return an error message, or an empty string."""
        failed = getattr(self._library, f"launch_{name}")(arguments, blocks, int(cooperative), order)
        return self._library.emulation_error().decode() if failed else ""


@cache
def load(source: str, real: str, sanitizer: str | None = None) -> Library:
    """The kernels of a source with ``-DREAL=float`` or ``double``, under no sanitizer or one of `SANITIZERS`.

    Raises CompilerMissingError and CompilationError.
    """
    names = kernel_names(source)
    exports = "".join(f"EMULATED_KERNEL({name})\n" for name in names)
    text = f'#include "{HEADER.name}"\n#line 1 "kernels.cu"\n{source}\n#line 1 "exports"\n{exports}'
    flags = (
        *FLAGS,
        f"-DREAL={real}",
        *(f"-D{part}" for part in ("OPERATIONS", "PROGRAM", "CLUSTER_PROGRAM")),
        f"-I{HEADER.parent}",
        *(("-g1", *SANITIZERS[sanitizer].flags) if sanitizer else ()),
    )
    compiler = _compiler()
    if sanitizer:
        _check_that_sanitizer_is_loaded(sanitizer)
    made_of = [*compiler, str(os.stat(compiler[0]).st_mtime_ns), *flags, HEADER.read_text(encoding="utf-8"), text]
    path = _folder() / f"{hashlib.sha256(repr(made_of).encode()).hexdigest()[:32]}.so"
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        command = [*compiler, *flags, "-x", "c++", "-", "-o", str(unfinished)]
        made = subprocess.run(command, input=text, capture_output=True, text=True)
        if made.returncode:
            raise CompilationError(f"{shlex.join(command)} refuses the kernels:\n{made.stderr}")
        unfinished.replace(path)
    return Library(path, names)


def under_sanitizer(sanitizer: str) -> tuple[list[str], dict[str, str]]:
    """Command prefix and environment variables for running a Python process under the sanitizer.

    Raises CompilerMissingError if that is not possible here.
    """
    needs = SANITIZERS[sanitizer]
    libraries = [_runtime(needs.runtime), _runtime("libstdc++.so.6")]
    variables = {"LD_PRELOAD": " ".join(libraries), needs.variable: needs.options}
    words = list(needs.words)
    command, environment = [*words, "true"], os.environ | variables
    try:
        tried = subprocess.run(command, env=environment, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise CompilerMissingError(f"{words[0]} is missing: {error}") from None
    if tried.returncode:
        raise CompilerMissingError(f"{shlex.join(command)} fails with {variables}: {tried.stderr.strip()}")
    return words, variables


def _compiler() -> list[str]:
    command = shlex.split(os.environ.get("CXX", "g++"))
    path = shutil.which(command[0])
    if path is None:
        raise CompilerMissingError(
            f"no C++ compiler {command[0]!r}: install g++, or name g++ or clang++ by the variable CXX"
        )
    return [path, *command[1:]]


def _runtime(library: str) -> str:
    """Path of a library that comes with the compiler."""
    found = subprocess.run([*_compiler(), f"-print-file-name={library}"], capture_output=True, text=True).stdout.strip()
    if not os.path.isabs(found):
        raise CompilerMissingError(f"{_compiler()[0]} comes without {library}")
    return found


def _check_that_sanitizer_is_loaded(sanitizer: str) -> None:
    # loaded later than at the start of the process it would end the process
    needs = SANITIZERS[sanitizer]
    if not hasattr(ctypes.CDLL(None), needs.symbol):
        raise CompilerMissingError(f"this process was started without {needs.runtime}: see `under_sanitizer`")


@cache
def _folder() -> Path:
    """The folder of compiled kernels, which only this user can write to."""
    folder = Path(tempfile.gettempdir()) / f"fastmlp-emulation-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        return Path(tempfile.mkdtemp(prefix="fastmlp-emulation-"))
    return folder


def real_name(dtype: np.dtype | type) -> str:
    """The C++ type of float32 or float64."""
    return {"float32": "float", "float64": "double"}[np.dtype(dtype).name]
