"""Texts that tables can hold, and names in messages."""

from collections.abc import Iterable

__all__ = ["is_text", "listed"]

_MOST = 10


def is_text(value: object) -> bool:
    """Whether a value is a string that UTF-8 can write, which halves of a surrogate pair are not."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def listed(names: Iterable[object]) -> str:
    """The names in quotes, at most ten of them, and how many more there are."""
    every = list(map(repr, names))
    more = f" and {len(every) - _MOST:,} more" if len(every) > _MOST else ""
    return ", ".join(every[:_MOST]) + more
