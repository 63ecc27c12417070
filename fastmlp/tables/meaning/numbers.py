"""The kinds of columns with a numeric dtype."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from fastmlp.tables.frames import polars_module
from fastmlp.tables.meaning.kind import Kind, category, refuse
from fastmlp.tables.meaning.missing import matrix_of, present
from fastmlp.tables.meaning.suspicious_values import number_notes
from fastmlp.tables.table import Table

if TYPE_CHECKING:
    import polars

__all__ = ["number_kinds"]

_LARGEST_EXACT = 2**53  # float64 represents all whole numbers up to here


def number_kinds(
    table: Table, columns: Sequence[polars.Series], marks: Collection[str], notes: list[str]
) -> dict[str, Kind]:
    """Return the kinds of numeric columns (N,) of a table by name; `marks` and `notes` as in `Reader`.

    Raises
    ------
    InputError : an infinite number, or too many categories.
    """
    numbers = matrix_of(columns, marks)
    missing = np.isnan(numbers).sum(axis=1).tolist()
    lowest, highest = np.fmin.reduce(numbers, axis=1).tolist(), np.fmax.reduce(numbers, axis=1).tolist()
    kinds = {}
    for column, values, count, low, high in zip(columns, numbers, missing, lowest, highest, strict=True):
        name = column.name
        if count == len(table):
            kind = Kind(name, "empty", count)
        elif not (isfinite(low) and isfinite(high)):
            remedy = "or say that it stands for no value (also_missing)"
            refuse(table, column, np.isinf(values), "a finite number", remedy)
        elif max(-low, high) > _LARGEST_EXACT and column.dtype.is_integer():
            kind = _codes(column, marks)
        elif low == high and not count:
            kind = Kind(name, "constant", count)
        else:
            kind = Kind(name, "number", count)
            notes += number_notes(name, values, low, high)
        kinds[name] = kind
    return kinds


def _codes(column: polars.Series, marks: Collection[str]) -> Kind:
    """The kind of whole numbers too long for float64, which are codes rather than quantities."""
    labels = present(column, marks).cast(polars_module().String)
    return category(column.name, labels.null_count(), labels.drop_nulls().unique().to_list(), labels.count())
