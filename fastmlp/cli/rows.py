"""Tables of results as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from fastmlp.files import atomic_write

__all__ = ["write_rows"]


def write_rows(path: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a line for each row, all with the same columns, below their names; an empty file without rows."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    if rows:
        lines.writerow(rows[0])
        lines.writerows(row.values() for row in rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())
