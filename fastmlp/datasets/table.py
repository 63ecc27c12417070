"""Tables of text, as CSV files hold them."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from fastmlp.errors import InputError

__all__ = ["Table", "read_csv"]


@dataclass(frozen=True)
class Table:
    """Named columns of text, N rows long.

    Attributes
    ----------
    names : of the columns, all different.
    columns : one tuple of N texts per name.
    """

    names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, name: str) -> tuple[str, ...]:
        """Give the texts of a column.

        Raises
        ------
        InputError : no such column.
        """
        if name not in self.names:
            raise InputError(f"The table has no column {name!r}. Columns: {', '.join(self.names)}.")
        return self.columns[self.names.index(name)]

    def take(self, rows: Sequence[int] | np.ndarray) -> "Table":
        """Give a table of the rows with these numbers, in this order."""
        order = np.asarray(rows, np.int64).tolist()
        return Table(self.names, tuple(tuple(map(column.__getitem__, order)) for column in self.columns))


def read_csv(path: str | os.PathLike[str], *, header: bool = True, delimiter: str = ",", skip_lines: int = 0) -> Table:
    """Read a CSV file in UTF-8.

    A byte order mark, spaces around a field and blank lines are dropped. A field in double quotes may hold
    the delimiter, line ends and doubled quotes.

    Parameters
    ----------
    path : file to read.
    header : whether the first row names the columns; if not, they are column0, column1, …
    delimiter : the character between fields.
    skip_lines : lines to leave out at the start of the file.

    Raises
    ------
    InputError : no such file, another encoding, no rows, rows of different lengths, bad quoting, column names
        that are empty or repeated, or an option outside its range.
    """
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise InputError(
            f"delimiter={delimiter!r} cannot separate fields. Give one character, such as ',', ';' or '\\t'."
        )
    if type(skip_lines) is not int or skip_lines < 0:
        raise InputError(f"skip_lines={skip_lines!r} is no number of lines. Give 0 or a whole number above it.")
    lines = io.StringIO(_read_text(path), newline="")
    for _ in islice(lines, skip_lines):
        pass
    records = _records(path, lines, delimiter, skip_lines)
    first = next(records, None)
    if first is None:
        raise InputError(f"The file {path} holds no rows after {skip_lines} skipped lines. Name a file with data.")
    rows = [] if header else [first]
    rows += records
    if not rows:
        raise InputError(
            f"The file {path} holds column names, but no rows. Add rows, or pass header=False if the first line is one."
        )
    names = _check_names(path, first) if header else tuple(f"column{i}" for i in range(len(first)))
    return Table(names, tuple(zip(*rows, strict=True)))


def _read_text(path: str | os.PathLike[str]) -> str:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}. Name a CSV file.") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"The file {path} is not UTF-8: byte {content[error.start]:#04x} in line {line}. Save it as UTF-8."
        ) from error


def _records(path: str | os.PathLike[str], lines: io.StringIO, delimiter: str, skipped: int) -> Iterator[list[str]]:
    """Yield the rows that are not blank, all as long as the first."""
    # Without skipinitialspace a quote after a space would not open a quoted field.
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != " ", strict=True)
    width = 0
    try:
        for row in reader:
            fields = [field.strip() for field in row]
            if fields in ([], [""]):
                continue
            width = width or len(fields)
            if len(fields) != width:
                raise InputError(
                    f"Line {reader.line_num + skipped} of {path} has {len(fields)} fields; the first row has "
                    f"{width}. Repair the line, or check delimiter={delimiter!r} and skip_lines={skipped}."
                )
            yield fields
    except csv.Error as error:
        raise InputError(
            f"Line {reader.line_num + skipped} of {path} is not CSV: {error}. Repair its quotes, or check "
            f"delimiter={delimiter!r}."
        ) from error


def _check_names(path: str | os.PathLike[str], names: list[str]) -> tuple[str, ...]:
    for position, name in enumerate(names):
        if not name or name in names[:position]:
            fault = f"is named {name!r}, like another one" if name else "has no name"
            raise InputError(
                f"Column {position + 1} of {path} {fault}. Give every column a name of its own in the first "
                "line, or pass header=False if that line is a row."
            )
    return tuple(names)
