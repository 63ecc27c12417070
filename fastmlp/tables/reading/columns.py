"""Blocks of CSV as frames: columns that hold plain numbers alone as numbers, all others as texts."""

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

# A number that float64 holds and that is no code, which leading zeros or many digits would make of it, or 1E2.
PLAIN_NUMBER = re.compile(
    r"[+-]?(?:0|[1-9][0-9]{0,14}|(?=[.][0-9]))(?:[.][0-9]*(?:[eE][+-]?[0-9]{1,3})?|(?:[eE][+-][0-9]{1,3})?)"
)
_CODE = 1e15  # from here on float64 tells whole numbers apart no more
_CLASS_SHARE = 0.05  # of the rows; a mark of a missing value that is more frequent may be a class


@dataclass(frozen=True)
class Columns:
    """How the columns of a CSV file are read.

    Attributes
    ----------
    layout : of the file.
    names : of all of its columns.
    kept : names of those that are wanted.
    numbers : names of those that are read as numbers.
    marks : texts that stand for no value.
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
        """Choose the columns of numbers: those of which the first records hold nothing else.

        With decimal commas, decimal="," or if a column of these records shows it, all columns are texts.
        """
        numbers = (
            frozenset[str]() if decimal == "," else _plain(records, names, {"", *marks}, decimal, layout.delimiter)
        )
        return cls(layout, names, kept, numbers, frozenset(marks))

    def as_texts(self, names: Collection[str]) -> Columns:
        """The same with these columns as texts."""
        return Columns(self.layout, self.names, self.kept, self.numbers - set(names), self.marks)

    def read(self, block: bytes) -> tuple[Any, set[str]]:
        """Read whole records; and the names of columns that are not what they were read as.

        Those hold something else than numbers, so large ones that they may be codes, or marks of missing values that
        are so many that they may be classes.

        Raises
        ------
        InputError : records that are too long.
        """
        frame = self._frame(block, self.kept, self.numbers)
        return frame, self._doubtful(block, frame)

    def read_certain(self, block: bytes) -> Any:
        """Read whole records; columns that are not numbers in all of these are texts."""
        frame, doubtful = self.read(block)
        return frame.with_columns(self._frame(block, sorted(doubtful), frozenset())) if doubtful else frame

    def _frame(self, block: bytes, columns: Sequence[str], numbers: frozenset[str]) -> Any:
        pl, layout = polars_module(), self.layout
        types = {name: pl.Float64 if name in numbers else pl.String for name in self.names}
        try:
            # What is no number becomes null, and `_doubtful` finds it.
            scan = pl.scan_csv(block, has_header=False, separator=layout.delimiter, schema=types, ignore_errors=True)
            # An expression for each column takes its time, where there are thousands.
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
        holed = [numbers[i] for i in np.flatnonzero((nulls > 0) & ~odd).tolist()]
        if holed:
            texts = self._frame(block, holed, frozenset())
            for name in holed:
                lacking = texts[name].filter(part[name].is_null()).drop_nulls()
                if present(lacking, self.marks).drop_nulls().len() or len(lacking) >= _CLASS_SHARE * len(part):
                    doubtful.add(name)
        return doubtful


def _plain(
    records: Sequence[Sequence[str]], names: Sequence[str], absent: Collection[str], decimal: str | None, delimiter: str
) -> frozenset[str]:
    """Names of the columns of which some records hold nothing but plain numbers, or what is absent."""
    rows = [row[: len(names)] for row in ([""] * len(names), *records)]  # some may be too short, or too long
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
