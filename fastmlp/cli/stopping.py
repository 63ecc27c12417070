"""SIGTERM and SIGHUP take Ctrl-C's way: schedulers and closed terminals send them before they kill."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from types import FrameType

from fastmlp.signals import STOPPING, TOGETHER

__all__ = ["INTERRUPTED", "Interruption", "interruptions"]

INTERRUPTED = 130  # what a command returns, whichever signal it was


class Interruption:
    """Which signal interrupted the command."""

    number = int(signal.SIGINT)
    _since = -TOGETHER

    @property
    def exit_code(self) -> int:
        """128 and the signal, as shells have it: 130 after Ctrl-C."""
        return 128 + self.number

    def raise_for(self, number: int, frame: FrameType | None) -> None:
        now = perf_counter()
        if now - self._since > TOGETHER:
            self.number, self._since = number, now
            raise KeyboardInterrupt


@contextmanager
def interruptions() -> Iterator[Interruption]:
    """Within, signals that would end the process raise KeyboardInterrupt; those that are ignored (nohup) stay so."""
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
