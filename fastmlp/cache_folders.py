"""Where files lie that can be made again: compiled kernels, and the choices of the CUDA backend."""

import os
from pathlib import Path

__all__ = ["cache_folders", "may_write"]


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
