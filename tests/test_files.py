"""Atomic writes: the whole file or the old one, and nothing left behind."""

import os
import stat

import pytest

from fastmlp.errors import InputError
from fastmlp.files import atomic_write


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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every folder")
def test_a_folder_without_write_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="Permission denied"), atomic_write(tmp_path / "model"):
            pass
    finally:
        tmp_path.chmod(0o700)
