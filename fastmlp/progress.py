"""A bar of epochs on a terminal."""

from __future__ import annotations

from typing import Any

__all__ = ["progress_bar"]


def progress_bar(progress: bool | None, epochs: int) -> Any:
    """A bar of epochs on standard error; None asks for one only if that is a terminal."""
    if progress is False:
        return None
    from tqdm import tqdm

    return tqdm(total=epochs, unit="epoch", disable=False if progress else None, leave=False)
