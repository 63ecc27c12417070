"""Blocks of CSV as Polars frames: columns of plain numbers as Float64, all others as String."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.frames import polars_module
from fastmlp.tables.meaning.missing import present
from fastmlp.tables.meaning.notation import may_have_thousands, only_decimal_commas
from fastmlp.tables.reading.records import Layout, check_records

__all__ = ["PLAIN_NUMBER", "Columns"]

# A number that cannot be a code: no leading zeros, no more than 15 digits before the point, not 1E2.
PLAIN_NUMBER = re.compile(
    r"[+-]?(?:0|[1-9][0-9]{0,14}|(?=[.][0-9]))(?:[.][0-9]*(?:[eE][+-]?[0-9]{1,3})?|(?:[eE][+-][0-9]{1,3})?)"
)
_CODE = 1e15  # numbers from here on may be codes, whose digits float64 would not keep
_CLASS_SHARE = 0.05  # of the rows; a missing-value marker that is more frequent may be a class


@dataclass(frozen=True)
class Columns:
    """How the columns of a CSV file are read.

    Attributes
    ----------
    layout : of the file.
    names : of all columns.
    kept : names of the columns to read.
    numbers : names of the columns to read as numbers.
    marks : texts that mark a missing value.
    """

    layout: Layout
    names: Sequence[str]
    kept: Sequence[str]
    numbers: frozenset[str]
    marks: frozenset[str]

    @classmethod
    def of(
        cls,
        layout: Layout,
        records: Sequence[Sequence[str]],
        names: Sequence[str],
        kept: Sequence[str],
        marks: Collection[str],
        decimal: str | None,
    ) -> Columns:
        """Choose the columns to read as numbers: those that hold only plain numbers in the first records.

        With decimal="," or a column of decimal commas in these records, all columns are read as texts.
        """
        numbers = (
            frozenset[str]() if decimal == "," else _plain(records, names, {"", *marks}, decimal, layout.delimiter)
        )
        return cls(layout, names, kept, numbers, frozenset(marks))

    def as_texts(self, names: Collection[str]) -> Columns:
        """Return a copy that reads these columns as texts."""
        return Columns(self.layout, self.names, self.kept, self.numbers - set(names), self.marks)

    def read(self, block: bytes) -> tuple[Any, set[str]]:
        """Read a block of whole records; return its frame and the names of columns that should be read as texts.

        Those are columns of numbers that hold anything else, numbers so large that they may be codes, or missing-value
        markers so frequent that they may be classes.

        Raises
        ------
        InputError : a record has too many fields.
        """
        frame = self._frame(block, self.kept, self.numbers)
        return frame, self._doubtful(block, frame)

    def read_certain(self, block: bytes) -> Any:
        """Read a block of whole records, with those columns as texts that are not numbers throughout the block."""
        frame, doubtful = self.read(block)
        return frame.with_columns(self._frame(block, sorted(doubtful), frozenset())) if doubtful else frame

    def _frame(self, block: bytes, columns: Sequence[str], numbers: frozenset[str]) -> Any:
        pl, layout = polars_module(), self.layout
        types = {name: pl.Float64 if name in numbers else pl.String for name in self.names}
        try:
            # A value that is not a number becomes null, and `_doubtful` finds it.
            scan = pl.scan_csv(block, has_header=False, separator=layout.delimiter, schema=types, ignore_errors=True)
            # Expressions for each of thousands of columns take long.
            scan = scan if len(columns) == len(types) else scan.select(columns)
            texts = [name for name in columns if name not in numbers]
            return (scan.with_columns(pl.col(texts).str.strip_chars()) if texts else scan).collect()
        except pl.exceptions.PolarsError as error:
            check_records(layout)
            raise InputError(f"The file {layout.path} is not CSV: {' '.join(str(error).split())[:200]}") from error

    def _doubtful(self, block: bytes, frame: Any) -> set[str]:
        numbers = [name for name in self.kept if name in self.numbers]
        if not numbers:
            return set()
        part = frame if len(numbers) == frame.width else frame.select(numbers)
        finite = (np.abs(part.to_numpy(order="fortran")) < _CODE).sum(axis=0)
        nulls = np.array(part.null_count().row(0))
        odd = finite + nulls < len(part)
        doubtful = {numbers[i] for i in np.flatnonzero(odd).tolist()}
        with_nulls = [numbers[i] for i in np.flatnonzero((nulls > 0) & ~odd).tolist()]
        if with_nulls:
            texts = self._frame(block, with_nulls, frozenset())
            for name in with_nulls:
                lacking = texts[name].filter(part[name].is_null()).drop_nulls()
                if present(lacking, self.marks).drop_nulls().len() or len(lacking) >= _CLASS_SHARE * len(part):
                    doubtful.add(name)
        return doubtful


def _plain(
    records: Sequence[Sequence[str]], names: Sequence[str], absent: Collection[str], decimal: str | None, delimiter: str
) -> frozenset[str]:
    """Names of the columns that hold only plain numbers in these records, apart from the texts in `absent`."""
    rows = [row[: len(names)] for row in ([""] * len(names), *records)]  # records may be too short or too long
    sample = [[text for text in column if text not in absent] for column in zip_longest(*rows, fillvalue="")]
    if decimal is None and any(only_decimal_commas(texts) for texts in sample):
        return frozenset()
    is_plain = (
        bool(texts)
        and all(map(PLAIN_NUMBER.fullmatch, texts))
        and (decimal is not None or not may_have_thousands(texts, delimiter))
        for texts in sample
    )
    return frozenset(name for name, plain in zip(names, is_plain, strict=True) if plain)
