"""Whether a target column holds classes or numbers, decided by all rows of the table."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.encoding.columns import numbers_from
from fastmlp.tables.encoding.targets import ClassTarget, NumberTarget, Target, stripped
from fastmlp.tables.frames import polars_module
from fastmlp.tables.meaning.kinds import notation_of, refuse
from fastmlp.tables.meaning.labels import label_counts, labels_of, sort_labels
from fastmlp.tables.meaning.missing import MISSING_VALUES, present
from fastmlp.tables.meaning.notation import Notation, are_infinite, nearly_numbers
from fastmlp.tables.table import Table

__all__ = ["TASKS", "find_target"]

TASKS = ("auto", "classification", "regression")
_MOST_INTEGER_CLASSES = 20
_CLASS_SHARE = 0.05  # of the rows; a mark of a missing value that is more frequent, and in five rows, is a class
_NEARLY = 0.9


def find_target(
    table: Table, name: str, *, task: str, marks: Collection[str], strip_label: str, decimal: str, notes: list[str]
) -> Target:
    """Find what is to be predicted.

    Parameters
    ----------
    table : N rows.
    name : of the target column.
    task : "classification", "regression", or "auto": classification where a value is not a number, and where all are
        at most 20 different whole numbers that are repeated.
    marks : texts that stand for no value. If they are `MISSING_VALUES`, one in 5 % of the rows or more is a class.
    strip_label : characters to drop at the end of a text.
    decimal : mark of numbers that could have either one.
    notes : takes what should be said.

    Raises
    ------
    InputError : no value at all; for numbers, a value that is not one; for classes unasked, nearly as many as rows,
        or values that are nearly all numbers.
    """
    pl = polars_module()
    whole = stripped(table.column(name), strip_label)
    values = present(whole, marks)
    distinct = values.drop_nulls().unique()
    if not len(distinct):
        raise InputError(f"The target {name!r} holds no value in {len(table)} rows. Choose another one.")
    notation = _notation(distinct, decimal, notes)
    if task == "regression" or (task == "auto" and notation is not None and not _are_classes(values, notation)):
        target = NumberTarget(name, 0.0, 1.0, strip_label, notation or Notation(decimal))
        odd = ~np.isfinite(numbers_from(values, target.notation)) & values.is_not_null().to_numpy()
        if odd.any():
            refuse(table, values, odd, "a finite number")
        return target
    if task == "auto" and notation is None:
        _check_texts(table, values)
    counts = whole.value_counts() if whole.dtype == pl.String else None
    # Who lists the marks knows them.
    may_be_classes = counts is not None and tuple(marks) == MISSING_VALUES
    frequent = _frequent_marks(counts, set(marks) - {""}, len(table)) if may_be_classes else []
    for mark in frequent:
        notes.append(f"the target {name!r} is {mark!r} in so many rows that it is taken for a class")
    labels = label_counts(labels_of(present(whole, set(marks) - set(frequent))))
    return ClassTarget(name, sort_labels(labels), strip_label)


def _notation(distinct: Any, decimal: str, notes: list[str]) -> Notation | None:
    """How distinct values are read as numbers; None where they are none."""
    if distinct.dtype.is_numeric():
        return Notation(decimal)
    return notation_of(distinct, decimal, notes) if distinct.dtype == polars_module().String else None


def _are_classes(values: Any, notation: Notation) -> bool:
    numbers = numbers_from(values.drop_nulls(), notation)
    distinct = np.unique(numbers)
    few = len(distinct) <= _MOST_INTEGER_CLASSES and bool((distinct == np.round(distinct)).all())
    # Numbers of which hardly any comes twice are measured, not classes.
    return few and (len(distinct) <= 10 or 2 * len(distinct) <= len(numbers))


def _check_texts(table: Table, values: Any) -> None:
    """Refuse classes that nobody can have meant."""
    pl = polars_module()
    if values.dtype != pl.String:
        return
    counts = values.drop_nulls().value_counts()
    distinct, rows = counts.to_series(0), len(values) - values.null_count()
    readable = nearly_numbers(distinct)
    share = counts.filter(readable).to_series(1).sum() / rows
    odd = distinct.filter(~readable)
    if (share >= _NEARLY and int(readable.sum()) > _MOST_INTEGER_CLASSES) or (readable.any() and are_infinite(odd)):
        refuse(table, values, values.is_in(odd.implode()).fill_null(False), "a finite number, as others are")
    if len(distinct) > max(_MOST_INTEGER_CLASSES, rows // 2):
        raise InputError(
            f"The target {values.name!r} holds {len(distinct):,} different texts in {rows:,} rows, such as "
            f"{distinct.min()!r}, too many for classes. Choose another target, or say what it is: "
            "task='classification' or task='regression'."
        )


def _frequent_marks(counts: Any, marks: Collection[str], rows: int) -> list[str]:
    return sorted(text for text, count in counts.iter_rows() if text in marks and count >= max(5, _CLASS_SHARE * rows))
