"""What was found in a table, for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from fastmlp.cli.text import one_line, table
from fastmlp.tables.meaning.kind import Kind

__all__ = ["column_lines", "tell"]

_MOST = 40
_LEFT_OUT = {
    "identifier": "left out: differs in nearly every row",
    "constant": "left out: always the same",
    "empty": "left out: no values",
}


def column_lines(kinds: Sequence[Kind]) -> str:
    """A line for each of the first columns: what it is, how many categories, how many values are missing."""
    rows = [("column", "kind", "different", "missing")]
    for kind in kinds[:_MOST]:
        rows.append((one_line(kind.name), _kind(kind), _number(kind.distinct), _number(kind.missing)))
    lines = [table(rows, left=2)]
    if len(kinds) > _MOST:
        more = kinds[_MOST:]
        out = sum(not kind.is_used for kind in more)
        lines.append(f"  … and {len(more):,} more columns{f', {out:,} of them left out' if out else ''}")
    return "\n".join(lines)


def tell(notes: Iterable[str]) -> None:
    """Print what the user should know on standard error, a line each, of the first ones."""
    every = list(notes)
    for note in every[:_MOST]:
        print(f"fastmlp: note: {one_line(note)}", file=sys.stderr)
    if len(every) > _MOST:
        print(f"fastmlp: note: and {len(every) - _MOST:,} more notes like these", file=sys.stderr)


def _kind(kind: Kind) -> str:
    if kind.kind == "number":
        marks = [kind.notation.unit, "decimal comma" if kind.notation.decimal == "," else ""]
        said = ", ".join(filter(None, marks))
        return f"number ({said})" if said else "number"
    if kind.kind == "moment":
        return f"date or time ({kind.form})" if kind.form else "date or time"
    return _LEFT_OUT.get(kind.kind, kind.kind)


def _number(number: int) -> str:
    return f"{number:,}" if number else ""
