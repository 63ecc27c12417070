"""What one column holds."""

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

FEW = 20  # different values that are no reason to suspect anything
_MOST_CATEGORIES = 1000  # that are taken unasked


@dataclass(frozen=True)
class Kind:
    """What a column holds.

    Attributes
    ----------
    name : of the column.
    kind : "number", "moment", "category"; or what is left out: "identifier", "constant", "empty".
    missing : how many of the N values are.
    distinct : how many different values there are; 0 for numbers and moments.
    notation, form : how texts are read as numbers, or as moments.
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
    """Give the kind of a column of labels.

    Parameters
    ----------
    name : of the column.
    missing : how many values are.
    labels : the different ones.
    rows : with a label; 0 if the column is named as one of categories, so that any number of them is meant.

    Raises
    ------
    InputError : more categories than anybody can have meant unasked.
    """
    distinct = len(labels)
    if rows and distinct > max(FEW, rows // 2):
        return Kind(name, "identifier", missing, distinct, example=min(labels))
    if rows and distinct > _MOST_CATEGORIES:
        example = min(labels)
        raise InputError(
            f"Column {name!r} holds {example!r}, which is not a number, and {distinct:,} different values, more than "
            f"the {_MOST_CATEGORIES:,} that are taken for categories unasked. Leave the column out (drop_columns), "
            f"name it as one of categories (categorical), or say that {example!r} stands for no value (also_missing)."
        )
    kind = "empty" if not distinct else "constant" if distinct == 1 and not missing else "category"
    return Kind(name, kind, missing, distinct)


def refuse(table: Table, values: polars.Series, odd: Any, what: str, remedy: str) -> NoReturn:
    """InputError about the first of N values for which `odd` (N,) is true."""
    row = int(np.flatnonzero(np.asarray(odd))[0])
    held = f"Column {values.name!r} holds {shown(values[row])} in {table.place(row)}"
    raise InputError(f"{held}, which is not {what}. Correct it; {remedy}.")


def shown(value: object) -> str:
    """A value of a table for a message."""
    return f"{value:.15g}" if isinstance(value, float) else repr(value)
