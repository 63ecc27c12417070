"""The import of a command's backend on a thread, while the data are read."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Thread

from fastmlp.backends import get_backend
from fastmlp.forks import no_fork

__all__ = ["prepare_backend"]


def prepare_backend(name: str | None) -> None:
    """Start importing the Numba backend on a thread, if it is to be used; load any other backend at once.

    The backend is later obtained by `get_backend`, which waits for an import in progress. Errors on the thread are
    ignored: `get_backend` repeats a failed import and raises its error.

    Parameters
    ----------
    name : as in `get_backend`.

    Raises
    ------
    InputError, BackendUnavailableError : as in `get_backend`.
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
