"""Counts of unusual values in tables that are encoded after training, collected over batches and reported once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fastmlp.tables.text import listed

__all__ = ["Findings"]

_EXAMPLES = 3


class Findings:
    """Counts missing values, categories and far numbers that training did not have, and rows that are left out."""

    def __init__(self) -> None:
        self._missing: Counter[str] = Counter()
        self._unseen: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        self._far: Counter[str] = Counter()
        self._furthest: dict[str, tuple[float, float, float]] = {}  # the number, and the range of training
        self._dropped = 0

    def add_missing(self, name: str, number: int) -> None:
        """Count missing values of a column."""
        if number:
            self._missing[name] += number

    def add_far(self, name: str, number: int, furthest: float, low: float, high: float) -> None:
        """Count numbers of a column that lie further outside the training range, low to high, than it is wide."""
        if number:
            known, _, _ = self._furthest.get(name, (furthest, low, high))
            self._far[name] += number
            self._furthest[name] = max(known, furthest, key=lambda one: max(low - one, one - high)), low, high

    def add_dropped(self, number: int) -> None:
        """Count rows that are left out because a value is missing."""
        self._dropped += number

    def add_unseen(self, name: str, number: int, examples: Iterable[str]) -> None:
        """Count categories of a column that are not in the training rows."""
        if number:
            self._unseen[name] += number
            known = self._examples.setdefault(name, [])
            known += [text for text in examples if text not in known]
            del known[_EXAMPLES:]

    def add(self, other: Findings) -> None:
        """Add the counts of another object."""
        for name, number in other._missing.items():
            self.add_missing(name, number)
        for name, number in other._unseen.items():
            self.add_unseen(name, number, other._examples[name])
        for name, number in other._far.items():
            self.add_far(name, number, *other._furthest[name])
        self._dropped += other._dropped

    def lines(self) -> list[str]:
        """Return messages: for each kind of finding one line per column, for at most ten columns."""
        lines = []
        if self._missing:
            counts = [f"{name!r} ({number:,})" for name, number in self._missing.most_common(10)]
            more = f" and {len(self._missing) - 10:,} more" if len(self._missing) > 10 else ""
            lines.append(f"values are missing in {', '.join(counts)}{more}; training had none there: imputed")
        for name, number in self._unseen.most_common(10):
            lines.append(
                f"column {name!r} holds {number:,} values not seen in training, such as {listed(self._examples[name])}"
            )
        if len(self._unseen) > 10:
            lines.append(f"{len(self._unseen) - 10:,} more columns hold values not seen in training")
        for name, number in self._far.most_common(10):
            furthest, low, high = self._furthest[name]
            lines.append(
                f"column {name!r} is far outside the range of training, {low:.6g} to {high:.6g}, in {number:,} rows, "
                f"such as {furthest:.6g}"
            )
        if len(self._far) > 10:
            lines.append(f"{len(self._far) - 10:,} more columns hold numbers far outside the range of training")
        if self._dropped:
            lines.append(f"{self._dropped:,} rows are left out: they lack a value that cannot be imputed")
        return lines
