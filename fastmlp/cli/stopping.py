"""SIGTERM and SIGHUP as interruptions like Ctrl-C: schedulers and closing terminals send them before they kill."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from types import FrameType

from fastmlp.signals import STOPPING, TOGETHER

__all__ = ["INTERRUPTED", "Interruption", "interruptions"]

INTERRUPTED = 130  # returned by an interrupted command, whatever the signal


class Interruption:
    """The signal that interrupted the command."""

    number = int(signal.SIGINT)
    _since = -TOGETHER

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number, as in shells: 130 after Ctrl-C."""
        return 128 + self.number

    def raise_for(self, number: int, frame: FrameType | None) -> None:
        now = perf_counter()
        if now - self._since > TOGETHER:
            self.number, self._since = number, now
            raise KeyboardInterrupt


@contextmanager
def interruptions() -> Iterator[Interruption]:
    """Let signals that would end the process raise KeyboardInterrupt; ignored ones (nohup) stay ignored."""
    interruption = Interruption()
    mine = []
    if threading.current_thread() is threading.main_thread():
        mine = [number for number in STOPPING if signal.getsignal(number) is signal.SIG_DFL]
    for number in mine:
        signal.signal(number, interruption.raise_for)
    try:
        yield interruption
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)
