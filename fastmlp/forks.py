"""Sections in which no other thread forks this process.

A child has one thread, the one that forked. What another thread held at that moment stays held in the child for ever:
the lock of a module that it was importing, Numba's compiler, a NumPy generator. The child hangs where it needs the
same. So imports at run time, compilation and draws are sections, ``with no_fork():``, and a fork waits until all other
threads have left theirs. Many threads may be in sections at once, and a thread may enter one within another.

A fork waits for sections, and a section may wait for locks. Nobody waits in a circle as long as no holder of such a
lock waits for a fork, which is what entering a section may do:

- A lock that a section needs is taken within the section, never before it.
- The body of a module enters no section: a thread that imports it by itself holds its import lock.
- A section runs no code of the user's, starts no fork, and waits for no other thread.
- Hooks that other modules run before a fork may take locks, so they must run after ours. Hooks run in the reverse order
  of registration. Modules of the standard library that have such hooks are therefore imported here first, and locks of
  other packages are left to `hold_at_forks`.

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

_PAUSE = 1e-3  # seconds between two looks at who is inside

_gate = RLock()  # held by a thread that forks, passed by those that enter a section
_inside: dict[int, int] = {}  # by thread: how many sections it is in
_locks: list[Any] = []  # see `hold_at_forks`


@contextmanager
def no_fork() -> Iterator[None]:
    """Within, no other thread forks this process. A fork that already waits comes first."""
    me = get_ident()
    outer = _inside.get(me, 0)
    try:
        with nullcontext() if outer else _gate:
            _inside[me] = outer + 1
        yield
    finally:  # the account is right wherever Ctrl-C has come
        if outer:
            _inside[me] = outer
        else:
            _inside.pop(me, None)


def drawing(random: np.random.RandomState) -> AbstractContextManager[None]:
    """A section in which to draw many numbers, for which NumPy locks the generator and lets other threads run.

    A class of the user's draws outside of sections: its code may do anything.
    """
    return no_fork() if type(random) is np.random.RandomState else nullcontext()


def hold_at_forks(lock: Any) -> None:
    """Let forks from now on be made with this re-entrant lock held, one whose holders enter no section."""
    if lock not in _locks:
        _locks.append(lock)


def _wait() -> None:
    while _inside.keys() - {get_ident()}:
        sleep(_PAUSE)
    for lock in _locks:
        lock.acquire()


def _release() -> None:
    for lock in _locks:
        with suppress(RuntimeError):  # not held, since Ctrl-C has ended the waiting
            lock.release()


def _release_in_child() -> None:
    _release()
    for thread in _inside.keys() - {get_ident()}:
        del _inside[thread]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait, after_in_parent=_release, after_in_child=_release_in_child)
    # The last to be registered is the first to be taken. Ctrl-C cannot come between its acquisition and its release as
    # it could in functions written in Python: other threads would wait at the gate for ever.
    os.register_at_fork(before=_gate.acquire, after_in_parent=_gate.release, after_in_child=_gate.release)
