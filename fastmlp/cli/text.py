"""How texts and numbers are shown."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["counted", "one_line", "table"]


def one_line(text: str) -> str:
    """The text without line ends, and without characters that a terminal would obey rather than show."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def counted(number: int, one: str, several: str = "") -> str:
    """``1 sample``, ``2,000 samples``."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns side by side, the first `left` ones left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    signs = ["<"] * left + [">"] * (len(widths) - left)
    lines = [[f"{cell:{s}{w}}" for cell, s, w in zip(row, signs, widths, strict=True)] for row in rows]
    return "\n".join(f"  {'  '.join(line)}".rstrip() for line in lines)
