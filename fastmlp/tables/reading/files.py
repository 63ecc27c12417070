"""Reading tables from CSV, Parquet and Arrow files, whole or in batches."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from fastmlp.errors import InputError
from fastmlp.progress import passing
from fastmlp.tables.frames import polars_module, readable, stripped_texts
from fastmlp.tables.meaning.missing import MISSING_VALUES, present
from fastmlp.tables.meaning.moments import formats_of
from fastmlp.tables.meaning.notation import DECIMALS, are_numbers, notations_of
from fastmlp.tables.parallel import parallel_map
from fastmlp.tables.reading.columns import PLAIN_NUMBER, Columns
from fastmlp.tables.reading.records import Layout, blocks, find_layout
from fastmlp.tables.reading.source import text_length
from fastmlp.tables.storage import Storage
from fastmlp.tables.table import Table
from fastmlp.tables.text import listed

if TYPE_CHECKING:
    import polars

__all__ = ["read_table", "table_batches"]

_MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow"}
_THOUSANDS = (",", ".", " ", "'")


def read_table(
    path: str | os.PathLike[str],
    *,
    header: bool = True,
    delimiter: str | None = None,
    skip_lines: int = 0,
    encoding: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    columns: Sequence[str] | None = None,
    missing_values: Collection[str] = MISSING_VALUES,
    storage: Storage | None = None,
    progress: bool | None = None,
) -> Table:
    """Read a table: CSV, compressed by gzip or Zstandard or not, Parquet, or Arrow (Feather).

    In CSV, spaces around a field and blank lines are dropped. A field in double quotes may hold the delimiter, line
    ends and doubled quotes. An unnamed first column of row numbers and an unnamed last column without values are
    dropped, and `notes` say so; other unnamed columns are called column0, column1, …

    Parameters
    ----------
    path : path
        The file to read.
    header : bool
        Whether the first row names the columns; if not, they are column0, column1, …
    delimiter : str, optional
        The character between fields; by default whichever of comma, semicolon, tab and vertical bar fits most rows.
    skip_lines : int
        Number of lines to skip at the start of the file.
    encoding : str, optional
        Of the text, such as "cp1252"; by default UTF-8, or the encoding of the byte order mark.
    decimal : {".", ","}, optional
        The decimal mark; by default inferred from the numbers.
    thousands : {",", ".", " ", "'"}, optional
        The thousands separator; by default inferred.
    columns : sequence of str, optional
        Names of the columns to read; by default all.
    missing_values : collection of str
        Texts that mark a missing value, besides an empty field.
    storage : Storage, optional
        Memory limit and temporary files of the table; by default a third of the free memory, then disk.
    progress : bool, optional
        Show a bar while a CSV file is read for longer than a second; by default on a terminal only.

    Raises
    ------
    InputError
        If the file does not exist, has another encoding or format, no rows, rows of different lengths, bad quoting or
        repeated column names, or if an option is out of range.
    """
    _check_options(delimiter, skip_lines, decimal, thousands)
    storage, kind = storage or Storage(), _kind(path)
    if kind != "csv":
        return _read_binary(path, kind, columns, storage)
    layout, records = find_layout(path, header=header, delimiter=delimiter, skip_lines=skip_lines, encoding=encoding)
    names, notes = _names(layout)
    mark = "," if thousands == "." else decimal
    how = Columns.of(layout, records, names, _kept(names, columns), missing_values, mark)
    frame, doubtful = _read_records(how, storage, progress)
    if doubtful:
        storage.clear()
        how = how.as_texts(doubtful)
        frame, _ = _read_records(how, storage, progress)
        fractions = _misread(Table(frame, layout), doubtful, how.numbers, missing_values) if decimal is None else []
        if fractions:
            storage.clear()
            frame, _ = _read_records(how.as_texts(fractions), storage, progress)
    table, dropped = _without_unnamed(Table(frame, layout, storage=storage), layout, names)
    return replace(table, notes=(*notes, *dropped))


def table_batches(
    path: str | os.PathLike[str],
    *,
    header: bool = True,
    delimiter: str | None = None,
    skip_lines: int = 0,
    encoding: str | None = None,
    decimal: str | None = None,
    missing_values: Collection[str] = MISSING_VALUES,
    as_text: Collection[str] = (),
    rows: int = 1 << 16,
) -> Iterator[Table]:
    """Yield the table that `read_table` reads in batches, with memory use independent of the size of the file.

    A column of a CSV file may hold numbers in one batch and text in another. Unnamed columns are kept.

    Parameters
    ----------
    path, header, delimiter, skip_lines, encoding, decimal, missing_values : optional
        As in `read_table`.
    as_text : collection of str
        Names of columns of a CSV file that are always read as text.
    rows : int
        Most rows of a batch.

    Yields
    ------
    Table
        The next batch.
    """
    _check_options(delimiter, skip_lines, decimal, None)
    kind = _kind(path)
    if kind != "csv":
        table = _with_rows(Table(_scanned(path, kind, None)), path)
        yield from (part for _, part in table.parts(rows=rows))
        return
    layout, records = find_layout(path, header=header, delimiter=delimiter, skip_lines=skip_lines, encoding=encoding)
    names, _ = _names(layout)
    how = Columns.of(layout, records, names, names, missing_values, decimal).as_texts(as_text)
    first = 0
    for frame in parallel_map(how.read_certain, blocks(layout)):
        yield from (part for _, part in Table(frame, layout, first).parts(rows=rows))
        first += frame.height


def _read_records(
    how: Columns, storage: Storage, progress: bool | None
) -> tuple[polars.DataFrame | polars.LazyFrame, set[str]]:
    """All rows, and the columns that must be read again as texts; if there are any, the rows are incomplete."""
    doubtful = set[str]()

    def frames() -> Generator[polars.DataFrame, None, None]:
        rows = passing(blocks(how.layout), progress, text_length(how.layout.path))
        for frame, odd in parallel_map(how.read, rows):
            doubtful.update(odd)
            if not doubtful:
                yield frame

    with closing(frames()) as parts:
        return storage.frame(parts), doubtful


def _misread(table: Table, texts: Collection[str], numbers: Collection[str], marks: Collection[str]) -> list[str]:
    """Columns read as numbers with a point that may separate thousands, since a column of texts has decimal commas."""
    for name in texts:
        distinct = present(table.column(name), marks).drop_nulls().unique()
        if [notation.decimal for notation in notations_of(distinct)] == [","]:
            kept = [name for name in numbers if name in table.types]
            return [name for name in kept if (table.column(name) != table.column(name).round()).any()]
    return []


def _check_options(delimiter: object, skip_lines: object, decimal: object, thousands: object) -> None:
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n\0'):
        raise InputError(
            f"delimiter={delimiter!r} cannot separate fields. Give one character, such as ',', ';' or '\\t'."
        )
    if type(skip_lines) is not int or skip_lines < 0:
        raise InputError(f"skip_lines={skip_lines!r} is no number of lines. Give 0 or a whole number above it.")
    if decimal is not None and decimal not in DECIMALS:
        raise InputError(f"decimal={decimal!r} is no decimal mark. Give '.' or ','.")
    if thousands is not None and (thousands not in _THOUSANDS or thousands == decimal):
        raise InputError(
            f"thousands={thousands!r} cannot separate thousands with decimal={decimal!r}. Give one of "
            f"{listed(_THOUSANDS)}, other than the decimal mark."
        )


def _kind(path: str | os.PathLike[str]) -> str:
    """Format of a file by its first bytes, so that a damaged Parquet file is not read as CSV."""
    if os.path.exists(path) and not os.path.isfile(path):  # a device may never end
        raise InputError(f"Cannot read {path}: it is a folder or a device. Name a file with a table.")
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot read {path}: {reason}. Name a file with a table.") from error
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), "csv")


def _scanned(path: str | os.PathLike[str], kind: str, columns: Sequence[str] | None) -> polars.LazyFrame:
    pl = polars_module()
    with readable(f"the file {path}"):
        scan = pl.scan_parquet(path, glob=False) if kind == "parquet" else pl.scan_ipc(path)
        return stripped_texts(scan.select(_kept(scan.collect_schema().names(), columns)))


def _read_binary(path: str | os.PathLike[str], kind: str, columns: Sequence[str] | None, storage: Storage) -> Table:
    """A Parquet or Arrow table: loaded, or read from the file as needed if it is larger than the memory limit."""
    table = _with_rows(Table(_scanned(path, kind, columns), storage=storage), path)
    return table if _size(table) > storage.limit else table.loaded()


def _with_rows(table: Table, path: str | os.PathLike[str]) -> Table:
    if not len(table):
        raise InputError(f"The file {path} holds no rows. Name a file with data.")
    return table


def _size(table: Table) -> int:
    """Approximate size of a table in memory in bytes: 8 for a value, 24 for a text."""
    pl = polars_module()
    return len(table) * sum(24 if kind == pl.String else 8 for kind in table.types.values())


def _names(layout: Layout) -> tuple[list[str], list[str]]:
    """Names of all columns of a CSV file, and messages about them."""
    given = _given_names(layout)
    names = [name or f"column{position}" for position, name in enumerate(given)]
    seen = set[str]()
    for position, name in enumerate(names):
        if name in seen:
            raise InputError(
                f"Column {position + 1} of {layout.path} is named {name!r}, like another one. Give every column a name "
                "of its own in the first line, or pass header=False if that line is a row."
            )
        seen.add(name)
    if layout.names is None:
        return names, []
    numbers = [float(name) for name in given if PLAIN_NUMBER.fullmatch(name)]
    steps = {after - before for before, after in pairwise(numbers)}
    if steps == {1.0} and all(number.is_integer() for number in numbers):  # pixels or years, for example
        return names, []
    texts = polars_module().Series([name for name in given if name], dtype=polars_module().String)
    some = texts.filter(are_numbers(texts)).to_list()
    dated = texts.filter(texts.str.contains("^[0-9]") & ~texts.is_in(some)).head(2)
    days = [name for name in dated if formats_of(polars_module().Series([name]))]
    some += days if len(days) == 1 else []  # several may be a column for each month
    if not some:
        return names, []
    return names, [f"names of columns look like values: {listed(some)}; if the first line is a row, say --no-header"]


def _given_names(layout: Layout) -> list[str]:
    given = list(layout.names or ())
    return given + [""] * (layout.width - len(given))


def _kept(names: Sequence[str], columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        return list(names)
    known, wanted = set(names), set(columns)
    lacking = [name for name in columns if name not in known]
    if lacking or not columns:
        raise InputError(f"columns={listed(lacking)} are not in the table. Columns: {listed(names)}.")
    return [name for name in names if name in wanted]


def _without_unnamed(table: Table, layout: Layout, names: Sequence[str]) -> tuple[Table, list[str]]:
    """Drop an unnamed last column that is empty and an unnamed first one of row numbers; messages about both."""
    notes: list[str] = []
    if layout.names is None:
        return table, notes
    unnamed = {name for name, text in zip(names, _given_names(layout), strict=True) if not text}
    last, first = names[-1], names[0]
    is_candidate = last in unnamed and last in table.types and len(table.types) > 1
    if is_candidate and table.column(last).null_count() == len(table):
        table = replace(table, frame=table.frame.drop(last))
        notes.append(f"{last!r}, after a delimiter at the end of each line, holds no value and is left out")
    if first in unnamed and len(table.types) > 1 and table.types.get(first) == polars_module().Float64:
        numbers = table.column(first)
        steps = numbers.diff().drop_nulls()
        if numbers[0] in (0.0, 1.0) and len(steps) == len(table) - 1 and (steps == 1).all():
            table = replace(table, frame=table.frame.drop(first))
            notes.append(f"{first!r}, without a name, counts the rows and is left out")
    kept = [name for name in names if name in unnamed and name in table.types]
    return table, [*notes, *([f"columns without a name are called {listed(kept)}"] if kept else [])]
