"""Progress bars."""

from __future__ import annotations

from typing import Any

from fastmlp.forks import hold_at_forks, no_fork

__all__ = ["progress_bar"]


def progress_bar(progress: bool | None, total: int, unit: str = "epoch") -> Any:
    """Return a tqdm bar on standard error if `progress` is True, or None and standard error is a terminal."""
    if progress is False:
        return None
    with no_fork():
        from tqdm.std import TqdmDefaultWriteLock, tqdm

        hold_at_forks(TqdmDefaultWriteLock.th_lock)  # shared by the bars of all threads
        tqdm.get_lock()  # imports modules on first use
    return tqdm(total=total, unit=unit, disable=False if progress else None, leave=False)
