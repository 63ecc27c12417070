"""Reading a dictionary that may come from anyone."""

import sys
from typing import Any

from fastmlp.errors import InputError
from fastmlp.tables.text import is_text

__all__ = ["Fields"]


class Fields:
    """Typed access to a dictionary with string keys.

    Parameters
    ----------
    data : whatever was found where the dictionary belongs.
    what : its name for the errors.
    keys : the keys it must have, and no others; None for any.

    Raises
    ------
    InputError : not such a dictionary; from the methods, a value of another type.
    """

    def __init__(self, data: object, what: str, keys: tuple[str, ...] | None) -> None:
        if not isinstance(data, dict) or (keys is not None and data.keys() != set(keys)):
            given = f"keys {list(data)!r:.200}" if isinstance(data, dict) else type(data).__name__
            raise InputError(f"{what} must be a dictionary with the keys {', '.join(keys or ())}; it is {given}.")
        self._data: dict[str, Any] = data
        self._what = what

    def value(self, key: str) -> object:
        """Give whatever is there."""
        return self._data[key]

    def text(self, key: str, allowed: tuple[str, ...] = ()) -> str:
        """Give a string, one of `allowed` unless that is empty."""
        value = self._data.get(key)
        wanted = " or ".join(map(repr, allowed)) or "a string"
        self._require(is_text(value) and (not allowed or value in allowed), key, wanted)
        return str(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Give a list of different strings as a tuple."""
        value = self.list(key)
        are_texts = all(map(is_text, value))
        self._require(are_texts and len(set(value)) == len(value), key, "a list of different strings")
        return tuple(value)

    def list(self, key: str) -> list[Any]:
        """Give a list of anything."""
        value = self._data[key]
        self._require(isinstance(value, list), key, "a list")
        return value

    def flag(self, key: str) -> bool:
        """Give a bool."""
        value = self._data[key]
        self._require(isinstance(value, bool), key, "true or false")
        return value

    def number(self, key: str, positive: bool = False) -> float:
        """Give a finite number, above 0 where it must be."""
        return self._number(key, self._data[key], positive)

    def numbers(self, key: str, positive: bool = False) -> tuple[float, ...]:
        """Give a list of finite numbers, above 0 where they must be, as a tuple."""
        return tuple(self._number(key, value, positive, "a list of ") for value in self.list(key))

    def _number(self, key: str, value: Any, positive: bool, of: str = "a ") -> float:
        # Compared before it is converted: a whole number in JSON may exceed every float.
        is_finite = type(value) in (int, float) and abs(value) <= sys.float_info.max
        wanted = f"{of}finite number{'s' * (of != 'a ')}{' above 0' if positive else ''}"
        self._require(is_finite and (value > 0 or not positive), key, wanted)
        return float(value)

    def count(self, key: str) -> int:
        """Give a whole number from 0 on."""
        value = self._data[key]
        self._require(type(value) is int and 0 <= value < 2**31, key, "a whole number from 0 on")
        return int(value)

    def _require(self, holds: bool, key: str, wanted: str) -> None:
        if not holds:
            raise InputError(f"{self._what}: {key!r} must be {wanted}; it is {self._data.get(key)!r:.100}.")
