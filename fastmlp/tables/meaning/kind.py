"""The kind of one column: numbers, dates and times, or categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.meaning.notation import Notation
from fastmlp.tables.table import Table

if TYPE_CHECKING:
    import polars

__all__ = ["FEW", "Kind", "category", "refuse", "shown"]

FEW = 20  # so few different values are never suspicious
_MOST_CATEGORIES = 1000  # more must be asked for by the user


@dataclass(frozen=True)
class Kind:
    """What a column holds.

    Attributes
    ----------
    name : of the column.
    kind : "number", "moment" (a date or time) or "category"; or, for a column that is left out, "identifier",
        "constant" or "empty".
    missing : number of missing values.
    distinct : number of different values; 0 for numbers and moments.
    notation, form : how texts are read as numbers, or the format by which they are read as moments.
    example : a text of an identifier.
    """

    name: str
    kind: str
    missing: int
    distinct: int = 0
    notation: Notation = field(default_factory=Notation)
    form: str = ""
    example: str = ""

    @property
    def is_used(self) -> bool:
        return self.kind in ("number", "moment", "category")


def category(name: str, missing: int, labels: Sequence[str], rows: int = 0) -> Kind:
    """Return the kind of a column of labels.

    Parameters
    ----------
    name : of the column.
    missing : number of missing values.
    labels : the distinct labels.
    rows : number of rows with a label; 0 if the user names the column as categorical, so that any number of categories
        is allowed.

    Raises
    ------
    InputError : so many categories that the user must ask for them.
    """
    distinct = len(labels)
    if rows and distinct > max(FEW, rows // 2):
        return Kind(name, "identifier", missing, distinct, example=min(labels))
    if rows and distinct > _MOST_CATEGORIES:
        example = min(labels)
        raise InputError(
            f"Column {name!r} holds {example!r}, which is not a number, and {distinct:,} different values, more than "
            f"the {_MOST_CATEGORIES:,} that are taken for categories by default. Leave the column out (drop_columns), "
            f"name it as one of categories (categorical), or say that {example!r} stands for no value (also_missing)."
        )
    kind = "empty" if not distinct else "constant" if distinct == 1 and not missing else "category"
    return Kind(name, kind, missing, distinct)


def refuse(table: Table, values: polars.Series, odd: Any, what: str, remedy: str) -> NoReturn:
    """Raise InputError about the first of N values for which `odd` (N,) is true."""
    row = int(np.flatnonzero(np.asarray(odd))[0])
    held = f"Column {values.name!r} holds {shown(values[row])} in {table.place(row)}"
    raise InputError(f"{held}, which is not {what}. Correct it; {remedy}.")


def shown(value: object) -> str:
    """Format a value of a table for a message."""
    return f"{value:.15g}" if isinstance(value, float) else repr(value)
