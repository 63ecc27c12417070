"""The disk cache of compiled code: damage is detected and repaired, several processes may write, and it is optional.

A new `Library` reads the disk like a new process.
"""

import errno
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from ctypes import CFUNCTYPE, c_double, c_int64
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

import numba

from fastmlp.backends.compiled import cache
from fastmlp.backends.compiled.arguments import Block, words_of
from fastmlp.backends.compiled.cache import kernel_folders, stored_sizes
from fastmlp.backends.compiled.functions import Library
from fastmlp.backends.compiled.jobs import SHUFFLE, Job, entry_job

TOTAL_WEIGHT = [Job("total_weight", real, "") for real in ("float32", "float64")]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The folder of compiled code during a test, which does not exist yet."""
    monkeypatch.setenv("FASTMLP_CACHE_DIR", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    cache._warn_unsaved.cache_clear()
    return kernel_folders()[0]


def compilations(*jobs: Job) -> int:
    """The number of compilations in a new process that uses these functions; by default the shuffle, which runs."""
    library = Library()
    addresses = library.addresses(jobs or (SHUFFLE,))
    if SHUFFLE in addresses:
        orders, last, places = np.zeros((1, 1), np.int64), np.array([7]), np.zeros(1, np.int64)
        words = [*words_of(orders), *words_of(last), *words_of(places), 0, 0]
        CFUNCTYPE(c_double, c_int64)(addresses[SHUFFLE])(Block(words, None))
        assert orders[0, 0] == 7
    return library.compilations


def unwritable(monkeypatch, root: Path) -> None:
    """A file system that is read-only below `root`, also for the superuser."""
    access, mkdir, write = os.access, os.mkdir, cache.atomic_write

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
    monkeypatch.setattr(cache, "atomic_write", guarded(write))


def test_no_folder_is_made_before_there_is_something_to_write(folder, tmp_path):
    Library()
    assert stored_sizes(folder) == []
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_is_named_and_can_be_written_to_is_the_only_one(folder, tmp_path, monkeypatch):
    assert kernel_folders() == [folder] and folder.parents[1] == tmp_path / "named"
    monkeypatch.setenv("FASTMLP_CACHE_DIR", "")
    assert kernel_folders() == [tmp_path / "user/fastmlp" / folder.name]
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kernel_folders() == [tmp_path / "home/.cache/fastmlp" / folder.name]


def test_a_later_process_compiles_nothing(folder):
    assert compilations(SHUFFLE, *TOTAL_WEIGHT) == 3
    assert compilations(SHUFFLE, *TOTAL_WEIGHT) == 0
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
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_is_compiled_anew_and_mended(folder, kind):
    compilations()
    (path,) = folder.iterdir()
    sound = path.read_bytes()
    for damage in DAMAGES[kind]:
        path.write_bytes(damage(path.name, sound))
        assert compilations() == 1
        assert compilations() == 0
    assert [*folder.iterdir()] == [path]


def test_the_file_of_another_function_is_not_taken_for_its_own(folder):
    compilations()
    (one,) = folder.iterdir()
    compilations(*TOTAL_WEIGHT[:1])
    (other,) = {*folder.iterdir()} - {one}
    one_content, other_content = one.read_bytes(), other.read_bytes()
    one.write_bytes(other_content)
    other.write_bytes(one_content)
    assert [compilations(), compilations(*TOTAL_WEIGHT[:1])] == [1, 1]
    assert [compilations(), compilations(*TOTAL_WEIGHT[:1])] == [0, 0]


def test_a_folder_in_the_place_of_a_file_is_replaced(folder):
    compilations()
    (path,) = folder.iterdir()
    path.unlink()
    (path / "within").mkdir(parents=True)
    assert compilations() == 1
    assert compilations() == 0


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(folder, tmp_path):
    compilations()
    (path,) = folder.iterdir()
    for target in (tmp_path / "other", tmp_path / "missing", tmp_path):
        path.unlink()
        path.symlink_to(target)
        (tmp_path / "other").write_text("mine")
        assert compilations() == 1
        assert compilations() == 0
        assert (tmp_path / "other").read_text() == "mine"


def test_a_file_that_may_not_be_read_is_replaced(folder, monkeypatch):
    compilations()
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
    assert compilations() == 1
    assert compilations() == 0


WRITER = """
import sys
from fastmlp.backends.compiled.jobs import Job
from fastmlp.backends.compiled.functions import Library
library = Library()
for name in sys.argv[1:]:
    library.addresses([Job(*name.split("-"), "")])
