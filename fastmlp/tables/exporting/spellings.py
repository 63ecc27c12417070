"""Texts that a column of categories takes for each of its categories, for programs that compare texts alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from fastmlp.tables.encoding.columns import CategoryColumn
from fastmlp.tables.meaning.labels import code_of

__all__ = ["codes_by_text", "number_of"]


def codes_by_text(column: CategoryColumn, marks: Sequence[str]) -> dict[str, int]:
    """Return the number of the category by each text that stands for it, or for no value.

    A number is known as 1 and as 1.0, a truth value in lower case, upper case, and as Python writes it. Other texts
    that `CategoryColumn` takes for the same number, such as 1.00, are not among them.

    Parameters
    ----------
    column : the categories.
    marks : texts that stand for no value, beside the empty one.
    """
    absent = len(column.categories) if column.has_missing else column.fill
    codes = {spelling: absent for mark in ("", *marks) for spelling in _spellings(mark)}
    for label in column.categories:
        for spelling in _spellings(label):
            code = code_of(spelling, column.index)
            if code >= 0:
                codes.setdefault(spelling, code)
    return codes


def _spellings(text: str) -> Iterator[str]:
    yield text
    if text.lower() in ("true", "false"):
        yield from (text.lower(), text.upper(), text.capitalize())
    number = number_of(text)
    if number.is_integer() and abs(number) < 1e15:
        yield from (str(int(number)), f"{int(number)}.0")


def number_of(text: str) -> float:
    """The number that a text is; NaN for any other text."""
    try:
        return float(text)
    except ValueError:
        return math.nan
