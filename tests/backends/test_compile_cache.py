"""The disk cache of compiled code: damage is detected and repaired, several processes may write, and it is optional.

A new `cached` function reads the disk like a new process.
"""

import errno
import hashlib
import itertools
import os
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

import numba
from numba.core.bytecode import FunctionIdentity

from fastmlp.backends import compile_cache
from fastmlp.backends.compile_cache import cached, kernel_folders, stored_sizes


def double(x):
    return x + x


def triple(x):
    return x + x + x


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The folder of compiled code during a test, which does not exist yet."""
    monkeypatch.setenv("FASTMLP_CACHE_DIR", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    compile_cache._warn_unsaved.cache_clear()
    return kernel_folders()[0]


def compilations(function, *arguments) -> int:
    """The number of compilations in a new process that calls `function` with these arguments, each of another type."""
    dispatcher = cached(function, {})
    for argument in arguments or (1.5,):
        assert dispatcher(argument) == function(argument)
    return sum(dispatcher.stats.cache_misses.values())


def unwritable(monkeypatch, root: Path) -> None:
    """A file system that is read-only below `root`, also for the superuser."""
    access, mkdir, write = os.access, os.mkdir, compile_cache.atomic_write

    def guarded(action):
        def act(path, *rest, **options):
            if Path(path).is_relative_to(root) and not os.path.isdir(path):
                raise OSError(errno.EROFS, "Read-only file system", str(path))
            return action(path, *rest, **options)

        return act

    def allowed(path, mode):
        return access(path, mode) and not (mode & os.W_OK and Path(path).is_relative_to(root))

    monkeypatch.setattr(os, "access", allowed)
    monkeypatch.setattr(os, "mkdir", guarded(mkdir))
    monkeypatch.setattr(compile_cache, "atomic_write", guarded(write))


def test_no_folder_is_made_before_there_is_something_to_write(folder, tmp_path):
    cached(double, {})
    assert stored_sizes(folder) == []
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_is_named_and_can_be_written_to_is_the_only_one(folder, tmp_path, monkeypatch):
    assert kernel_folders() == [folder] and folder.parents[1] == tmp_path / "named"
    monkeypatch.setenv("FASTMLP_CACHE_DIR", "")
    assert kernel_folders() == [tmp_path / "user/fastmlp" / folder.name]
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kernel_folders() == [tmp_path / "home/.cache/fastmlp" / folder.name]


def test_a_later_process_compiles_nothing(folder):
    assert compilations(double, 1.5, 3, np.float32(0.5)) == 3
    assert compilations(double, 1.5, 3, np.float32(0.5)) == 0
    assert len(stored_sizes(folder)) == len([*folder.iterdir()]) == 3


def sealed(name: str, payload: bytes) -> bytes:
    return hashlib.sha256(name.encode() + payload).digest() + payload


def flip(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


DRAW = random.Random(0)
DAMAGES = {
    "truncated": [lambda name, content: content[: DRAW.randrange(len(content))]] * 4,
    "one bit flipped": [lambda name, content: flip(content, DRAW.randrange(8 * len(content)))] * 8,
    "longer": [lambda name, content: content + b"\0"],
    "empty": [lambda name, content: b""],
    "random bytes": [lambda name, content: DRAW.randbytes(len(content))],
    "no pickle": [lambda name, content: sealed(name, b"no pickle")],
    "another pickle": [lambda name, content: sealed(name, pickle.dumps(("of", "another", "build")))],
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_is_compiled_anew_and_mended(folder, kind):
    compilations(double)
    (path,) = folder.iterdir()
    sound = path.read_bytes()
    for damage in DAMAGES[kind]:
        path.write_bytes(damage(path.name, sound))
        assert compilations(double) == 1
        assert compilations(double) == 0
    assert [*folder.iterdir()] == [path]


def test_the_file_of_another_function_is_not_taken_for_its_own(folder):
    compilations(double)
    (one,) = folder.iterdir()
    compilations(triple)
    (other,) = {*folder.iterdir()} - {one}
    one_content, other_content = one.read_bytes(), other.read_bytes()
    one.write_bytes(other_content)
    other.write_bytes(one_content)
    assert [compilations(double), compilations(triple)] == [1, 1]
    assert [compilations(double), compilations(triple)] == [0, 0]


def test_a_folder_in_the_place_of_a_file_is_replaced(folder):
    compilations(double)
    (path,) = folder.iterdir()
    path.unlink()
    (path / "within").mkdir(parents=True)
    assert compilations(double) == 1
    assert compilations(double) == 0


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(folder, tmp_path):
    compilations(double)
    (path,) = folder.iterdir()
    for target in (tmp_path / "other", tmp_path / "missing", tmp_path):
        path.unlink()
        path.symlink_to(target)
        (tmp_path / "other").write_text("mine")
        assert compilations(double) == 1
        assert compilations(double) == 0
        assert (tmp_path / "other").read_text() == "mine"


def test_a_file_that_may_not_be_read_is_replaced(folder, monkeypatch):
    compilations(double)
    (path,) = folder.iterdir()
    path.chmod(0)
    access, read = os.access, Path.read_bytes

    def denied(place) -> bool:  # to the superuser, too
        return Path(place).is_file() and not Path(place).stat().st_mode & 0o400

    def read_bytes(place):
        if denied(place):
            raise PermissionError(13, "Permission denied", str(place))
        return read(place)

    monkeypatch.setattr(os, "access", lambda place, mode: not denied(place) and access(place, mode))
    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert compilations(double) == 1
    assert compilations(double) == 0


def test_closures_of_one_function_are_told_apart_in_code_of_several_processes(monkeypatch):
    def make(k):
        @numba.njit
        def inner(x):  # too long to be inlined
            s = 0.0
            for i in range(1000):
                s = s + k * x if x > i else s - k
                for j in range(3):
                    s = s * 0.5 + k if s > 100 else s + x**j
            return s * 0 + k

        def outer(x):
            s = 0.0
            for t in range(3):
                s += inner(x + t)
            return s + inner(x) + inner(2 * x) + inner(3 * x) + inner(4 * x)

        outer.__qualname__ = f"outer_{k}"
        return cached(outer, {})

    for k in (1.0, 2.0):
        monkeypatch.setattr(FunctionIdentity, "_unique_ids", itertools.count(1000))  # as each process begins anew
        make(k)(1.0)
    assert [make(1.0)(1.0), make(2.0)(1.0)] == [7.0, 14.0]  # both from the disk


WRITER = """
import sys, numpy as np
from fastmlp.backends.compile_cache import cached
def double(x):
    return x + x
