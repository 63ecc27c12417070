"""Names in messages."""

from collections.abc import Iterable

__all__ = ["listed"]

_MOST = 10


def listed(names: Iterable[object]) -> str:
    """The names in quotes, at most ten of them, and how many more there are."""
    every = list(map(repr, names))
    more = f" and {len(every) - _MOST:,} more" if len(every) > _MOST else ""
    return ", ".join(every[:_MOST]) + more
