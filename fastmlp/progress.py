"""Progress bars."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from fastmlp.forks import hold_at_forks, no_fork

__all__ = ["passing", "progress_bar"]

_PATIENCE = 1.0  # seconds after which work that often takes less shows a bar


def progress_bar(progress: bool | None, total: int | None, unit: str = "epoch", **options: Any) -> Any:
    """Return a tqdm bar on standard error if `progress` is True, or None and standard error is a terminal; else None.

    The options are further ones of tqdm.
    """
    if progress is False or (progress is None and not _on_terminal()):
        return None
    with no_fork():
        from tqdm.std import TqdmDefaultWriteLock, tqdm

        hold_at_forks(TqdmDefaultWriteLock.th_lock)  # shared by the bars of all threads
        tqdm.get_lock()  # imports modules on first use
    return tqdm(total=total, unit=unit, disable=False, leave=False, **options)


def passing(blocks: Iterable[bytes], progress: bool | None, total: int | None) -> Iterator[bytes]:
    """Yield the blocks, and show how many bytes have passed if that takes longer than a second.

    Parameters
    ----------
    progress : as in `progress_bar`.
    total : bytes of all blocks; None if they are not known, so the time that is left cannot be shown.
    """
    bar = progress_bar(progress, total, "B", delay=_PATIENCE, unit_scale=True)
    if bar is None:
        yield from blocks
        return
    with bar:
        for block in blocks:
            bar.update(len(block))
            yield block


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
