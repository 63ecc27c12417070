"""Writing the files of a finished training: all at their paths, or each one where it can be kept."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from fastmlp.cli.text import one_line
from fastmlp.errors import FastmlpError
from fastmlp.files import write_together

__all__ = ["write_results"]

Save = Callable[[str], object]


def write_results(files: Mapping[str, tuple[str, Save]], say: Callable[[str], object]) -> bool:
    """Write the results of a training; return whether every file is at its path.

    A result that cannot be written goes to a new file in the same folder, the current folder or that for temporary
    files, which is named on standard error: it may be worth hours of training. Existing files are either all replaced
    or not at all, since a new model does not match an old history.

    Parameters
    ----------
    files : by name ("model", "history", "plot"): the path, and a function that writes to a path.
    say : prints a line for each file that is written.
    """
    try:
        with write_together():
            for path, save in files.values():
                save(path)
    except Exception as error:  # of any kind: Matplotlib has errors of its own, memory may run out
        reason = _described(error)
        older = any(os.path.lexists(path) for path, _ in files.values())
        written = [_write_or_keep(what, path, save, reason if older else "") for what, (path, save) in files.items()]
        for (what, (path, _)), done in zip(files.items(), written, strict=True):
            if done:
                say(f"{what} written to {one_line(path)}")
        return all(written)
    for what, (path, _) in files.items():
        say(f"{what} written to {one_line(path)}")
    return True


def _write_or_keep(what: str, path: str, save: Save, reason: str) -> bool:
    """Write a file to its path, or elsewhere if that fails or `reason` is given; return whether it is at its path."""
    try:
        if not reason:
            save(path)
            return True
    except Exception as error:
        reason = _described(error)
    kept = _keep(path, save)
    where = f"The {what} is kept in {kept}." if kept else f"The {what} could not be kept anywhere."
    print(f"fastmlp: error: {one_line(f'{reason} {where}')}", file=sys.stderr)
    return False


def _keep(path: str, save: Save) -> str | None:
    """Write to a new file in the first folder that allows it; return its path, or None if there is no such folder."""
    wanted = Path(path)
    name = f"{wanted.stem[:200]}-kept-{secrets.token_hex(4)}{wanted.suffix}"
    for folder in (wanted.parent, Path.cwd(), Path(tempfile.gettempdir())):
        with suppress(Exception):
            save(str(folder / name))
            return str(folder / name)
    return None


def _described(error: Exception) -> str:
    return str(error) if isinstance(error, FastmlpError) else f"{type(error).__name__}: {error}."
