"""Folders of cached files: compiled kernels, and the choices of the CUDA backend."""

import os
from pathlib import Path

__all__ = ["cache_folders", "may_write"]


def cache_folders(name: str) -> list[Path]:
    """Return the cache folders called `name`, in order of preference; none is created here.

    They are in FASTMLP_CACHE_DIR, XDG_CACHE_HOME and ~/.cache, as far as these are set, up to the first that is
    writable. Those before it can still be read, as in a container image. Without a home folder there may be none.
    """
    folders: list[Path] = []
    for place in (os.environ.get("FASTMLP_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME"), "~/.cache"):
        path = os.path.expanduser(place or "")
        if path and not path.startswith("~"):  # expanduser leaves "~" where no home folder is known
            folders.append(Path(path) / "fastmlp" / name)
            if may_write(folders[-1]):
                break
    return folders


def may_write(folder: Path) -> bool:
    """Whether permissions allow to write to a folder, or to create it. The disk may still be full."""
    existing = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), Path())
    return os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK)
