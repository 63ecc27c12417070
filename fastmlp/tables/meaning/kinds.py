"""What the columns of a table hold, found from all of its rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fastmlp.errors import InputError
from fastmlp.tables.frames import polars_module
from fastmlp.tables.meaning.kind import Kind, category
from fastmlp.tables.meaning.labels import labels_of
from fastmlp.tables.meaning.missing import array_of, present
from fastmlp.tables.meaning.moments import seconds_of
from fastmlp.tables.meaning.notation import notations_of
from fastmlp.tables.meaning.numbers import number_kinds
from fastmlp.tables.meaning.suspicions import far_end
from fastmlp.tables.meaning.texts import Reader
from fastmlp.tables.table import Table

if TYPE_CHECKING:
    import polars

__all__ = ["decimal_of", "find_kinds", "in_chunks"]

_CHUNK = 1 << 21  # numbers of several columns that are looked at together


def find_kinds(reader: Reader, names: Sequence[str], categorical: Collection[str] = ()) -> list[Kind]:
    """Find what columns of a table hold.

    Parameters
    ----------
    reader : of the texts of the table, which takes the notes.
    names : of the columns.
    categorical : names of the columns that hold categories, whatever it looks like.

    Raises
    ------
    InputError : a type that cannot be used, or a column whose values are nearly all numbers, or moments.
    """
    pl = polars_module()
    table, marks = reader.table, reader.marks
    found: dict[str, Kind] = {}
    columns = {column.name: column for column in table.frame.get_columns()}
    chosen = set(categorical)
    numeric = [columns[name] for name in names if name not in chosen and columns[name].dtype.is_numeric()]
    for chunk in in_chunks(numeric, len(table)):
        found |= number_kinds(table, chunk, marks, reader.notes)
    for name in names:
        column = columns[name]
        if name in found:
            continue
        if column.dtype == pl.Null:
            found[name] = Kind(name, "empty", len(column))
        elif name in chosen or column.dtype == pl.Boolean:
            labels = labels_of(present(column, marks))
            found[name] = category(name, labels.null_count(), labels.drop_nulls().unique().to_list())
        elif column.dtype == pl.String:
            found[name] = reader.kind(column)
        elif column.dtype.is_temporal() and column.dtype != pl.Duration:
            found[name] = _moment(column, reader.notes)
        else:
            raise InputError(
                f"Column {name!r} is of the type {column.dtype}, which cannot be encoded. Convert it, or leave it out "
                "(drop_columns)."
            )
    return [found[name] for name in names]


def in_chunks(columns: Sequence[Any], rows: int) -> Iterator[Sequence[Any]]:
    """Yield a few columns at a time, so that a copy of them as a matrix is small."""
    step = max(1, _CHUNK // max(1, rows))
    for start in range(0, len(columns), step):
        yield columns[start : start + step]


def decimal_of(table: Table, marks: Collection[str]) -> str:
    """Give the decimal mark of a table.

    It is the one that the numbers of a column can only be read with; where nothing tells, the comma if the semicolon
    stands between fields, as it does where the comma is taken.
    """
    pl = polars_module()
    seen = set()
    for column in table.frame.select(pl.col(pl.String)).get_columns():
        notations = notations_of(present(column, marks).drop_nulls().unique())
        if len(notations) == 1:
            seen.add(notations[0].decimal)
    if "," in seen:
        return ","
    floats = table.frame.select(pl.col(pl.Float64))
    if "." in seen or table.layout is None or table.layout.delimiter != ";" or not _are_whole(floats):
        return "."
    return ","


def _are_whole(floats: polars.DataFrame) -> bool:
    """Whether all numbers are whole: with a fraction, they have been read by a decimal point."""
    pl = polars_module()
    return all(floats.select((pl.all() == pl.all().round()).all()).row(0)) if floats.width else True


def _moment(column: polars.Series, notes: list[str]) -> Kind:
    """The kind of a column of the type of dates or times."""
    missing, distinct = column.null_count(), column.drop_nulls().n_unique()
    kind = "empty" if not distinct else "constant" if distinct == 1 and not missing else "moment"
    if kind == "moment":
        end = far_end(array_of(seconds_of(column)))
        if end is not None:
            text = column.filter(seconds_of(column) == end)[0]
            notes.append(f"column {column.name!r} is {text} in several rows, far from its other dates")
    return Kind(column.name, kind, missing, form=_written(column.dtype))


def _written(dtype: Any) -> str:
    """How a text file will have dates or times of a type."""
    pl = polars_module()
    if dtype == pl.Time:
        return "%H:%M"
    if dtype == pl.Date:
        return "%Y-%m-%d"
    zone = "%#z" if dtype.time_zone else ""
    return f"%Y-%m-%d %H:%M:%S%.f{zone}|%Y-%m-%dT%H:%M:%S%.f{zone}|%Y-%m-%d"
