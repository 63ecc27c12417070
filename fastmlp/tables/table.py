"""Tables: named columns of N rows, from a file or a data frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fastmlp.tables.frames import as_frame, polars_module, readable
from fastmlp.tables.reading.records import Layout, line_of
from fastmlp.tables.storage import Storage

if TYPE_CHECKING:
    import polars

__all__ = ["Table", "as_table"]

_ROWS = 1 << 18
_VALUES = 1 << 21  # of a part that is read from the disk


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns.

    Attributes
    ----------
    frame : polars.DataFrame or polars.LazyFrame
        N rows. Columns of a CSV file are text, or Float64 where each value is a plain number; an empty field is null.
        Those of other files and of data frames are of any type but categories. Texts have no spaces around them. A
        LazyFrame where the table is larger than the memory: whatever is asked for is read from the disk.
    layout : Layout or None
        Of the CSV file; None for other tables.
    first : int
        Number of the first row in the file, from 0.
    notes : tuple of str
        What was decided about the file and should be said.
    storage : Storage or None
        What keeps the files of a LazyFrame.
    """

    frame: polars.DataFrame | polars.LazyFrame
    layout: Layout | None = None
    first: int = 0
    notes: tuple[str, ...] = ()
    storage: Storage | None = None

    def __len__(self) -> int:
        return self._height

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.types)

    @cached_property
    def types(self) -> dict[str, polars.DataType]:
        """The type of each column, by its name."""
        return dict(self.frame.collect_schema())

    @cached_property
    def _height(self) -> int:
        return int(_read(self.frame.select(polars_module().len())).item())

    def column(self, name: str) -> polars.Series:
        """Give the values (N,) of a column."""
        return self.columns([name])[0]

    def columns(self, names: Sequence[str]) -> list[polars.Series]:
        """Give the values (N,) of some columns."""
        if isinstance(self.frame, polars_module().DataFrame):
            return [self._held[name] for name in names]
        return _read(self.frame.select(names)).get_columns()

    @cached_property
    def _held(self) -> dict[str, polars.Series]:
        """The columns in memory: objects are made once, which takes its time where there are thousands."""
        return dict(zip(self.names, _read(self.frame).get_columns(), strict=True))

    def parts(self, names: Sequence[str] | None = None, rows: int = _ROWS) -> Iterator[tuple[int, Table]]:
        """Yield the table in parts that are held in memory, each with the number of its first row.

        Parameters
        ----------
        names : sequence of str, optional
            Columns that suffice; by default all.
        rows : int
            Of a part, at most.

        Yields
        ------
        int, Table
            The number of a part's first row, and the part.
        """
        frame = self.frame
        if not isinstance(frame, polars_module().DataFrame):
            frame = frame if names is None else frame.select(names)
            rows = max(1, min(rows, _VALUES // len(names or self.types)))
        elif 0 < len(self) <= rows:
            yield 0, self
            return
        for start in range(0, len(self), rows):
            yield start, replace(self, frame=_read(frame.slice(start, rows)), first=self.first + start)

    def loaded(self) -> Table:
        """Give the table in memory."""
        return replace(self, frame=_read(self.frame))

    def place(self, row: int) -> str:
        """Say where a row, counted from 0, is: by its line in a CSV file."""
        row += self.first
        return f"row {row + 1}" if self.layout is None else f"line {line_of(self.layout, row)} of {self.layout.path}"


def _read(frame: polars.DataFrame | polars.LazyFrame) -> polars.DataFrame:
    if isinstance(frame, polars_module().DataFrame):
        return frame
    with readable("a file of the table"):
        return frame.lazy().collect()


def as_table(data: Any) -> Table:
    """Give the table itself, or one of a data frame or array that `fastmlp.tables.frames.as_frame` takes.

    Raises
    ------
    InputError : neither of them.
    """
    return data if isinstance(data, Table) else Table(as_frame(data))
