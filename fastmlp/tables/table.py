"""Tables: named columns of N rows, from a file or a data frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastmlp.tables.frames import as_frame
from fastmlp.tables.reading.records import Layout, line_of

if TYPE_CHECKING:
    import polars

__all__ = ["Table", "as_table"]


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns.

    Attributes
    ----------
    frame : N rows. Columns of a CSV file are text, or Float64 where each value is a plain number; an empty field is
        null. Those of other files and of data frames are of any type but categories. Texts have no spaces around them.
    layout : of the CSV file; None for other tables.
    first : number of the first row in the file, from 0.
    notes : what was decided about the file and should be said.
    """

    frame: polars.DataFrame
    layout: Layout | None = None
    first: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.frame.height

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.frame.columns)

    def place(self, row: int) -> str:
        """Say where a row, counted from 0, is: by its line in a CSV file."""
        row += self.first
        return f"row {row + 1}" if self.layout is None else f"line {line_of(self.layout, row)} of {self.layout.path}"


def as_table(data: Any) -> Table:
    """Give the table itself, or one of a data frame or array that `fastmlp.tables.frames.as_frame` takes.

    Raises
    ------
    InputError : neither of them.
    """
    return data if isinstance(data, Table) else Table(as_frame(data))
