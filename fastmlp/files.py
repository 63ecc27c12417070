"""Files that are written whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from fastmlp.errors import InputError

__all__ = ["atomic_write", "cache_folders", "may_write"]


def cache_folders(name: str) -> list[Path]:
    """Folders called `name` for what can be made again, the first choice first; none is made here.

    They lie under FASTMLP_CACHE_DIR, XDG_CACHE_HOME and ~/.cache, each if it is set, up to the first where `name` may
    be written. Those before it can still be read, for example a container's image. Without a home there may be none.
    """
    folders: list[Path] = []
    for place in (os.environ.get("FASTMLP_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME"), "~/.cache"):
        path = os.path.expanduser(place or "")
        if path and not path.startswith("~"):  # which is left where no home folder is known
            folders.append(Path(path) / "fastmlp" / name)
            if may_write(folders[-1]):
                break
    return folders


def may_write(folder: Path) -> bool:
    """Whether permissions let a folder be made, or be written to where there is one. A disk may still be full."""
    existing = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), Path())
    return os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK)


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file whose content appears under `path` only once the block has ended well.

    The bytes go to a temporary file in the same folder, which then replaces `path` in one step. When the
    block fails, or the program is stopped, a file already at `path` is untouched. A link is followed, and the
    permissions of a file that is replaced are kept.

    Parameters
    ----------
    path : file to write; its folder must exist.

    Yields
    ------
    file : binary file, to be written from its beginning.

    Raises
    ------
    InputError : `path` is a folder or a device, its folder is missing or cannot be written to, or the disk is
        full.
    """
    target = Path(os.path.realpath(path))
    if os.path.exists(target) and not os.path.isfile(target):
        kind = "a folder" if os.path.isdir(target) else "a device"
        raise InputError(f"Cannot write {path}: it is {kind}. Name a regular file.")
    temporary = target.with_name(f".fastmlp-{secrets.token_hex(8)}.tmp")
    try:
        # Opened by name, not with tempfile, whose files no other user could read whatever the umask says.
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(target):
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(
            f"Cannot write {path}: {error.strerror or error}. Name a file in an existing folder that you may "
            "write to, on a disk with room."
        ) from error
    finally:
        with suppress(OSError):  # after a replacement, or in a folder that cannot be used, there is none
            temporary.unlink()
