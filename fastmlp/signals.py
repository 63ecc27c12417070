"""Deferred delivery of signals, until it is safe to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from types import FrameType
from typing import Any

__all__ = ["STOPPING", "TOGETHER", "SafePoints"]

# Sent by Ctrl-C, by a scheduler before it kills, and by a closing terminal. Windows has no SIGHUP.
STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

# Seconds within which signals count as one, since some senders send two at once.
TOGETHER = 1.0


class SafePoints:
    """Hold back signals that would raise or end the process until `reach` is called, or a second signal arrives.

    So a signal is delivered in a state that can be saved, and has been. Only the main thread receives signals: in other
    threads this does nothing. Ignored signals stay ignored. A child that is forked in the block holds nothing back.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}  # handlers to which signals are delivered
        self._before: dict[int, Any] = {}  # handlers to restore, perhaps those of a training around this one
        self._waiting: int | None = None
        self._since = 0.0
        self._open = False
        self._process = os.getpid()

    def __enter__(self) -> SafePoints:
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                handler = signal.getsignal(number)
                outer = getattr(handler, "__self__", None)
                if isinstance(outer, SafePoints):  # a training within a callback of another one
                    handler = outer._handlers[number]
                if callable(handler) or handler is signal.SIG_DFL:
                    self._handlers[number] = handler
                    self._before[number] = signal.signal(number, self._hold)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._hold:  # otherwise other code has set another handler
                signal.signal(number, handler)
        self.reach()

    @property
    def waiting(self) -> bool:
        """Whether a signal is being held back."""
        return self._waiting is not None

    def reach(self) -> None:
        """Deliver the held signal, if there is one: its handler is called, which may raise, or the process ends."""
        number, self._waiting = self._waiting, None
        if number is not None:
            self._deliver(number, None)

    @contextmanager
    def released(self) -> Iterator[None]:
        """Hold back no signal during the block, for long work that changes no state."""
        self.reach()
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def _hold(self, number: int, frame: FrameType | None) -> None:
        if self._open or self._process != os.getpid():
            self._deliver(number, frame)
        elif not self.waiting:
            self._waiting, self._since = number, perf_counter()
        elif perf_counter() - self._since > TOGETHER:
            self._deliver(number, frame)

    def _deliver(self, number: int, frame: FrameType | None) -> None:
        handler = self._handlers[number]
        if callable(handler):
            handler(number, frame)
        else:
            signal.signal(number, handler)
            os.kill(os.getpid(), number)
