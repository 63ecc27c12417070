"""Converters from the text of an argument to its value; a bad one is a usage error."""

from __future__ import annotations

import csv
import math
import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Collection
from typing import Any

from fastmlp.checkpoint import check_interval
from fastmlp.cli.span import Span
from fastmlp.errors import InputError

__all__ = [
    *("batch_size", "choices", "columns", "delimiter", "interval", "memory", "real", "reals", "seconds"),
    *("several", "sizes", "texts", "values", "whole"),
]


def whole(low: int, high: int) -> Callable[[str], int]:
    """Convert a whole number from low to high."""

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return number

    return convert


def real(low: float = -math.inf, high: float = math.inf, *, above: bool = False) -> Callable[[str], float]:
    """Convert a finite number in [low, high); in (low, high) with `above`."""

    def convert(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and low <= number < high) or (above and number == low):
            start = "" if low == -math.inf else f" {'above' if above else 'from'} {low:g}"
            end = "" if high == math.inf else f" to below {high:g}"
            raise ArgumentTypeError(f"{text!r} is not a finite number{start}{end}")
        return number

    return convert


def reals(low: float, high: float, *, above: bool = False) -> Callable[[str], float | list[float]]:
    """Convert one number, or a list of numbers separated by commas."""

    def convert(text: str) -> float | list[float]:
        numbers = [real(low, high, above=above)(part) for part in text.split(",")]
        return numbers[0] if len(numbers) == 1 else numbers

    return convert


def values(convert: Callable[[str], float], *, log: bool = False) -> Callable[[str], list[float] | Span]:
    """Convert a range as LOW:HIGH, or values separated by commas; each number by that converter."""

    def convert_either(text: str) -> list[float] | Span:
        if ":" not in text:
            return several(convert)(text)
        low, high = (convert(part) for part in text.split(":", 1))
        if not low < high or (log and low == 0):
            zero = ", and does not begin at 0" if log else ""
            raise ArgumentTypeError(f"{text!r} is not a range. It has the lower number first{zero}, as in 0.001:0.1")
        return Span(low, high, log)

    return convert_either


def sizes(text: str) -> list[int]:
    """Convert the widths of hidden layers; "none" for no hidden layer."""
    return [] if text == "none" else [whole(1, 1 << 20)(part) for part in text.split(",")]


def batch_size(text: str) -> int | str:
    """Convert a number of samples, or "full"."""
    return text if text == "full" else whole(1, 1 << 62)(text)


def memory(text: str) -> int:
    """Convert an amount of memory such as 500MB or 2GB to bytes."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    size = int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " ")) if match else 0
    if size < 1 << 20:
        raise ArgumentTypeError(f"{text!r} is no amount of memory. Give one from 1MB on, such as 500MB or 2GB")
    return size


def interval(text: str) -> int | str:
    """Convert a number of epochs, or a time such as "30s"."""
    value = int(text) if text.isdecimal() else text
    try:
        check_interval(value)
    except InputError as error:
        raise ArgumentTypeError(str(error).replace("checkpoint_every=", "")) from None
    return value


def seconds(text: str) -> float:
    """Convert a time, such as "90" or "90s", "10min" or "2h", to seconds."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(s|min|h)?", text.strip())
    value = float(match[1]) * {"min": 60, "h": 3600}.get(match[2], 1) if match else 0.0
    if not 0 < value < 1e9:
        raise ArgumentTypeError(f"{text!r} is no time. Give seconds, or a time such as 90s, 10min or 2h")
    return value


def choices(known: Collection[str]) -> Callable[[str], str | list[str]]:
    """Convert one of the known names, or a list of them separated by commas."""

    def convert(text: str) -> str | list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise ArgumentTypeError(f"{name!r} is unknown. Choose one of: {', '.join(known)}")
        return names[0] if len(names) == 1 else names

    return convert


def several(convert: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Convert values separated by commas, each by that converter."""
    return lambda text: [convert(part) for part in text.split(",")]


def texts(text: str) -> list[str]:
    """Split texts separated by commas; a text with a comma must be in double quotes."""
    try:
        return next(csv.reader([text], strict=True), [""])
    except csv.Error as error:
        raise ArgumentTypeError(f"{text!r} is not a list separated by commas: {error}") from None


def columns(text: str) -> str | list[str]:
    """Convert one column name, or several separated by commas; a name with a comma must be in double quotes."""
    names = texts(text)
    return names[0] if len(names) == 1 else names


def delimiter(text: str) -> str:
    r"""Convert one character; "tab" and "\t" stand for the tab character."""
    character = "\t" if text in ("tab", "\\t") else text
    if len(character) != 1 or character in '"\r\n':
        raise ArgumentTypeError(f"{text!r} is not one character, such as ';', or 'tab'")
    return character
