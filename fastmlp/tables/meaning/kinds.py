"""What the columns of a table hold, found from all of its rows."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.ahead import in_chunks, mapped
from fastmlp.tables.frames import polars_module
from fastmlp.tables.meaning.missing import matrix_of, present
from fastmlp.tables.meaning.moments import formats_of, nearly_moments
from fastmlp.tables.meaning.notation import Notation, are_infinite, is_ambiguous, nearly_numbers, notations_of, units_in
from fastmlp.tables.meaning.suspicions import counts_rows, mark_among
from fastmlp.tables.repeats import as_texts
from fastmlp.tables.table import Table
from fastmlp.tables.text import listed

if TYPE_CHECKING:
    import polars

__all__ = ["Kind", "decimal_of", "find_kinds", "notation_of", "refuse"]

_MOST_CATEGORIES = 1000  # that are taken unasked
_FEW = 20  # different values that are no reason to suspect anything
_NEARLY = 0.9  # of the values; so many numbers are no categories
_SOMEWHAT = 0.3  # of the values; so many numbers are worth a word
_SAID = {"identifier": "left out", "category": "taken for categories"}
_CODE = "^[0-9]{16,}$"


@dataclass(frozen=True)
class Kind:
    """What a column holds.

    Attributes
    ----------
    name : of the column.
    kind : "number", "moment", "category"; or what is left out: "identifier", "constant", "empty".
    missing : how many of the N values are.
    distinct : how many different values there are; 0 for numbers and moments.
    notation, form : how texts are read as numbers, or as moments.
    """

    name: str
    kind: str
    missing: int
    distinct: int = 0
    notation: Notation = field(default_factory=Notation)
    form: str = ""

    @property
    def is_used(self) -> bool:
        return self.kind in ("number", "moment", "category")


def find_kinds(
    table: Table,
    names: Sequence[str],
    *,
    marks: Collection[str],
    categorical: Collection[str] = (),
    decimal: str,
    notes: list[str],
) -> list[Kind]:
    """Find what columns of a table hold.

    Parameters
    ----------
    table : N rows.
    names : of the columns.
    marks : texts that stand for no value.
    categorical : names of the columns that hold categories, whatever it looks like.
    decimal : mark of numbers that could have either one.
    notes : takes what should be said.

    Raises
    ------
    InputError : a type that cannot be used, or a column whose values are nearly all numbers, or moments.
    """
    chosen = set(categorical)

    def of_numbers(chunk: Sequence[str]) -> tuple[dict[str, Kind], list[str]]:
        said: list[str] = []
        return _numeric_kinds(table, table.columns(chunk), marks, said), said

    def of_others(name: str) -> tuple[dict[str, Kind], list[str]]:
        said: list[str] = []
        return {name: _other_kind(table, table.column(name), marks, name in chosen, decimal, said)}, said

    numeric = {name for name, kind in table.types.items() if kind.is_numeric()} - chosen
    found: dict[str, Kind] = {}
    for kinds, said in chain(
        mapped(of_numbers, in_chunks([name for name in names if name in numeric], len(table))),
        mapped(of_others, [name for name in names if name not in numeric]),
    ):
        found |= kinds
        notes += said
    return [found[name] for name in names]


def decimal_of(table: Table, marks: Collection[str]) -> str:
    """Give the decimal mark of a table: the comma if the numbers of a column can only be read with it."""
    pl = polars_module()
    for name in [name for name, kind in table.types.items() if isinstance(kind, (pl.String, pl.Enum))]:
        notations = notations_of(as_texts(present(table.column(name), marks).drop_nulls().unique()))
        if [notation.decimal for notation in notations] == [","]:
            return ","
    return "."


def notation_of(distinct: Any, decimal: str, notes: list[str]) -> Notation | None:
    """Give the notation by which all of N distinct texts are numbers, None if there is none; say what was decided."""
    notations = notations_of(distinct)
    if not notations:
        return None
    notation = next((n for n in notations if n.decimal == decimal), notations[0])
    example = is_ambiguous(distinct) if len(notations) > 1 else None
    if example is not None and ("," in example or decimal == ","):
        number = notation.read(polars_module().Series([example]))[0]
        notes.append(f"column {distinct.name!r}: {example!r} is read as {number:.10g}; --decimal decides otherwise")
    return notation


def refuse(table: Table, values: polars.Series, odd: Any, what: str) -> None:
    """InputError about the first of N values for which `odd` (N,) is true."""
    row = int(np.flatnonzero(np.asarray(odd))[0])
    raise InputError(
        f"Column {values.name!r} holds {values[row]!r} in {table.place(row)}, which is not {what}. Correct it; or list "
        "it in missing_values, the column in categorical or drop_columns; or, for a target, pass task='classification'."
    )


def _numeric_kinds(
    table: Table, columns: Sequence[polars.Series], marks: Collection[str], notes: list[str]
) -> dict[str, Kind]:
    numbers = matrix_of(columns, marks)
    missing = np.isnan(numbers).sum(axis=1).tolist()
    lowest, highest = np.fmin.reduce(numbers, axis=1).tolist(), np.fmax.reduce(numbers, axis=1).tolist()
    kinds = {}
    for column, values, count, low, high in zip(columns, numbers, missing, lowest, highest, strict=True):
        name, kind = column.name, "number"
        if count == len(table):
            kind = "empty"
        elif not (math.isfinite(low) and math.isfinite(high)):
            refuse(table, column, np.isinf(values), "a finite number")
        elif low == high and not count:
            kind = "constant"
        kinds[name] = Kind(name, kind, count)
        if kind == "number":
            mark = mark_among(values, low, high)
            if mark is not None:
                times = int((values == mark).sum())
                notes.append(
                    f"column {name!r} is {mark:g} in {times:,} rows, far from its other numbers; if that stands "
                    f"for a missing value, say so by --missing-values {mark:g}"
                )
            if counts_rows(values):
                notes.append(f"column {name!r} numbers the rows; --drop-columns leaves it out")
    return kinds


def _other_kind(
    table: Table, column: polars.Series, marks: Collection[str], is_category: bool, decimal: str, notes: list[str]
) -> Kind:
    """The kind of a column of another type than numbers, or of one that holds categories in any case."""
    pl = polars_module()
    if is_category or column.dtype == pl.Boolean:
        values = present(column, marks)
        return _category(column.name, values.null_count(), values.drop_nulls().n_unique())
    if isinstance(column.dtype, (pl.String, pl.Enum)):
        return _text_kind(table, present(column, marks), decimal, notes)
    if column.dtype.is_temporal() and column.dtype != pl.Duration:
        return _moment(column, "")
    raise InputError(
        f"Column {column.name!r} is of the type {column.dtype}, which cannot be encoded. List it in drop_columns."
    )


def _text_kind(table: Table, values: Any, decimal: str, notes: list[str]) -> Kind:
    """The kind of N texts, nulls where they are missing."""
    name, missing = values.name, values.null_count()
    if missing == len(values):
        return Kind(name, "empty", missing)
    counts = values.drop_nulls().value_counts()
    distinct, rows = as_texts(counts.to_series(0)), len(values) - missing
    if distinct.str.contains(_CODE).all():  # whole numbers of more digits than float64 tells apart
        return _category(name, missing, len(distinct), rows, distinct.min())
    notation = notation_of(distinct, decimal, notes)
    if notation is not None:
        kind = "constant" if len(distinct) == 1 and not missing else "number"
        return Kind(name, kind, missing, notation=notation)
    forms = formats_of(distinct)
    if forms:
        form = forms[-1] if decimal == "," else forms[0]
        if len(forms) > 1:
            which = "the day" if form.startswith("%d") else "the month"
            notes.append(f"column {name!r}: the first number of {distinct.min()!r} is taken for {which}")
        kind = "constant" if len(distinct) == 1 and not missing else "moment"
        return Kind(name, kind, missing, form=form)
    units = units_in(distinct)
    if len(units) > 1:
        raise InputError(
            f"Column {name!r} holds numbers in several units: {listed(unit or 'none' for unit in units)}. Convert them "
            "to one, or list the column in categorical or drop_columns."
        )
    category = _category(name, missing, len(distinct), rows, distinct.min())
    for readable, what in ((nearly_numbers(distinct), "a finite number"), (nearly_moments(distinct), "a date or time")):
        share = counts.filter(readable).to_series(1).sum() / rows
        odd = distinct.filter(~readable)
        if (share >= _NEARLY and int(readable.sum()) > _FEW) or (readable.any() and are_infinite(odd)):
            refuse(table, values, as_texts(values).is_in(odd.implode()).fill_null(False), f"{what}, as others are")
        if share >= _SOMEWHAT and int(readable.sum()) > _FEW and len(odd):
            notes.append(
                f"column {name!r} is {_SAID[category.kind]}, though {100 * share:.0f} % of its values are each {what}: "
                f"{listed(odd.sort()[:3])} is not; --missing-values may say what it is"
            )
    return category


def _category(name: str, missing: int, distinct: int, rows: int = 0, example: Any = None) -> Kind:
    """The kind of texts; of categories that are named as such if `rows` is 0."""
    if rows and distinct > max(_FEW, rows // 2):
        return Kind(name, "identifier", missing, distinct)
    if rows and distinct > _MOST_CATEGORIES:
        raise InputError(
            f"Column {name!r} holds {example!r}, which is not a number, and {distinct} different values, more than the "
            f"{_MOST_CATEGORIES} that are taken for categories unasked. List {example!r} in missing_values, or the "
            "column in drop_columns or categorical."
        )
    kind = "empty" if not distinct else "constant" if distinct == 1 and not missing else "category"
    return Kind(name, kind, missing, distinct)


def _moment(column: polars.Series, form: str) -> Kind:
    missing, distinct = column.null_count(), column.drop_nulls().n_unique()
    kind = "empty" if not distinct else "constant" if distinct == 1 and not missing else "moment"
    return Kind(column.name, kind, missing, form="%H:%M" if column.dtype == polars_module().Time else form)
