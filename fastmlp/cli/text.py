"""Texts, counts and tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

__all__ = ["counted", "one_line", "option_text", "spread", "table"]


def one_line(text: str) -> str:
    """Return the text on one line, with control characters escaped."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number with its noun: ``1 sample``, ``2,000 samples``."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def option_text(value: Any) -> str:
    """Return the value of an option as it is written on the command line; of one that is not given, "default"."""
    if value is None:
        return "default"
    if isinstance(value, (list, tuple)):
        return ",".join(map(option_text, value)) or "none"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else f"{value}"


def spread(values: Sequence[float], form: str = ".4f") -> str:
    """Return the mean of the values, with their standard deviation if there are several; "-" without any."""
    if not values:
        return "-"
    return f"{mean(values):{form}}" + (f" ± {stdev(values):{form}}" if len(values) > 1 and form != "g" else "")


def table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Format rows as aligned columns, the first `left` ones left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    signs = ["<"] * left + [">"] * (len(widths) - left)
    lines = [[f"{cell:{s}{w}}" for cell, s, w in zip(row, signs, widths, strict=True)] for row in rows]
    return "\n".join(f"  {'  '.join(line)}".rstrip() for line in lines)
