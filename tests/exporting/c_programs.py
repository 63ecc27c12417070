"""C files compiled, as libraries and as programs."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

COMPILER = ["cc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1"]


def needs_compiler():
    return pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler called cc")


def library(path, *flags):
    """The file as a library."""
    binary = path.resolve().with_suffix(".so")
    subprocess.run([*COMPILER, *flags, "-shared", "-fPIC", str(path), "-o", str(binary), "-lm"], check=True)
    return ctypes.CDLL(str(binary))


def predicted(library, x, outputs):
    """What its function `predict` gives (N, O) for samples x (N, I)."""
    out = np.empty((len(x), outputs), x.dtype)
    for row, result in zip(np.ascontiguousarray(x), out, strict=True):
        library.predict(ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(result.ctypes.data))
    return out


def program(path):
    """run(text): what the file prints as a program that reads this text: exit code, output, errors."""
    binary = path.resolve().with_suffix(".exe")
    subprocess.run([*COMPILER, "-DFASTMLP_MAIN", str(path), "-o", str(binary), "-lm"], check=True)

    def run(text):
        done = subprocess.run([str(binary)], input=text, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    return run
