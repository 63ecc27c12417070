"""Checked access to dictionaries from untrusted files."""

import sys
from typing import Any, NoReturn

from fastmlp.errors import InputError
from fastmlp.tables.text import is_text

__all__ = ["Fields"]


class Fields:
    """A dictionary with string keys whose values are checked when they are read.

    Parameters
    ----------
    data : the dictionary, or whatever the file holds in its place.
    what : its name in error messages.
    keys : exactly the keys it must have; None for any.

    Raises
    ------
    InputError : `data` is not such a dictionary; from the methods, a value has another type.
    """

    def __init__(self, data: object, what: str, keys: tuple[str, ...] | None) -> None:
        if not isinstance(data, dict) or (keys is not None and data.keys() != set(keys)):
            given = f"keys {list(data)!r:.200}" if isinstance(data, dict) else type(data).__name__
            raise InputError(f"{what} must be a dictionary with the keys {', '.join(keys or ())}; it is {given}.")
        self._data: dict[str, Any] = data
        self._what = what

    def value(self, key: str) -> object:
        """Return the value unchecked."""
        return self._data[key]

    def text(self, key: str, allowed: tuple[str, ...] = ()) -> str:
        """Return a string, one of `allowed` unless that is empty."""
        value = self._data.get(key)
        if not is_text(value) or (allowed and value not in allowed):
            self._refuse(key, " or ".join(map(repr, allowed)) or "a string")
        return str(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of different strings as a tuple."""
        value = self.list(key)
        are_texts = all(map(is_text, value))
        if not are_texts or len(set(value)) < len(value):
            self._refuse(key, "a list of different strings")
        return tuple(value)

    def list(self, key: str) -> list[Any]:
        """Return a list of anything."""
        value = self._data[key]
        if not isinstance(value, list):
            self._refuse(key, "a list")
        return value

    def flag(self, key: str) -> bool:
        """Return a bool."""
        value = self._data[key]
        if not isinstance(value, bool):
            self._refuse(key, "true or false")
        return value

    def number(self, key: str, positive: bool = False) -> float:
        """Return a finite number; above 0 if `positive`."""
        return self._number(key, self._data[key], positive)

    def numbers(self, key: str, positive: bool = False) -> tuple[float, ...]:
        """Return a list of finite numbers as a tuple; all above 0 if `positive`."""
        return tuple(self._number(key, value, positive, "a list of ") for value in self.list(key))

    def _number(self, key: str, value: Any, positive: bool, of: str = "a ") -> float:
        # Compared before it is converted: an integer in JSON may be larger than any float.
        is_finite = type(value) in (int, float) and abs(value) <= sys.float_info.max
        if not is_finite or (positive and value <= 0):
            self._refuse(key, f"{of}finite number{'s' * (of != 'a ')}{' above 0' if positive else ''}")
        return float(value)

    def count(self, key: str) -> int:
        """Return a whole number from 0 to 2³¹ - 1."""
        value = self._data[key]
        if type(value) is not int or not 0 <= value < 2**31:
            self._refuse(key, "a whole number from 0 on")
        return int(value)

    def _refuse(self, key: str, wanted: str) -> NoReturn:
        raise InputError(f"{self._what}: {key!r} must be {wanted}; it is {self._data.get(key)!r:.100}.")
