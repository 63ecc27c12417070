"""What later tables hold that training had not: counted over all batches, said once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fastmlp.tables.text import listed

__all__ = ["Findings"]

_EXAMPLES = 3


class Findings:
    """Missing values that were filled where training had none, and values that training had not."""

    def __init__(self) -> None:
        self._holes: Counter[str] = Counter()
        self._unseen: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add_holes(self, name: str, number: int) -> None:
        """Count missing values of a column."""
        if number:
            self._holes[name] += number

    def add_unseen(self, name: str, number: int, examples: Iterable[str]) -> None:
        """Count values of a column."""
        if number:
            self._unseen[name] += number
            known = self._examples.setdefault(name, [])
            known += [text for text in examples if text not in known]
            del known[_EXAMPLES:]

    def add(self, other: Findings) -> None:
        """Count what another one has counted."""
        for name, number in other._holes.items():
            self.add_holes(name, number)
        for name, number in other._unseen.items():
            self.add_unseen(name, number, other._examples[name])

    def lines(self) -> list[str]:
        """What was found, a line for each kind and column, of ten columns at most."""
        lines = []
        if self._holes:
            counts = [f"{name!r} ({number:,})" for name, number in self._holes.most_common(10)]
            more = f" and {len(self._holes) - 10:,} more" if len(self._holes) > 10 else ""
            lines.append(f"values are missing in {', '.join(counts)}{more}; training had none there: filled in")
        for name, number in self._unseen.most_common(10):
            lines.append(
                f"column {name!r} holds {number:,} values that training had not, such as {listed(self._examples[name])}"
            )
        if len(self._unseen) > 10:
            lines.append(f"{len(self._unseen) - 10:,} more columns hold values that training had not")
        return lines
