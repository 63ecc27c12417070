"""Signals that wait until it is safe to stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

__all__ = ["STOPPING", "SafePoints"]

# What Ctrl-C, a scheduler before it kills, and a closed terminal send. Windows has no SIGHUP.
STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class SafePoints:
    """Within, a signal that has a Python handler is held back until `reach` is called, or until its second time.

    So a `KeyboardInterrupt` meets a state that can be written down. Signals are delivered to the main thread alone: in
    others this does nothing, and so it does for signals that are ignored or end the process.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}  # those that are put aside
        self._waiting: int | None = None

    def __enter__(self) -> SafePoints:
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._hold)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if kind is None:
            self.reach()

    def reach(self) -> None:
        """Deliver the signal that waits, if one does: its handler is called, which may raise."""
        number, self._waiting = self._waiting, None
        if number is not None:
            self._handlers[number](number, None)

    def _hold(self, number: int, frame: FrameType | None) -> None:
        if self._waiting is None:
            self._waiting = number
        else:
            self._handlers[number](number, frame)
