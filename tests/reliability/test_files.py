"""Atomic writes: the complete new file or the old one, and no temporary files."""

import os
import stat
import subprocess
import sys
from contextlib import suppress

import pytest

from fastmlp.errors import InputError
from fastmlp.files import atomic_write, write_together


def names(folder) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_file_appears_whole_at_the_end_of_the_block(tmp_path):
    path = tmp_path / "new.bin"
    with atomic_write(path) as file:
        file.write(b"first ")
        file.flush()
        assert not path.exists()
        file.write(b"second")
    assert path.read_bytes() == b"first second"
    assert names(tmp_path) == ["new.bin"]


def test_a_string_without_a_folder_means_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic_write("here.bin") as file:
        file.write(b"x")
    assert names(tmp_path) == ["here.bin"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existed", [True, False])
def test_a_failing_block_leaves_what_was_there(tmp_path, error, existed):
    path = tmp_path / "model"
    if existed:
        path.write_bytes(b"old")
    before = names(tmp_path)
    with pytest.raises(error), atomic_write(path) as file:
        file.write(b"half")
        raise error
    assert names(tmp_path) == before
    assert not existed or path.read_bytes() == b"old"


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"), atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["model"]


def test_a_replaced_file_keeps_its_permissions_and_a_new_one_follows_the_umask(tmp_path):
    private, new, peer = tmp_path / "private", tmp_path / "new", tmp_path / "peer"
    private.write_bytes(b"old")
    private.chmod(0o600)
    peer.write_bytes(b"")
    for path in (private, new):
        with atomic_write(path) as file:
            file.write(b"x")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert new.stat().st_mode == peer.stat().st_mode


def test_a_link_is_followed(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_name_as_long_as_the_file_system_allows_works(tmp_path):
    path = tmp_path / ("n" * 255)
    with atomic_write(path) as file:
        file.write(b"x")
    assert path.read_bytes() == b"x"


def test_a_folder_and_a_device_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"it is a folder\. Name a regular file"), atomic_write(tmp_path):
        pass
    with pytest.raises(InputError, match="it is a device"), atomic_write(os.devnull):
        pass
    assert names(tmp_path) == []


def test_a_folder_that_is_missing_or_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for folder in ("missing", "file"):
        with pytest.raises(InputError, match="existing folder"), atomic_write(tmp_path / folder / "model"):
            pass
    assert names(tmp_path) == ["file"]


PROGRAM = """
import os, sys
from fastmlp.files import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(b"half")
    print("begun", flush=True)
    sys.stdin.read()
"""


def test_leftovers_of_killed_programs_are_swept_and_living_ones_are_spared(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "model")]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **options) as killed, subprocess.Popen(command, **options) as living:
        assert killed.stdout.readline() == living.stdout.readline() == "begun\n"
        assert len(names(tmp_path)) == 2
        killed.kill()
        killed.wait()
        with atomic_write(tmp_path / "other") as file:
            file.write(b"x")
        assert len(names(tmp_path)) == 2  # that of the living one, and what was written
        living.communicate(timeout=60)
    assert (names(tmp_path), (tmp_path / "model").read_bytes()) == (["model", "other"], b"half")


def test_foreign_files_are_not_swept(tmp_path):
    for name in ("fastmlp.tmp", ".fastmlp-1.txt", ".other.tmp"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".fastmlp-folder.tmp").mkdir()
    before = names(tmp_path)
    with atomic_write(tmp_path / "model"):
        pass
    assert names(tmp_path) == sorted([*before, "model"])


def test_the_folder_is_synced_after_the_file_has_its_name(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def note(descriptor):
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), (tmp_path / "model").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    with atomic_write(tmp_path / "model") as file:
        file.write(b"x")
    assert synced == [(False, False), (True, True)]


@pytest.mark.parametrize("replaced", [0, 1, 2])
def test_files_that_belong_together_are_never_a_new_one_beside_an_old_one(tmp_path, monkeypatch, replaced):
    """Whenever the process is killed, here between two system calls."""
    pair = [tmp_path / name for name in ("model", "history")]
    for path in pair:
        path.write_bytes(b"old")
    replace, count = os.replace, [-1]  # the older history is put aside first

    def killed(source, target):
        if count[0] == replaced:
            raise SystemExit
        count[0] += 1
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with suppress(SystemExit), write_together():
        for path in pair:
            with atomic_write(path) as file:
                file.write(b"new")
            assert path.read_bytes() == b"old"
    found = [path.read_bytes() if path.exists() else None for path in pair]
    assert found == [[b"old", None], [b"new", None], [b"new", b"new"]][replaced]


@pytest.mark.parametrize("failing", ["model", "history"])
def test_what_cannot_be_replaced_leaves_no_new_file_beside_an_older_one(tmp_path, monkeypatch, failing):
    pair = [tmp_path / name for name in ("model", "history")]
    for path in pair:
        path.write_bytes(b"old")
    replace = os.replace

    def refused(source, target):
        if os.path.basename(source).startswith(".fastmlp") and (tmp_path / failing) == target and target not in given:
            given.append(target)
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    given = []
    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(InputError, match=f"Cannot write .*{failing}: Permission denied"), write_together():
        for path in pair:
            with atomic_write(path) as file:
                file.write(b"new")
    if failing == "model":
        assert [path.read_bytes() for path in pair] == [b"old", b"old"]
    else:  # the new model is there: no old history is left beside it
        assert names(tmp_path) == ["model"] and pair[0].read_bytes() == b"new"


def test_files_that_belong_together_are_all_written_or_none(tmp_path):
    first, second = tmp_path / "first", tmp_path / "missing" / "second"
    first.write_bytes(b"old")
    with pytest.raises(InputError, match="missing"), write_together():
        for path in (first, second):
            with atomic_write(path) as file:
                file.write(b"new")
    assert (names(tmp_path), first.read_bytes()) == (["first"], b"old")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every folder")
def test_a_folder_without_write_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="Permission denied"), atomic_write(tmp_path / "model"):
            pass
    finally:
        tmp_path.chmod(0o700)
