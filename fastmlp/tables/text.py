"""Checks of strings, and lists of names for messages."""

from collections.abc import Iterable

__all__ = ["is_text", "listed"]

_MOST = 10


def is_text(value: object) -> bool:
    """Whether a value is a string that UTF-8 can encode, that is, one without lone surrogates."""
    if not isinstance(value, str):
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def listed(names: Iterable[object]) -> str:
    """Join names in quotes with commas: the first ten, then the number of the others."""
    every = list(map(repr, names))
    more = f" and {len(every) - _MOST:,} more" if len(every) > _MOST else ""
    return ", ".join(every[:_MOST]) + more
