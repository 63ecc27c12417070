"""The check of output files before the work begins."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastmlp.errors import FastmlpError, InputError
from fastmlp.files import check_writable
from fastmlp.forks import no_fork

__all__ = ["SUFFIXES", "check_outputs"]

SUFFIXES = {"--out": (".safetensors",), "--history": (".json", ".csv"), "--plot": (".png", ".pdf", ".svg")}
SUFFIXES |= {"--table": (".csv",), "--report": (".html",)}


def check_outputs(
    outputs: Mapping[str, str | None], inputs: Sequence[str | None], suffixes: Mapping = SUFFIXES
) -> None:
    """Check that all outputs can be written, to different files, and that none is also an input.

    Parameters
    ----------
    outputs : paths, or None, by option.
    inputs : paths, names of data sets, or None.
    suffixes : allowed suffixes by option; an option that is not in it may have any.

    Raises
    ------
    InputError : a wrong suffix, a path that cannot be written, or one that is used twice.
    FastmlpError : --plot is given, and Matplotlib cannot be imported.
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
