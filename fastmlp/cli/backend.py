"""The backend of a command, made ready while the data are read."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Thread

from fastmlp.backends import get_backend
from fastmlp.forks import no_fork

__all__ = ["begin_backend"]


def begin_backend(name: str | None) -> None:
    """Import the Numba backend on a thread, if that is the one to be used; make any other at once.

    Whoever needs the backend gets it by `get_backend`, which waits for an import that has begun. It imports anew what
    could not be imported on the thread, and reports what is wrong: nothing that goes wrong there is lost.

    Parameters
    ----------
    name : as for `get_backend`.

    Raises
    ------
    InputError, BackendUnavailableError : as for `get_backend`.
    """
    if (os.environ.get("FASTMLP_BACKEND", "auto") if name is None else name) not in ("numba", "auto"):
        get_backend(name)
        return
    with suppress(RuntimeError):  # no thread can be started
        Thread(target=_import_numba, name="fastmlp-backend").start()


def _import_numba() -> None:
    with suppress(Exception):
        get_backend("numba")
        with no_fork():
            from fastmlp.backends.compile_cache import prepare_loading
        prepare_loading()
