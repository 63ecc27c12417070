"""Signals that wait until it is safe to stop."""

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

# What Ctrl-C, a scheduler before it kills, and a closed terminal send. Windows has no SIGHUP.
STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

# Seconds: what comes so soon after another is no second time. Some senders send two at once.
TOGETHER = 1.0


class SafePoints:
    """Within, a signal that would raise or end the process is held back until `reach`, or until its second time.

    So it meets a state that can be written down, and has been. Signals are delivered to the main thread alone: in
    others this does nothing. A signal that is ignored stays ignored. A child that is forked within holds nothing back.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}  # to whom signals are delivered
        self._before: dict[int, Any] = {}  # what was set, perhaps by a training around this one
        self._waiting: int | None = None
        self._since = 0.0
        self._open = False
        self._process = os.getpid()

    def __enter__(self) -> SafePoints:
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                handler = signal.getsignal(number)
                outer = getattr(handler, "__self__", None)
                if isinstance(outer, SafePoints):  # a training within another's callback: it ends by itself
                    handler = outer._handlers[number]
                if callable(handler) or handler is signal.SIG_DFL:
                    self._handlers[number] = handler
                    self._before[number] = signal.signal(number, self._hold)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._hold:  # else somebody has set another meanwhile
                signal.signal(number, handler)
        self.reach()

    @property
    def waiting(self) -> bool:
        """Whether a signal waits."""
        return self._waiting is not None

    def reach(self) -> None:
        """Deliver the signal that waits, if one does: its handler is called, which may raise, or the process ends."""
        number, self._waiting = self._waiting, None
        if number is not None:
            self._deliver(number, None)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Within, no signal is held back: for what takes long and changes nothing."""
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
