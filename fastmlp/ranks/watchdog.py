"""Ends the job of a rank that waits too long for the others: one of them is gone, stopped, or hangs."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from time import monotonic

__all__ = ["Watchdog"]

_PERIOD = 0.5  # seconds between two looks, at most


class Watchdog:
    """A thread that calls `end` with a message if a block that this object guards takes longer than `limit` seconds."""

    def __init__(self, limit: float, end: Callable[[str], None]) -> None:
        self._limit, self._end = limit, end
        self._since: float | None = None
        self._closed = Event()
        Thread(target=self._watch, name="fastmlp-watchdog", daemon=True).start()

    def __enter__(self) -> None:
        self._since = monotonic()

    def __exit__(self, *_error: object) -> None:
        self._since = None

    def close(self) -> None:
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(min(_PERIOD, self._limit / 4)):
            since = self._since
            if since is not None and monotonic() - since > self._limit:
                self._end(
                    f"has waited {self._limit:g} s for the other ranks: one of them is stopped, hangs, or is much "
                    "slower. The job ends. If it wrote checkpoints, the same command with --resume (resume=True) goes "
                    "on from the last one. A longer time can be given by FASTMLP_RANK_TIMEOUT, in seconds."
                )
                return
