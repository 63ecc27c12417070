"""Numbers that are likely not meant as numbers: marks of missing values, and counts of the rows."""

from __future__ import annotations

import numpy as np

__all__ = ["counts_rows", "mark_among"]

_MARKS = frozenset([-1.0, *(sign * (10.0**digits - 1) for digits in (2, 3, 4, 5) for sign in (-1, 1))])
_TIMES = 3  # a single 999 is a measurement


def mark_among(numbers: np.ndarray, lowest: float, highest: float) -> float | None:
    """Give a number such as -999 that stands for a missing value by all appearance; None if there is none.

    Such a number is the least or the largest one of all, comes several times, and is further from the others than
    these are from one another.

    Parameters
    ----------
    numbers (N,) float64, NaN where one is missing.
    lowest, highest : of them.
    """
    for end in (lowest, highest):
        if end not in _MARKS:
            continue
        is_end = numbers == end
        others = numbers[~is_end & ~np.isnan(numbers)]
        if is_end.sum() < _TIMES or not others.size:
            continue
        gap = others.min() - end if end == lowest else end - others.max()
        if gap > np.ptp(others) > 0:
            return end
    return None


def counts_rows(numbers: np.ndarray) -> bool:
    """Whether numbers (N,) are 0, 1, 2, … or 1, 2, 3, …, as of rows that were numbered."""
    return len(numbers) > 2 and numbers[0] in (0.0, 1.0) and bool((np.diff(numbers) == 1).all())
