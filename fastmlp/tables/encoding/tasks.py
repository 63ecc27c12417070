"""The task of a target column: classes or numbers, inferred from all rows of the table."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.encoding.columns import numbers_from
from fastmlp.tables.encoding.targets import ClassTarget, NumberTarget, Target, stripped
from fastmlp.tables.frames import polars_module
from fastmlp.tables.meaning.kind import FEW, refuse
from fastmlp.tables.meaning.labels import label_counts, labels_of, sort_labels
from fastmlp.tables.meaning.missing import MISSING_VALUES, present
from fastmlp.tables.meaning.notation import Notation
from fastmlp.tables.meaning.suspicious_values import number_notes
from fastmlp.tables.meaning.texts import Reader, label_notes

__all__ = ["TASKS", "find_target"]

TASKS = ("auto", "classification", "regression")
_MOST_INTEGER_CLASSES = 20
_CLASS_SHARE = 0.05  # of the rows; a missing-value marker that is as frequent, and in five rows or more, is a class


def find_target(reader: Reader, name: str, *, task: str, certain: Collection[str], strip_label: str) -> Target:
    """Return the target of a column, not yet standardised.

    Parameters
    ----------
    reader : of the table's texts; messages for the user are added to its notes.
    name : of the target column.
    task : "classification", "regression", or "auto": classification if a value is not a number, or if all are at most
        20 different whole numbers that are repeated.
    certain : missing-value markers that are never classes; any other one in at least 5 % of the rows is a class.
    strip_label : characters to strip from the end of a text.

    Raises
    ------
    InputError : no values, or equal numbers; for a regression, a value that is not a number; for "auto", nearly as many
        classes as rows, or classes that are nearly all numbers or look like numbers.
    """
    table, notes = reader.table, reader.notes
    whole = stripped(table.column(name), strip_label)
    values = present(whole, reader.marks)
    distinct = values.drop_nulls().unique()
    if not len(distinct):
        raise InputError(f"The target {name!r} holds no value in {len(table)} rows. Choose another one.")
    notation = _notation(reader, distinct, task)
    if notation is not None:
        values = present(whole, reader.marks, notation)
    if task == "regression" or (task == "auto" and notation is not None and not _are_classes(values, notation)):
        target = NumberTarget(name, 0.0, 1.0, strip_label, notation or Notation(reader.decimal))
        numbers = numbers_from(values, target.notation)
        odd = ~np.isfinite(numbers) & values.is_not_null().to_numpy()
        if odd.any():
            remedy = "or say that it stands for no value (also_missing), or that the target holds classes (task)"
            refuse(table, values, odd, "a finite number", remedy)
        low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
        if low == high:
            raise InputError(f"The target {name!r} is {low:g} in each row: there is nothing to learn. Choose another.")
        notes += [note.replace("column", "the target", 1) for note in number_notes(name, numbers, low, high)]
        return target
    if task == "auto" and notation is None:
        _check_labels(reader, values)
    counts = whole.value_counts() if whole.dtype == polars_module().String else None
    frequent = [] if counts is None else _frequent_marks(counts, set(MISSING_VALUES) - {"", *certain}, len(table))
    for mark in frequent:
        notes.append(
            f"the target {name!r} is {mark!r} in so many rows that it is taken for a class; --also-missing={mark} "
            "decides otherwise"
        )
    labels = label_counts(labels_of(present(whole, set(reader.marks) - set(frequent))))
    notes += label_notes(f"the target {name!r}", [*labels])
    return ClassTarget(name, sort_labels(labels), strip_label)


def _notation(reader: Reader, distinct: Any, task: str) -> Notation | None:
    """The notation in which distinct values are numbers; None if they are not."""
    if distinct.dtype.is_numeric():
        return Notation(reader.decimal)
    if distinct.dtype != polars_module().String or (task == "auto" and reader.are_codes(distinct)):
        return None
    return reader.notation(distinct)


def _are_classes(values: Any, notation: Notation) -> bool:
    numbers = numbers_from(values.drop_nulls(), notation)
    distinct = np.unique(numbers)
    few = len(distinct) <= _MOST_INTEGER_CLASSES and bool((distinct == np.round(distinct)).all())
    # Numbers that are hardly ever repeated are measurements, not classes.
    return few and (len(distinct) <= 10 or 2 * len(distinct) <= len(numbers))


def _check_labels(reader: Reader, values: Any) -> None:
    """Refuse values that are implausible as classes."""
    counts = labels_of(values.drop_nulls()).value_counts()
    distinct, rows = counts.to_series(0), len(values) - values.null_count()
    name = values.name
    choice = "Choose another target, or say what it is: task='classification' or task='regression'."
    if values.dtype == polars_module().String:
        if reader.refuse_mixture(values, counts, f"the target {name!r}", "taken for classes"):
            return
        like = reader.likeness(distinct) if len(distinct) > FEW else ""
        if like:
            raise InputError(
                f"The target {name!r} holds {len(distinct):,} different texts that begin like numbers or dates: "
                f"{like}. Write them as numbers if they are. {choice}"
            )
    if len(distinct) > max(FEW, rows // 2):
        raise InputError(
            f"The target {name!r} holds {len(distinct):,} different texts in {rows:,} rows, such as "
            f"{distinct.min()!r}, too many for classes. {choice}"
        )


def _frequent_marks(counts: Any, marks: Collection[str], rows: int) -> list[str]:
    return sorted(text for text, count in counts.iter_rows() if text in marks and count >= max(5, _CLASS_SHARE * rows))
