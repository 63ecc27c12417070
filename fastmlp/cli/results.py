"""The files of a finished training: together at their places, or each where it can be kept."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from fastmlp.cli.text import one_line
from fastmlp.errors import FastmlpError
from fastmlp.files import together

__all__ = ["write_results"]

Save = Callable[[str], object]


def write_results(files: Mapping[str, tuple[str, Save]], say: Callable[[str], object]) -> bool:
    """Write what a training gave; whether every file is where it was to be.

    What cannot be written, an hour of training maybe, goes to a new file beside it, in the current folder or in that
    for temporary files, and standard error says where. An old file that stays is not left with new ones beside it:
    then those that belong to it go to new files too.

    Parameters
    ----------
    files : by what they are ("model", "history", "plot"): path, and a function that writes to a path.
    say : what to tell of each file that is written.
    """
    try:
        with together():
            for path, save in files.values():
                save(path)
    except FastmlpError:
        return _write_one_by_one(files, say)
    for what, (path, _) in files.items():
        say(f"{what} written to {one_line(path)}")
    return True


def _write_one_by_one(files: Mapping[str, tuple[str, Save]], say: Callable[[str], object]) -> bool:
    complete, stale = True, False
    for what, (path, save) in files.items():
        try:
            if stale:
                raise FastmlpError(f"The {what} {path} is left as it is, with the old model.")
            save(path)
            say(f"{what} written to {one_line(path)}")
        except FastmlpError as error:
            complete, stale = False, stale or os.path.exists(path)
            kept = _keep(path, save)
            where = f"It is kept in {kept}" if kept else "It could not be kept anywhere else"
            print(f"fastmlp: error: {one_line(f'{error} {where}.')}", file=sys.stderr)
    return complete


def _keep(path: str, save: Save) -> str | None:
    """The path of a new file, if there is a folder that takes it."""
    wanted = Path(path)
    name = f"{wanted.stem[:200]}-kept-{secrets.token_hex(4)}{wanted.suffix}"
    for folder in (wanted.parent, Path.cwd(), Path(tempfile.gettempdir())):
        try:
            save(str(folder / name))
            return str(folder / name)
        except (FastmlpError, OSError):
            continue
    return None
