"""The files of a finished training: together at their places, or each where it can be kept."""

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
from fastmlp.files import together

__all__ = ["write_results"]

Save = Callable[[str], object]


def write_results(files: Mapping[str, tuple[str, Save]], say: Callable[[str], object]) -> bool:
    """Write what a training gave; whether every file is where it was to be.

    What cannot be written, an hour of training maybe, goes to a new file beside it, in the current folder or in that
    for temporary files, and standard error says where. Where older files are, either all of them are replaced or none
    is: a new one beside an old one would not belong to it.

    Parameters
    ----------
    files : by what they are ("model", "history", "plot"): path, and a function that writes to a path.
    say : what to tell of each file that is written.
    """
    try:
        with together():
            for path, save in files.values():
                save(path)
    except Exception as error:  # whatever fails: Matplotlib raises errors of its own, memory may be short
        reason = _said(error)
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
    """Write a file to its path, or elsewhere if that fails or there is a reason not to; whether it is at its path."""
    try:
        if not reason:
            save(path)
            return True
    except Exception as error:
        reason = _said(error)
    kept = _keep(path, save)
    where = f"The {what} is kept in {kept}." if kept else f"The {what} could not be kept anywhere."
    print(f"fastmlp: error: {one_line(f'{reason} {where}')}", file=sys.stderr)
    return False


def _keep(path: str, save: Save) -> str | None:
    """The path of a new file, if there is a folder that takes it."""
    wanted = Path(path)
    name = f"{wanted.stem[:200]}-kept-{secrets.token_hex(4)}{wanted.suffix}"
    for folder in (wanted.parent, Path.cwd(), Path(tempfile.gettempdir())):
        with suppress(Exception):
            save(str(folder / name))
            return str(folder / name)
    return None


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, FastmlpError) else f"{type(error).__name__}: {error}."