function = cached(double, {})
for name in sys.argv[1:]:
    function(np.dtype(name).type(1))
print(sum(function.stats.cache_misses.values()))
"""


def test_processes_that_write_at_once_lose_nothing(folder):
    def start(*names: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", WRITER, *names], stdout=subprocess.PIPE, text=True)

    names = "float32", "int32", "complex64", "float64", "int64", "complex128"
    writers = [start(*names[:4]), start(*names[2:])]
    assert sum(int(writer.communicate()[0]) for writer in writers) >= len(names)
    assert start(*names).communicate()[0] == "0\n"
    assert len(stored_sizes(folder)) == len([*folder.iterdir()]) == len(names)


@pytest.mark.parametrize("level", [1, 0], ids=["all of it", "what another user has filled"])
def test_a_read_only_folder_that_is_filled_is_used(folder, monkeypatch, caplog, level):
    compilations(double, 1.5)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    unwritable(monkeypatch, [folder, folder.parents[1]][level])
    assert compilations(double, 1.5) == 0
    # what it lacks goes to the user's folder
    assert compilations(double, 1.5, 3) == 1
    assert compilations(double, 1.5, 3) == 0
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert [len(stored_sizes(place)) for place in kernel_folders()] == [1, 1]
    assert caplog.text == ""


def test_where_nothing_can_be_written_it_is_said_once(folder, tmp_path, monkeypatch, caplog):
    unwritable(monkeypatch, tmp_path)
    assert compilations(double) == 1
    assert compilations(double) == 1
    assert [*tmp_path.iterdir()] == []
    (message,) = caplog.messages
    assert "Read-only file system" in message and f"{folder}" in message and "FASTMLP_CACHE_DIR" in message


def test_a_path_below_a_file_is_no_folder(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTMLP_CACHE_DIR", str(tmp_path / "file/below"))
    assert compilations(double) == 1
    assert compilations(double) == 0  # from the user's folder
    shutil.rmtree(tmp_path / "user")
    (tmp_path / "user").touch()
    (tmp_path / "home").touch()
    assert compilations(double) == 1
    assert len(caplog.messages) == 1 and caplog.messages[0].count("Not a directory") == 3


def test_a_full_disk_stops_nothing(folder, caplog):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        assert compilations(double, 1.5, 3) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [*folder.iterdir()] == []
    assert len(caplog.messages) == 1 and "File too large" in caplog.text
    assert compilations(double, 1.5, 3) == 2
    assert compilations(double, 1.5, 3) == 0


def test_without_a_home_nothing_is_written_anywhere(tmp_path, monkeypatch, caplog):
    pwd = pytest.importorskip("pwd")

    def getpwuid(_number):
        raise KeyError("no such user")  # as in a container that runs with any number for a user

    for name in ("FASTMLP_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("FASTMLP_CACHE_DIR", "")
    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert compilations(double) == 1
    assert [*tmp_path.iterdir()] == []
    assert "neither FASTMLP_CACHE_DIR nor a home folder" in caplog.text
    monkeypatch.setenv("FASTMLP_CACHE_DIR", "~/cache")
    assert compilations(double) == 1
    assert [*tmp_path.iterdir()] == []


def test_other_settings_of_numba_have_code_of_their_own(folder, monkeypatch):
    compilations(double)
    monkeypatch.setattr(numba.config, "OPT", 0)
    monkeypatch.setattr(compile_cache, "ENVIRONMENT", compile_cache._environment())
    assert kernel_folders() != [folder]
    assert compilations(double) == 1