print(library.compilations)
"""


def test_processes_that_write_at_once_lose_nothing(folder):
    def start(*names: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", WRITER, *names], stdout=subprocess.PIPE, text=True)

    names = [f"{name}-{real}" for name in ("total_weight", "copy", "scale") for real in ("float32", "float64")]
    writers = [start(*names[:4]), start(*names[2:])]
    assert sum(int(writer.communicate()[0]) for writer in writers) >= len(names)
    assert start(*names).communicate()[0] == "0\n"
    assert len(stored_sizes(folder)) == len([*folder.iterdir()]) == len(names)


@pytest.mark.parametrize("level", [1, 0], ids=["all of it", "what another user has filled"])
def test_a_read_only_folder_that_is_filled_is_used(folder, monkeypatch, caplog, level):
    compilations()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    unwritable(monkeypatch, [folder, folder.parents[1]][level])
    assert compilations() == 0
    # what it lacks goes to the user's folder
    assert compilations(SHUFFLE, TOTAL_WEIGHT[0]) == 1
    assert compilations(SHUFFLE, TOTAL_WEIGHT[0]) == 0
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert [len(stored_sizes(place)) for place in kernel_folders()] == [1, 1]
    assert caplog.text == ""


def test_where_nothing_can_be_written_it_is_said_once(folder, tmp_path, monkeypatch, caplog):
    unwritable(monkeypatch, tmp_path)
    assert compilations() == 1
    assert compilations() == 1
    assert [*tmp_path.iterdir()] == []
    (message,) = caplog.messages
    assert "Read-only file system" in message and f"{folder}" in message and "FASTMLP_CACHE_DIR" in message


def test_a_path_below_a_file_is_no_folder(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTMLP_CACHE_DIR", str(tmp_path / "file/below"))
    assert compilations() == 1
    assert compilations() == 0  # from the user's folder
    shutil.rmtree(tmp_path / "user")
    (tmp_path / "user").touch()
    (tmp_path / "home").touch()
    assert compilations() == 1
    assert len(caplog.messages) == 1 and caplog.messages[0].count("Not a directory") == 3


def test_a_full_disk_stops_nothing(folder, caplog):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        assert compilations(SHUFFLE, TOTAL_WEIGHT[0]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [*folder.iterdir()] == []
    assert len(caplog.messages) == 1 and "File too large" in caplog.text
    assert compilations(SHUFFLE, TOTAL_WEIGHT[0]) == 2
    assert compilations(SHUFFLE, TOTAL_WEIGHT[0]) == 0


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
    assert compilations() == 1
    assert [*tmp_path.iterdir()] == []
    assert "neither FASTMLP_CACHE_DIR nor a home folder" in caplog.text
    monkeypatch.setenv("FASTMLP_CACHE_DIR", "~/cache")
    assert compilations() == 1
    assert [*tmp_path.iterdir()] == []


def test_other_settings_of_numba_have_code_of_their_own(folder, monkeypatch):
    compilations()
    monkeypatch.setenv("NUMBA_OPT", "0")
    monkeypatch.setattr(cache, "ENVIRONMENT", cache._environment())
    monkeypatch.setattr(cache, "_AT_IMPORT", cache._settings())
    assert kernel_folders() != [folder]
    assert compilations() == 1
    assert compilations() == 0


def test_what_a_program_compiles_with_settings_of_its_own_is_not_kept(folder, monkeypatch):
    numba.config.reload_config()  # as Numba itself does when the environment has changed since
    monkeypatch.setattr(numba.config, "OPT", type(numba.config.OPT)(0))
    assert compilations() == 1
    assert stored_sizes(folder) == []


def test_workers_compile_what_this_process_would(folder, monkeypatch):
    jobs = [SHUFFLE, *TOTAL_WEIGHT, entry_job("predict", np.dtype("f4"), np.dtype("f4"))]
    monkeypatch.setattr("fastmlp.backends.compiled.building.available_threads", lambda: 2)
    assert compilations(*jobs) == 4
    by_workers = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    monkeypatch.setattr(sys, "executable", "")
    assert compilations(*jobs) == 4
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == by_workers


def test_what_workers_cannot_compile_is_an_error_here(folder, monkeypatch):
    monkeypatch.setattr("fastmlp.backends.compiled.building.available_threads", lambda: 2)
    with pytest.raises(Exception, match="float16"):
        compilations(SHUFFLE, *TOTAL_WEIGHT, Job("total_weight", "float16", ""))
