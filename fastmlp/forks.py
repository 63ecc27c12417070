"""Sections of code during which other threads cannot fork this process.

A forked child has one thread, the one that forked. A lock that another thread held at the fork stays locked in the
child forever: the import lock of a module, Numba's compiler lock, the lock of a NumPy generator. The child hangs as
soon as it needs it. So imports at run time, compilation and random draws are sections, ``with no_fork():``, and a fork
waits until all other threads have left theirs. Several threads may be in sections at once, and sections may be nested.

A fork waits for sections, and a section may wait for locks. To exclude deadlocks, no thread may wait for a fork, as it
does when it enters a section, while it holds a lock that a section needs:

- A lock that a section needs is acquired within the section, never before it.
- The body of a module enters no section: the thread that imports it holds its import lock.
- A section runs no user code, starts no fork, and waits for no other thread.
- Fork hooks of other modules may acquire locks, so they must run after ours. Hooks before a fork run in reverse order
  of registration. Modules of the standard library that have such hooks are therefore imported here first, and locks of
  other packages are acquired by `hold_at_forks`.

Ctrl-C while a fork waits ends the waiting: Python reports the exception and forks.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401  # has a hook
import logging  # noqa: F401  # has a hook
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from threading import RLock, get_ident
from time import sleep
from typing import Any

import numpy as np

__all__ = ["drawing", "hold_at_forks", "no_fork"]

_PAUSE = 1e-3  # seconds between checks whether threads are still in sections

_gate = RLock()  # held during a fork; a thread that enters a section acquires it for a moment
_inside: dict[int, int] = {}  # by thread: nesting depth of its sections
_locks: list[Any] = []  # see `hold_at_forks`


@contextmanager
def no_fork() -> Iterator[None]:
    """Prevent other threads from forking this process during the block; a fork that already waits comes first."""
    me = get_ident()
    outer = _inside.get(me, 0)
    try:
        with nullcontext() if outer else _gate:
            _inside[me] = outer + 1
        yield
    finally:  # correct wherever Ctrl-C has interrupted the lines above
        if outer:
            _inside[me] = outer
        else:
            _inside.pop(me, None)


def drawing(random: np.random.RandomState) -> AbstractContextManager[None]:
    """Return a section for drawing many numbers, during which NumPy locks the generator and other threads run.

    For a user's subclass there is no section, since a section may not run user code.
    """
    return no_fork() if type(random) is np.random.RandomState else nullcontext()


def hold_at_forks(lock: Any) -> None:
    """Acquire this re-entrant lock before every later fork; threads that hold it must not enter sections."""
    if lock not in _locks:
        _locks.append(lock)


def _wait() -> None:
    while _inside.keys() - {get_ident()}:
        sleep(_PAUSE)
    for lock in _locks:
        lock.acquire()


def _release() -> None:
    for lock in _locks:
        with suppress(RuntimeError):  # not acquired, since Ctrl-C has ended the waiting
            lock.release()


def _release_in_child() -> None:
    _release()
    for thread in _inside.keys() - {get_ident()}:
        del _inside[thread]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait, after_in_parent=_release, after_in_child=_release_in_child)
    # Registered last, so it runs first. These are methods of the lock rather than Python functions, which Ctrl-C could
    # interrupt between acquisition and release: other threads would wait at the gate forever.
    os.register_at_fork(before=_gate.acquire, after_in_parent=_gate.release, after_in_child=_gate.release)
