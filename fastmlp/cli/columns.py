"""The listing of a table's columns and the notes about them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from fastmlp.cli.text import one_line, table
from fastmlp.tables.meaning.kind import Kind

__all__ = ["column_lines", "print_notes"]

_MOST = 40  # columns, and notes
_LEFT_OUT = {
    "identifier": "left out: differs in nearly every row",
    "constant": "left out: always the same",
    "empty": "left out: no values",
}


def column_lines(kinds: Sequence[Kind]) -> str:
    """List the first columns, one a line: name, kind, number of categories, number of missing values."""
    rows = [("column", "kind", "different", "missing")]
    for kind in kinds[:_MOST]:
        rows.append((one_line(kind.name), _kind(kind), _number(kind.distinct), _number(kind.missing)))
    lines = [table(rows, left=2)]
    if len(kinds) > _MOST:
        more = kinds[_MOST:]
        out = sum(not kind.is_used for kind in more)
        lines.append(f"  … and {len(more):,} more columns{f', {out:,} of them left out' if out else ''}")
    return "\n".join(lines)


def print_notes(notes: Iterable[str]) -> None:
    """Print the first notes on standard error, one a line, and the number of the others."""
    every = list(notes)
    for note in every[:_MOST]:
        print(f"fastmlp: note: {one_line(note)}", file=sys.stderr)
    if len(every) > _MOST:
        print(f"fastmlp: note: and {len(every) - _MOST:,} more notes like these", file=sys.stderr)


def _kind(kind: Kind) -> str:
    if kind.kind == "number":
        details = ", ".join(filter(None, [kind.notation.unit, "decimal comma" if kind.notation.decimal == "," else ""]))
        return f"number ({details})" if details else "number"
    if kind.kind == "moment":
        return f"date or time ({kind.form})" if kind.form else "date or time"
    return _LEFT_OUT.get(kind.kind, kind.kind)


def _number(number: int) -> str:
    return f"{number:,}" if number else ""
