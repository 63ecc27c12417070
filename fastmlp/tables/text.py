"""Texts that tables can hold, and names in messages."""

from collections.abc import Iterable

__all__ = ["is_text", "listed"]

_MOST = 10


def is_text(value: object) -> bool:
    """Whether a value is a string that UTF-8 can write, which halves of a surrogate pair are not."""
    if not isinstance(value, str):
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def listed(names: Iterable[object]) -> str:
    """The names in quotes, at most ten of them, and how many more there are."""
    every = list(map(repr, names))
    more = f" and {len(every) - _MOST:,} more" if len(every) > _MOST else ""
    return ", ".join(every[:_MOST]) + more
