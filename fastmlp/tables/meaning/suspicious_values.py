"""Messages about values that the user may have meant differently: -999, row numbers, sums, totals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastmlp.tables.dictionary_encoding import as_texts, is_dictionary_encoded

if TYPE_CHECKING:
    import polars

__all__ = ["far_end", "number_notes", "row_notes"]

_REPETITIONS = 3  # at least; a single 999 is a measurement
_FEW = 5  # rows; with so few, the last may be the sum of the others by chance
_TOTALS = {"total", "totals", "grand total", "sum", "subtotal", "summe", "gesamt", "gesamtsumme", "somme", "totale"}


def number_notes(name: str, numbers: np.ndarray, lowest: float, highest: float) -> list[str]:
    """Messages about a column of numbers (N,) float64 from lowest to highest, NaN where one is missing."""
    notes = []
    for mark in _marks_among(numbers, lowest, highest):
        count = int((numbers == mark).sum())
        notes.append(
            f"column {name!r} is {mark:g} in {count:,} rows, far from its other numbers; if that stands for a missing "
            f"value, say so by --also-missing={mark:g}"
        )
    if _counts_rows(numbers):
        notes.append(f"column {name!r} numbers the rows; --drop-columns leaves it out")
    if _ends_with_sum(numbers):
        notes.append(
            f"the last row holds the sum of the others in column {name!r}; if it is a row of totals, remove it"
        )
    if lowest >= 19000101 and highest <= 21001231 and _are_days(numbers):
        day = f"{lowest:.0f}"
        notes.append(
            f"column {name!r} looks like days such as {day}, and is taken for numbers; dates are read where they are "
            f"written as {day[:4]}-{day[4:6]}-{day[6:]}"
        )
    return notes


def far_end(values: np.ndarray) -> float | None:
    """Return the least or largest of values (N,) if it is repeated and further from the others than their range."""
    values = values[~np.isnan(values)]
    for end in (values.min(), values.max()) if values.size else ():
        others = values[values != end]
        if (values == end).sum() >= _REPETITIONS and others.size:
            gap = others.min() - end if end < others.min() else end - others.max()
            if gap > np.ptp(others) > 0:
                return float(end)
    return None


def row_notes(name: str, labels: polars.Series) -> list[str]:
    """Messages about rows that are not samples, by a column of N texts: a row of totals, a row of column names."""
    notes = []
    last = labels[-1]
    if last is not None and last.strip().casefold().rstrip(":") in _TOTALS and (as_texts(labels) == last).sum() == 1:
        notes.append(f"the last row holds {last!r} in column {name!r}; if it is a row of totals, remove it")
    if (labels.dtype.categories if is_dictionary_encoded(labels) else labels).is_in([name]).any():  # type: ignore[attr-defined]
        notes.append(f"column {name!r} holds its own name; if a row repeats the names of the columns, remove it")
    return notes


def _counts_rows(numbers: np.ndarray) -> bool:
    """Whether numbers (N,) increase by one from row to row."""
    if len(numbers) < 3 or float(numbers[1]) - float(numbers[0]) != 1:  # a fast answer for most columns
        return False
    with np.errstate(over="ignore"):
        return bool((np.diff(numbers) == 1).all())


def _ends_with_sum(numbers: np.ndarray) -> bool:
    """Whether the last of numbers (N,) is the sum of the others, apart from rounding."""
    last = float(numbers[-1])
    if len(numbers) <= _FEW or last == 0 or last != last:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(numbers[:-1].sum())
        total = float(np.nansum(numbers[:-1])) if total != total else total
    return abs(total - last) <= 1e-6 * abs(last)


def _marks_among(numbers: np.ndarray, lowest: float, highest: float) -> list[float]:
    """Repeated numbers such as -999 that are far from the others, or negative where no other number is."""
    if not (_is_mark(lowest) or _is_mark(highest)):
        return []
    distinct, counts = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
    marks = [float(value) for value in distinct[counts >= _REPETITIONS] if _is_mark(float(value))]
    others = distinct[~np.isin(distinct, marks)]
    if len(others) < 2:
        return []
    low, high = others[0], others[-1]
    far = high - low
    return [mark for mark in marks if mark < low - far or mark > high + far or (mark < -1 and low >= 0)]


def _is_mark(value: float) -> bool:
    """Whether a number is -1, or two to six times the same digit."""
    if value == -1:
        return True
    digits = f"{abs(value):.0f}"
    return value == round(value) and 2 <= len(digits) <= 6 and len(set(digits)) == 1 and value != 0


def _are_days(numbers: np.ndarray) -> bool:
    """Whether numbers are dates such as 20230131."""
    there = numbers[~np.isnan(numbers)]
    months, days = there // 100 % 100, there % 100
    return bool(((there == np.round(there)) & (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)).all())
