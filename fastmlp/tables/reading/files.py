"""Tables from files."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise, zip_longest
from typing import Any

from fastmlp.errors import InputError
from fastmlp.tables.frames import polars_module, stripped_texts
from fastmlp.tables.meaning.missing import MISSING_VALUES, present
from fastmlp.tables.meaning.moments import formats_of
from fastmlp.tables.meaning.notation import DECIMALS, may_have_thousands, only_decimal_commas, units_in
from fastmlp.tables.reading.records import Layout, blocks, check_records, find_layout
from fastmlp.tables.table import Table
from fastmlp.tables.text import listed

__all__ = ["read_table", "table_batches"]

_MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow"}
_THOUSANDS = (",", ".", " ", "'")
_CELLS = 1 << 24  # of a batch
_CLASS_SHARE = 0.05  # of the rows; a mark of a missing value that is more frequent may be a class
_CODE = 1e15  # from here on float64 tells whole numbers apart no more
# A number that float64 holds and that is no code, which leading zeros or many digits would make of it, or 1E2.
_PLAIN = re.compile(
    r"[+-]?(?:0|[1-9][0-9]{0,14}|(?=[.][0-9]))(?:[.][0-9]*(?:[eE][+-]?[0-9]{1,3})?|(?:[eE][+-][0-9]{1,3})?)"
)


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
) -> Table:
    """Read a table: CSV, compressed by gzip or Zstandard or not, Parquet, or Arrow (Feather).

    In CSV, spaces around a field and blank lines are dropped. A field in double quotes may hold the delimiter, line
    ends and doubled quotes. An unnamed first column of row numbers and an unnamed last column without values are
    dropped, and `notes` say so; other unnamed columns are called column0, column1, …

    Parameters
    ----------
    path : file to read.
    header : whether the first row names the columns; if not, they are column0, column1, …
    delimiter : the character between fields; None for a comma, semicolon, tabulator or vertical bar, whichever most
        rows agree on.
    skip_lines : lines to leave out at the start of the file.
    encoding : of the text, such as "cp1252"; None for UTF-8, or what a byte order mark says.
    decimal : "." or ","; None to find out from the numbers.
    thousands : mark between thousands: ",", ".", " " or "'"; None to find out.
    columns : names of the columns to read; None for all.
    missing_values : texts that stand for no value, besides an empty field.

    Raises
    ------
    InputError : no such file, another encoding or format, no rows, rows of different lengths, bad quoting, column
        names that are repeated, or an option outside its range.
    """
    _check_options(delimiter, skip_lines, decimal, thousands)
    pl = polars_module()
    kind = _kind(path)
    if kind != "csv":
        return Table(_read_binary(pl, path, kind, columns))
    layout = find_layout(path, header=header, delimiter=delimiter, skip_lines=skip_lines, encoding=encoding)
    names, notes = _names(layout)
    kept = _kept(names, columns)
    with_commas = decimal == "," or thousands == "."
    types = _as_texts(pl, names) if with_commas else _types(pl, layout, names, missing_values, decimal)
    frames: list[Any] = []
    doubtful = set[str]()
    for block in blocks(layout):
        frame = _read_block(pl, block, layout, types, kept)
        doubtful |= _doubtful(pl, block, layout, types, frame, missing_values, doubtful)
        frames.append(frame)
    if doubtful:
        frames = _with_texts(pl, frames, layout, names, doubtful)
        if decimal is None and _have_decimal_commas(frames, doubtful, missing_values):
            # What has a point so far may have it between thousands.
            fractions = [name for name, kind in frames[0].schema.items() if kind == pl.Float64]
            fractions = [name for name in fractions if any(_has_fractions(frame[name]) for frame in frames)]
            frames = _with_texts(pl, frames, layout, names, fractions)
    frame, dropped = _without_unnamed(pl, pl.concat(frames), layout, names)
    return Table(frame, layout, 0, (*notes, *dropped))


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
    """Yield the table that `read_table` reads, a batch at a time, in memory that does not grow with the file.

    A column of a CSV file may be numbers in one batch and text in another. Unnamed columns are kept.

    Parameters
    ----------
    path, header, delimiter, skip_lines, encoding, decimal, missing_values : as for `read_table`.
    as_text : names of columns of a CSV file that are always text.
    rows : of a batch, at most.
    """
    _check_options(delimiter, skip_lines, decimal, None)
    pl = polars_module()
    kind = _kind(path)
    if kind != "csv":
        with _explained(pl, path):
            scan = _scan(pl, path, kind)
            height = scan.select(pl.len()).collect().item()
            rows = max(1, min(rows, _CELLS // len(scan.collect_schema())))
        for first in range(0, height, rows):
            with _explained(pl, path):
                frame = stripped_texts(scan.slice(first, rows).collect())
            yield Table(frame, None, first)
        return
    layout = find_layout(path, header=header, delimiter=delimiter, skip_lines=skip_lines, encoding=encoding)
    names, _ = _names(layout)
    texts = _as_texts(pl, names)
    types = texts if decimal == "," else _types(pl, layout, names, missing_values, decimal)
    types |= {name: pl.String for name in as_text if name in types}
    first = 0
    for block in blocks(layout):
        frame = _read_block(pl, block, layout, types, names)
        doubtful = _doubtful(pl, block, layout, types, frame, missing_values, set())
        if doubtful:
            frame = frame.with_columns(_read_block(pl, block, layout, texts, sorted(doubtful)))
        for start in range(0, frame.height, rows):
            yield Table(frame.slice(start, rows), layout, first + start)
        first += frame.height


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
            f"thousands={thousands!r} cannot stand between thousands, beside decimal={decimal!r}. Give one of "
            f"{listed(_THOUSANDS)}, other than the decimal mark."
        )


def _kind(path: str | os.PathLike[str]) -> str:
    """Tell by the first bytes; a damaged Parquet file is no CSV."""
    if os.path.exists(path) and not os.path.isfile(path):  # a device may go on for ever
        raise InputError(f"Cannot read {path}: it is a folder or a device. Name a file with a table.")
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot read {path}: {reason}. Name a file with a table.") from error
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), "csv")


@contextmanager
def _explained(pl: Any, path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what Polars raises about a damaged file into an InputError."""
    try:
        yield
    except InputError:
        raise
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"The file {path} cannot be read: {reason}. It is damaged, or of another format.") from error


