"""Files to be written, checked before the work whose results they are to hold."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from fastmlp.errors import FastmlpError, InputError
from fastmlp.files import atomic_write

__all__ = ["SUFFIXES", "check_outputs"]

SUFFIXES = {"--out": (".safetensors",), "--history": (".json", ".csv"), "--plot": (".png", ".pdf", ".svg")}


class _Enough(Exception):
    """Ends a trial before anything is replaced."""


def check_outputs(
    outputs: Mapping[str, str | None], inputs: Sequence[str | None], suffixes: Mapping = SUFFIXES
) -> None:
    """Make sure that files can be written, all of them, without harm to one another or to what is read.

    Parameters
    ----------
    outputs : paths, or None, by option.
    inputs : paths, names of data sets, or None.
    suffixes : those allowed, by option.

    Raises
    ------
    InputError : a suffix of another kind of file, a path that cannot be written, or one given twice.
    FastmlpError : a plot is wanted, and Matplotlib cannot be imported.
    """
    taken = {os.path.realpath(path): "is also read" for path in inputs if path is not None}
    for option, path in outputs.items():
        if path is None:
            continue
        allowed = suffixes[option]
        if Path(path).suffix.lower() not in allowed:
            raise InputError(f"{option} {path!r} must end in {' or '.join(allowed)}.")
        real = os.path.realpath(path)
        if real in taken:
            raise InputError(f"{option} {path!r} {taken[real]}. Name another file.")
        taken[real] = f"is also the file of {option}"
        with suppress(_Enough), atomic_write(path):
            raise _Enough
    if outputs.get("--plot") is not None:
        try:
            import matplotlib.figure  # noqa: F401
        except ImportError as error:
            raise FastmlpError(
                f"--plot needs Matplotlib, which cannot be imported ({error}). Run: pip install 'fastmlp[plot]'"
            ) from error
