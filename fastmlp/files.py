"""Atomic writing of files: one at a time, or several that belong together."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from errno import EEXIST
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fastmlp.errors import InputError

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows, where open files cannot be removed anyway
    flock = None  # type: ignore[assignment]

__all__ = ["atomic_write", "check_writable", "discard", "open_temporary", "write_together"]

_TEMPORARY = ".fastmlp-{}.tmp"


class _Written(NamedTuple):
    """A file that is complete under a temporary name, open and locked."""

    file: BinaryIO
    temporary: Path
    target: Path
    path: str | os.PathLike[str]  # as the caller named it
    durable: bool
    new: bool


_WAITING: ContextVar[list[_Written] | None] = ContextVar("fastmlp_files_waiting", default=None)


@contextmanager
def write_together() -> Iterator[None]:
    """Let the files that `atomic_write` writes in the block appear at its end: all of them, or none if it fails.

    No file system replaces two files in one step. So older versions of all files but the first are renamed beforehand:
    a process killed in between leaves files missing, never a new file next to an older version of another.
    """
    written: list[_Written] = []
    renamed: list[tuple[Path, Path]] = []
    replaced = False
    outside = _WAITING.set(written)
    try:
        yield
        for entry in written[1:]:
            with _explained(entry.path):
                if entry.target.is_file():
                    older = _temporary_in(entry.target.parent)
                    os.replace(entry.target, older)
                    renamed.append((older, entry.target))
        for entry in written:
            with _explained(entry.path):
                if os.name == "nt":
                    entry.file.close()
                if entry.new:
                    _link(entry.temporary, entry.target)
                else:
                    os.replace(entry.temporary, entry.target)
                replaced = True
                if entry.durable:
                    _sync_folder(entry.target.parent)
        for older, _ in renamed:
            older.unlink(missing_ok=True)
    except InputError:
        for older, target in renamed:
            with suppress(OSError):
                if replaced:  # an older file would not match the new ones
                    older.unlink()
                elif not target.exists():
                    os.replace(older, target)
        raise
    finally:
        _WAITING.reset(outside)
        for entry in written:
            discard(entry.file, entry.temporary)


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, durable: bool = True, new: bool = False) -> Iterator[BinaryIO]:
    """Open a file that appears at `path` when the block ends without an error, or when that of `write_together` does.

    The bytes go to a temporary file in the same folder, which then replaces `path` in one step. If the block fails or
    the process is killed, an existing file at `path` is unchanged. Links are followed, and a replaced file keeps its
    permissions. Temporary files of killed processes are removed from the folder.

    Parameters
    ----------
    path : file to write; its folder must exist.
    durable : whether to wait until content and name are on disk, so that they survive a power failure.
    new : whether an existing file at `path` is an error, and is kept.

    Yields
    ------
    file : binary file, to be written from the beginning.

    Raises
    ------
    InputError : `path` is a folder or a device, its folder is missing or cannot be written to, or the disk is full.
    """
    written = _WAITING.get()
    if written is None:
        with write_together(), atomic_write(path, durable=durable, new=new) as file:
            yield file
        return
    target = Path(os.path.realpath(path))
    if os.path.exists(target) and not os.path.isfile(target):
        kind = "a folder" if os.path.isdir(target) else "a device"
        raise InputError(f"Cannot write {path}: it is {kind}. Name a regular file.")
    with _explained(path):
        file, temporary = open_temporary(target.parent)
        try:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
            if os.path.exists(target):
                shutil.copymode(target, temporary)
        except BaseException:
            discard(file, temporary)
            raise
    written.append(_Written(file, temporary, target, path, durable, new))


class _TrialEnds(Exception):
    """Leaves the block of `atomic_write` before anything is replaced."""


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise InputError if `atomic_write` could not write `path` now; the check leaves no file behind."""
    with suppress(_TrialEnds), atomic_write(path):
        raise _TrialEnds


@contextmanager
def _explained(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"Cannot write {path}: {error.strerror or error}. Name a file in an existing folder that you may "
            "write to, on a disk with free space."
        ) from error


def open_temporary(folder: Path, *, private: bool = False) -> tuple[BinaryIO, Path]:
    """Open a new temporary file, and remove those of killed processes from the folder.

    The file is locked while it is open, which distinguishes it from those of killed processes. The caller must call
    `discard` at the end.

    Parameters
    ----------
    folder : of the file.
    private : whether only this user may read it, whatever the umask.
    """
    _remove_unlocked(folder)
    path = _temporary_in(folder)
    # Not by tempfile, whose files are always private.
    opener = partial(os.open, mode=0o600) if private else None
    file = open(path, "xb", opener=opener)  # noqa: SIM115 - closed by `discard`
    if flock is not None:
        with suppress(OSError):  # some network file systems have no locks
            flock(file, LOCK_EX)
        if not path.exists():  # another process removed it before it was locked
            file.close()
            return open_temporary(folder, private=private)
    return file, path


def _link(temporary: Path, target: Path) -> None:
    """Give the temporary file its final name; FileExistsError if the name is taken."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(target):
            raise FileExistsError(EEXIST, os.strerror(EEXIST), str(target)) from None
        os.replace(temporary, target)


def _temporary_in(folder: Path) -> Path:
    return folder / _TEMPORARY.format(os.urandom(8).hex())


def _remove_unlocked(folder: Path) -> None:
    """Remove temporary files that no process holds a lock on."""
    if flock is None:
        return
    for path in folder.glob(_TEMPORARY.format("*")):
        with suppress(OSError):  # locked, gone, or another user's
            if not stat.S_ISREG(path.lstat().st_mode):
                continue
            with open(path, "r+b") as file:
                flock(file, LOCK_EX | LOCK_NB)
                path.unlink()


def discard(file: BinaryIO, temporary: Path) -> None:
    """Close and remove a temporary file; it need not exist any more."""
    with suppress(OSError):  # closing writes the buffer again, for which the disk may be full
        file.close()
    with suppress(OSError):
        temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """Write the folder's entries to disk; otherwise a power failure may bring back the replaced file."""
    with suppress(OSError):  # not supported by Windows and some network file systems
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