def _scan(pl: Any, path: str | os.PathLike[str], kind: str) -> Any:
    return pl.scan_parquet(path, glob=False) if kind == "parquet" else pl.scan_ipc(path)


def _read_binary(pl: Any, path: str | os.PathLike[str], kind: str, columns: Sequence[str] | None) -> Any:
    with _explained(pl, path):
        scan = _scan(pl, path, kind)
        frame = stripped_texts(scan.select(_kept(scan.collect_schema().names(), columns)).collect())
    if not frame.height:
        raise InputError(f"The file {path} holds no rows. Name a file with data.")
    return frame


def _names(layout: Layout) -> tuple[list[str], list[str]]:
    """Names of all columns of a CSV file, and what is to be said of them."""
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
    numbers = [float(name) for name in given if _PLAIN.fullmatch(name)]
    steps = {after - before for before, after in pairwise(numbers)}
    if steps == {1.0} and all(number.is_integer() for number in numbers):  # as of pixels or years
        return names, []
    some = [name for name in given if name and units_in(polars_module().Series([name]))]
    days = [name for name in given if name and formats_of(polars_module().Series([name]))]
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


def _types(
    pl: Any, layout: Layout, names: Sequence[str], marks: Collection[str], decimal: str | None
) -> dict[str, Any]:
    """The type by which each column is read at first: Float64 where the sample shows plain numbers alone."""
    absent = {"", *marks}
    rows = [row[: len(names)] for row in (("",) * len(names), *layout.sample)]  # some may be too short, or too long
    sample = [[text for text in column if text not in absent] for column in zip_longest(*rows, fillvalue="")]
    if decimal is None and any(only_decimal_commas(texts) for texts in sample):
        return _as_texts(pl, names)
    plain = [
        bool(texts)
        and all(map(_PLAIN.fullmatch, texts))
        and (decimal is not None or not may_have_thousands(texts, layout.delimiter))
        for texts in sample
    ]
    return {name: pl.Float64 if is_plain else pl.String for name, is_plain in zip(names, plain, strict=True)}


