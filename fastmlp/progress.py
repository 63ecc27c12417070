"""A bar of epochs on a terminal."""

from __future__ import annotations

from typing import Any

from fastmlp.forks import hold_at_forks, no_fork

__all__ = ["progress_bar"]


def progress_bar(progress: bool | None, epochs: int) -> Any:
    """A bar of epochs on standard error; None asks for one only if that is a terminal."""
    if progress is False:
        return None
    with no_fork():
        from tqdm.std import TqdmDefaultWriteLock, tqdm

        hold_at_forks(TqdmDefaultWriteLock.th_lock)  # of all bars, in whatever thread they are drawn
        tqdm.get_lock()  # which imports what it needs
    return tqdm(total=epochs, unit="epoch", disable=False if progress else None, leave=False)
