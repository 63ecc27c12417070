"""Files that are written whole or not at all, and files that belong together."""

import os
import secrets
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
except ImportError:  # Windows, where a file that somebody has open cannot be removed anyway
    flock = None  # type: ignore[assignment]

__all__ = ["atomic_write", "check_writable", "discard", "open_temporary", "together"]

_TEMPORARY = ".fastmlp-{}.tmp"


class _Written(NamedTuple):
    """A file whose content waits under a temporary name, open and locked."""

    file: BinaryIO
    temporary: Path
    target: Path
    path: str | os.PathLike[str]  # as the caller named it
    durable: bool
    new: bool


_WAITING: ContextVar[list[_Written] | None] = ContextVar("fastmlp_files_waiting", default=None)


@contextmanager
def together() -> Iterator[None]:
    """Within, files written by `atomic_write` appear at the end of the block, all of them, or none if it fails.

    No file system replaces two files in one step. So the older versions of all files but the first are put aside
    beforehand: a program killed in between leaves files missing, never a new file beside an older version of another.
    """
    written: list[_Written] = []
    aside: list[tuple[Path, Path]] = []
    replaced = False
    outside = _WAITING.set(written)
    try:
        yield
        for entry in written[1:]:
            with _explained(entry.path):
                if entry.target.is_file():
                    older = _temporary_in(entry.target.parent)
                    os.replace(entry.target, older)
                    aside.append((older, entry.target))
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
        for older, _ in aside:
            older.unlink(missing_ok=True)
    except InputError:
        for older, target in aside:
            with suppress(OSError):
                if replaced:  # an older file would not belong to those that are new
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
    """Open a file whose content appears under `path` only once the block has ended well, or that of `together`.

    The bytes go to a temporary file in the same folder, which then replaces `path` in one step. When the block fails,
    or the program is stopped, a file already at `path` is untouched. A link is followed, and the permissions of a file
    that is replaced are kept. Temporary files of programs that were killed are removed from the folder.

    Parameters
    ----------
    path : file to write; its folder must exist.
    durable : whether content and name are on the disk at the end, whatever happens to the machine; what can be made
        again needs no such wait.
    new : whether a file that is at `path` by then is an error, and stays.

    Yields
    ------
    file : binary file, to be written from its beginning.

    Raises
    ------
    InputError : `path` is a folder or a device, its folder is missing or cannot be written to, or the disk is
        full.
    """
    written = _WAITING.get()
    if written is None:
        with together(), atomic_write(path, durable=durable, new=new) as file:
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


class _Enough(Exception):
    """Ends a trial before anything is replaced."""


def check_writable(path: str | os.PathLike[str]) -> None:
    """InputError if `path` could not be written by `atomic_write` now. Nothing is left of the trial."""
    with suppress(_Enough), atomic_write(path):
        raise _Enough


@contextmanager
def _explained(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"Cannot write {path}: {error.strerror or error}. Name a file in an existing folder that you may "
            "write to, on a disk with room."
        ) from error


def open_temporary(folder: Path, *, private: bool = False) -> tuple[BinaryIO, Path]:
    """A new file, locked as long as it is open, so that others can tell it from those of programs that were killed.

    These are removed from the folder. Who is done with the file calls `discard`.

    Parameters
    ----------
    folder : where the file lies.
    private : whether other users cannot read it, whatever the umask says.
    """
    _sweep(folder)
    path = _temporary_in(folder)
    # Not by tempfile, whose files are private always.
    opener = partial(os.open, mode=0o600) if private else None
    file = open(path, "xb", opener=opener)  # noqa: SIM115 - whoever discards it closes it
    if flock is not None:
        with suppress(OSError):  # some network file systems have no locks
            flock(file, LOCK_EX)
        if not path.exists():  # somebody swept it away before it was locked
            file.close()
            return open_temporary(folder, private=private)
    return file, path


def _link(temporary: Path, target: Path) -> None:
    """Give a file its name; FileExistsError if that is taken."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(target):
            raise FileExistsError(EEXIST, os.strerror(EEXIST), str(target)) from None
        os.replace(temporary, target)


def _temporary_in(folder: Path) -> Path:
    return folder / _TEMPORARY.format(secrets.token_hex(8))


def _sweep(folder: Path) -> None:
    """Remove temporary files that nobody holds a lock on any more."""
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
    """Close and remove a temporary file; after a replacement, or in a folder that cannot be used, there is none."""
    with suppress(OSError):  # what a full disk did not take is tried again
        file.close()
    with suppress(OSError):
        temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """Bring the folder's entries to the disk: without, a replaced file may be the old one again after a power cut."""
    with suppress(OSError):  # Windows cannot, nor can some network file systems
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