def _as_texts(pl: Any, names: Sequence[str]) -> dict[str, Any]:
    return dict.fromkeys(names, pl.String)


def _read_block(pl: Any, block: bytes, layout: Layout, types: dict[str, Any], columns: Sequence[str]) -> Any:
    try:
        # What is no number becomes null, and `_doubtful` finds it.
        scan = pl.scan_csv(block, has_header=False, separator=layout.delimiter, schema=types, ignore_errors=True)
        # An expression for each column takes its time, where there are thousands.
        scan = scan if len(columns) == len(types) else scan.select(columns)
        texts = [name for name in columns if types[name] == pl.String]
        return scan.with_columns(pl.col(texts).str.strip_chars()).collect()
    except pl.exceptions.PolarsError as error:
        check_records(layout)
        raise InputError(f"The file {layout.path} is not CSV: {' '.join(str(error).split())[:200]}") from error


def _doubtful(
    pl: Any, block: bytes, layout: Layout, types: dict[str, Any], frame: Any, marks: Collection[str], known: set[str]
) -> set[str]:
    """Columns read as numbers that hold something else, or many marks of missing values, which may be classes."""
    numbers = [name for name, kind in frame.schema.items() if kind == pl.Float64 and name not in known]
    if not numbers:
        return set()
    part = frame.select(numbers)
    doubtful = set[str]()
    if not part.select(pl.sum_horizontal(numbers).is_finite().all()).item():
        finite = part.select(pl.all().is_finite().all()).row(0)
        doubtful = {name for name, is_finite in zip(numbers, finite, strict=True) if is_finite is False}
    extremes = part.select(pl.all().abs().max()).row(0)
    doubtful |= {name for name, most in zip(numbers, extremes, strict=True) if most is not None and most >= _CODE}
    nulls = part.null_count().row(0)
    holed = [name for name, count in zip(numbers, nulls, strict=True) if count and name not in doubtful]
    if not holed:
        return doubtful
    texts = _read_block(pl, block, layout, _as_texts(pl, list(types)), holed)
    for name in holed:
        odd = texts[name].filter(part[name].is_null()).drop_nulls()
        if present(odd, marks).drop_nulls().len() or len(odd) >= _CLASS_SHARE * len(part):
            doubtful.add(name)
    return doubtful


def _with_texts(pl: Any, frames: list[Any], layout: Layout, names: Sequence[str], chosen: Collection[str]) -> list[Any]:
    """The frames of all blocks, some of their columns read again as texts."""
    again = (_read_block(pl, block, layout, _as_texts(pl, names), sorted(chosen)) for block in blocks(layout))
    return [frame.with_columns(texts) for frame, texts in zip(frames, again, strict=True)]


def _have_decimal_commas(frames: list[Any], names: Collection[str], marks: Collection[str]) -> bool:
    """Whether some columns of texts hold numbers that need a decimal comma."""
    return any(
        only_decimal_commas(present(frame[name], marks).drop_nulls().unique().to_list())
        for name in names
        for frame in frames
    )


def _has_fractions(numbers: Any) -> bool:
    return bool((numbers != numbers.round()).any())


def _without_unnamed(pl: Any, frame: Any, layout: Layout, names: Sequence[str]) -> tuple[Any, list[str]]:
    """The table without an unnamed last column that is empty, and an unnamed first one of row numbers."""
    notes: list[str] = []
    if layout.names is None:
        return frame, notes
    unnamed = [name for name, text in zip(names, _given_names(layout), strict=True) if not text]
    last, first = names[-1], names[0]
    if last in unnamed and last in frame.columns and frame.width > 1 and frame[last].null_count() == frame.height:
        frame = frame.drop(last)
        notes.append(f"{last!r}, after a delimiter at the end of each line, holds no value and is left out")
    if first in unnamed and first in frame.columns and frame.width > 1 and frame[first].dtype == pl.Float64:
        steps = frame[first].diff().drop_nulls()
        if frame[first][0] in (0.0, 1.0) and len(steps) == frame.height - 1 and (steps == 1).all():
            frame = frame.drop(first)
            notes.append(f"{first!r}, without a name, counts the rows and is left out")
    kept = [name for name in unnamed if name in frame.columns]
    return frame, [*notes, *([f"columns without a name are called {listed(kept)}"] if kept else [])]
