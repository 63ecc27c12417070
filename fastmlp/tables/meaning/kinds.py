"""The kinds of the columns of a table, inferred from all rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from fastmlp.errors import InputError
from fastmlp.tables.dictionary_encoding import as_texts
from fastmlp.tables.frames import polars_module
from fastmlp.tables.meaning.kind import Kind, category
from fastmlp.tables.meaning.labels import labels_of
from fastmlp.tables.meaning.missing import array_of, present
from fastmlp.tables.meaning.moments import seconds_of
from fastmlp.tables.meaning.notation import notations_of
from fastmlp.tables.meaning.numbers import number_kinds
from fastmlp.tables.meaning.suspicious_values import far_end
from fastmlp.tables.meaning.texts import Reader
from fastmlp.tables.parallel import column_chunks, parallel_map
from fastmlp.tables.table import Table

if TYPE_CHECKING:
    import polars

__all__ = ["decimal_of", "find_kinds"]


def find_kinds(reader: Reader, names: Sequence[str], categorical: Collection[str] = ()) -> list[Kind]:
    """Infer what columns of a table hold.

    Parameters
    ----------
    reader : of the table's texts; messages for the user are added to its notes.
    names : of the columns.
    categorical : names of columns that hold categories whatever they look like.

    Raises
    ------
    InputError : a column of a type that cannot be used, or one whose values are nearly all numbers or dates.
    """
    table, chosen = reader.table, set(categorical)

    # Each task returns its own notes, so that they end up in the order of the columns.
    def of_numbers(chunk: Sequence[str]) -> tuple[dict[str, Kind], list[str]]:
        notes: list[str] = []
        return number_kinds(table, table.columns(chunk), reader.marks, notes), notes

    def of_others(name: str) -> tuple[dict[str, Kind], list[str]]:
        own = replace(reader, notes=[])
        return {name: _other_kind(own, table.column(name), name in chosen)}, own.notes

    numeric = {name for name, kind in table.types.items() if kind.is_numeric()} - chosen
    found: dict[str, Kind] = {}
    for kinds, notes in chain(
        parallel_map(of_numbers, column_chunks([name for name in names if name in numeric], len(table))),
        parallel_map(of_others, [name for name in names if name not in numeric]),
    ):
        found |= kinds
        reader.notes.extend(notes)
    return [found[name] for name in names]


def decimal_of(table: Table, marks: Collection[str]) -> str:
    """Return the decimal mark of a table, "." or ",".

    A column whose numbers can be read with only one mark decides. If there is none, the mark is the comma where the
    delimiter is the semicolon, as in files of countries with a decimal comma.
    """
    pl = polars_module()
    seen = set()
    for name in [name for name, kind in table.types.items() if isinstance(kind, (pl.String, pl.Enum))]:
        notations = notations_of(as_texts(present(table.column(name), marks).drop_nulls().unique()))
        if len(notations) == 1:
            seen.add(notations[0].decimal)
    if "," in seen:
        return ","
    if "." in seen or table.layout is None or table.layout.delimiter != ";":
        return "."
    # A fraction among the numbers that were read as Float64 was written with a decimal point.
    floats = (table.column(name) for name, kind in table.types.items() if kind == pl.Float64)
    return "." if any((column != column.round()).any() for column in floats) else ","


def _other_kind(reader: Reader, column: polars.Series, is_chosen: bool) -> Kind:
    """The kind of a column that has no numeric type, or that the user names as categorical."""
    pl = polars_module()
    if column.dtype == pl.Null:
        return Kind(column.name, "empty", len(column))
    if is_chosen or column.dtype == pl.Boolean:
        labels = labels_of(present(column, reader.marks))
        return category(column.name, labels.null_count(), labels.drop_nulls().unique().to_list())
    if isinstance(column.dtype, (pl.String, pl.Enum)):
        return reader.kind(column)
    if column.dtype.is_temporal() and column.dtype != pl.Duration:
        return _moment(column, reader.notes)
    raise InputError(
        f"Column {column.name!r} is of the type {column.dtype}, which cannot be encoded. Convert it, or leave it out "
        "(drop_columns)."
    )


def _moment(column: polars.Series, notes: list[str]) -> Kind:
    """The kind of a column with a temporal dtype."""
    missing, distinct = column.null_count(), column.drop_nulls().n_unique()
    kind = "empty" if not distinct else "constant" if distinct == 1 and not missing else "moment"
    if kind == "moment":
        end = far_end(array_of(seconds_of(column)))
        if end is not None:
            text = column.filter(seconds_of(column) == end)[0]
            notes.append(f"column {column.name!r} is {text} in several rows, far from its other dates")
    return Kind(column.name, kind, missing, form=_written(column.dtype))


def _written(dtype: Any) -> str:
    """The format in which a text file is expected to hold dates or times of this dtype."""
    pl = polars_module()
    if dtype == pl.Time:
        return "%H:%M"
    if dtype == pl.Date:
        return "%Y-%m-%d"
    zone = "%#z" if dtype.time_zone else ""
    return f"%Y-%m-%d %H:%M:%S%.f{zone}|%Y-%m-%dT%H:%M:%S%.f{zone}|%Y-%m-%d"
