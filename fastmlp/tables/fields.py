"""Reading a dictionary that may come from anyone."""

import sys
from typing import Any, NoReturn

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
        if not is_text(value) or (allowed and value not in allowed):
            self._refuse(key, " or ".join(map(repr, allowed)) or "a string")
        return str(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Give a list of different strings as a tuple."""
        value = self.list(key)
        are_texts = all(map(is_text, value))
        if not are_texts or len(set(value)) < len(value):
            self._refuse(key, "a list of different strings")
        return tuple(value)

    def list(self, key: str) -> list[Any]:
        """Give a list of anything."""
        value = self._data[key]
        if not isinstance(value, list):
            self._refuse(key, "a list")
        return value

    def flag(self, key: str) -> bool:
        """Give a bool."""
        value = self._data[key]
        if not isinstance(value, bool):
            self._refuse(key, "true or false")
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
        if not is_finite or (positive and value <= 0):
            self._refuse(key, f"{of}finite number{'s' * (of != 'a ')}{' above 0' if positive else ''}")
        return float(value)

    def count(self, key: str) -> int:
        """Give a whole number from 0 on."""
        value = self._data[key]
        if type(value) is not int or not 0 <= value < 2**31:
            self._refuse(key, "a whole number from 0 on")
        return int(value)

    def _refuse(self, key: str, wanted: str) -> NoReturn:
        raise InputError(f"{self._what}: {key!r} must be {wanted}; it is {self._data.get(key)!r:.100}.")
