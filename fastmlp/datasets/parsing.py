"""From texts to numbers."""

import math
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from fastmlp.errors import InputError

__all__ = ["mean_and_std", "parse_number", "parse_numbers", "sort_texts"]


def parse_number(text: str) -> float | None:
    """Read a number, finite or not; None for any other text."""
    if "_" in text:  # float() takes 1_2, which is more likely a code than 12
        return None
    try:
        return float(text)
    except ValueError:
        return None


def parse_numbers(name: str, texts: Sequence[str], missing: Collection[str]) -> np.ndarray:
    """Read the numbers of a column.

    Parameters
    ----------
    name : of the column.
    texts : N texts.
    missing : the texts that stand for no value.

    Returns
    -------
    numbers (N,) float64, finite, or NaN where a value is missing.

    Raises
    ------
    InputError : a text that is neither missing nor a finite number.
    """
    # Most columns repeat their values, so that each distinct text is read once.
    present = {text: parse_number(text) for text in set(texts).difference(missing)}
    bad = {text for text, number in present.items() if number is None or not math.isfinite(number)}
    if bad:
        row = next(row for row, text in enumerate(texts) if text in bad)
        raise InputError(
            f"Column {name!r} holds {texts[row]!r} in row {row + 1}, which is not a finite number. Correct "
            "it; or list it in missing_values, the column in categorical or drop_columns; or, for a target, "
            "choose task='classification'."
        )
    numbers = {**present, **dict.fromkeys(missing, math.nan)}
    return np.fromiter(map(numbers.__getitem__, texts), np.float64, len(texts))


def mean_and_std(name: str, numbers: np.ndarray) -> tuple[float, float]:
    """Give mean and standard deviation (of the population), the latter 1 where all numbers are equal.

    Parameters
    ----------
    name : of the column, for the error.
    numbers (N,) float64, finite, N at least 1.

    Raises
    ------
    InputError : numbers too large to be squared.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = float(numbers.mean()), float(numbers.std())
    if not math.isfinite(mean) or not math.isfinite(std):
        raise InputError(
            f"Column {name!r} holds numbers up to {np.abs(numbers).max():g}, too large for a mean and a "
            "standard deviation. Scale them down, or list the column in drop_columns."
        )
    # The mean of equal numbers may be off by a rounding, which would pass for a deviation.
    return mean, std if std > 0 and numbers.min() < numbers.max() else 1.0


def sort_texts(texts: Iterable[str]) -> tuple[str, ...]:
    """Sort the distinct texts, by value where all of them are numbers, else by character."""
    distinct = sorted(set(texts))
    numbered = [(number, text) for text in distinct if (number := parse_number(text)) is not None]
    if len(numbered) < len(distinct) or any(math.isnan(number) for number, _ in numbered):
        return tuple(distinct)
    return tuple(text for _, text in sorted(numbered))
