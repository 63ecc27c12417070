"""Files to be written, checked before the work whose results they are to hold."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastmlp.errors import FastmlpError, InputError
from fastmlp.files import check_writable
from fastmlp.forks import no_fork

__all__ = ["SUFFIXES", "check_outputs"]

SUFFIXES = {"--out": (".safetensors",), "--history": (".json", ".csv"), "--plot": (".png", ".pdf", ".svg")}


def check_outputs(
    outputs: Mapping[str, str | None], inputs: Sequence[str | None], suffixes: Mapping = SUFFIXES
) -> None:
    """Make sure that files can be written, all of them, and over nothing that is read.

    Parameters
    ----------
    outputs : paths, or None, by option.
    inputs : paths, names of data sets, or None.
    suffixes : those allowed, by option; any of an option that is not in it.

    Raises
    ------
    InputError : a suffix of another kind of file, a path that cannot be written, or one that is read.
    FastmlpError : a plot is wanted, and Matplotlib cannot be imported.
    """
    read = {os.path.realpath(path) for path in inputs if path is not None}
    written: dict[str, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        allowed = suffixes.get(option)
        if allowed is not None and Path(path).suffix.lower() not in allowed:
            raise InputError(f"{option} {path!r} must end in {' or '.join(allowed)}.")
        if os.path.realpath(path) in read:
            raise InputError(f"{option} {path!r} is also read. Name another file.")
        other = written.setdefault(os.path.realpath(path), option)
        if other != option:
            raise InputError(f"{option} {path!r} is the file of {other}, too. Name another file.")
        check_writable(path)
    if outputs.get("--plot") is not None:
        try:
            with no_fork():
                import matplotlib.figure  # noqa: F401
        except ImportError as error:
            raise FastmlpError(
                f"--plot needs Matplotlib, which cannot be imported ({error}). Run: pip install 'fastmlp[plot]'"
            ) from error
