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

_ROWS = 1 << 18  # of a part
_VALUES = 1 << 20  # of a part that is read from disk


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns.

    Attributes
    ----------
    frame : polars.DataFrame or polars.LazyFrame
        N rows. Columns of a CSV file are String, or Float64 where each value is a plain number; an empty field is null.
        Columns of other files and of data frames have any type but Categorical. Texts have no spaces around them. A
        LazyFrame reads from disk whatever is asked for; it is used for a table beyond the memory limit.
    layout : Layout or None
        Of the CSV file; None for other tables.
    first : int
        Index of the first row in the file, from 0.
    notes : tuple of str
        Messages for the user about how the file was read.
    storage : Storage or None
        Owner of the temporary files of a LazyFrame.
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
        """The Polars dtype of each column, by name."""
        return dict(self.frame.collect_schema())

    @cached_property
    def _height(self) -> int:
        return int(_read(self.frame.select(polars_module().len())).item())

    def column(self, name: str) -> polars.Series:
        """Return the values (N,) of a column."""
        return self.columns([name])[0]

    def columns(self, names: Sequence[str]) -> list[polars.Series]:
        """Return the values (N,) of several columns."""
        if isinstance(self.frame, polars_module().DataFrame):
            return [self._held[name] for name in names]
        return _read(self.frame.select(names)).get_columns()

    @cached_property
    def _held(self) -> dict[str, polars.Series]:
        """The columns of a table in memory by name, made once: that takes long for thousands of columns."""
        return dict(zip(self.names, _read(self.frame).get_columns(), strict=True))

    def parts(self, names: Sequence[str] | None = None, rows: int = _ROWS) -> Iterator[tuple[int, Table]]:
        """Yield the table in parts that fit into memory.

        Parameters
        ----------
        names : sequence of str, optional
            Columns that are needed; others may be left out. By default all.
        rows : int
            Most rows of a part.

        Yields
        ------
        int, Table
            The index of a part's first row, and the part.
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
        """Read the whole table into memory."""
        return replace(self, frame=_read(self.frame))

    def place(self, row: int) -> str:
        """Describe for a message where a row, counted from 0, is: by its line in a CSV file, else by its number."""
        row += self.first
        return f"row {row + 1}" if self.layout is None else f"line {line_of(self.layout, row)} of {self.layout.path}"


def _read(frame: polars.DataFrame | polars.LazyFrame) -> polars.DataFrame:
    if isinstance(frame, polars_module().DataFrame):
        return frame
    with readable("a file of the table"):
        return frame.lazy().collect()


def as_table(data: Any) -> Table:
    """Return a Table unchanged, or make one of a data frame or array, see `fastmlp.tables.frames.as_frame`.

    Raises
    ------
    InputError : data of any other type.
    """
    return data if isinstance(data, Table) else Table(as_frame(data))
