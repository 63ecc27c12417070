"""Categories and classes by their value: 1, 1.0 and the number 1 are the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastmlp.tables.frames import polars_module
from fastmlp.tables.repeats import as_texts, is_coded, numbers_of_texts

if TYPE_CHECKING:
    import polars

__all__ = ["codes_of", "label_counts", "label_index", "labels_of", "number_in", "sort_labels"]

_MOST_DIGITS = 15  # that float64 tells apart


def labels_of(values: polars.Series) -> polars.Series:
    """Give N values of any type as texts, coded ones or not, as a CSV file would have them."""
    pl = polars_module()
    if values.dtype.is_float():
        whole = (values == values.round()) & (values.abs() < 10**_MOST_DIGITS)
        frame = values.to_frame().select(
            pl.when(whole)
            .then(pl.first().cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(pl.first().cast(pl.String))
        )
        return frame.to_series()
    return values if isinstance(values.dtype, (pl.String, pl.Enum)) else values.cast(pl.String)


def label_counts(labels: polars.Series) -> dict[str, int]:
    """Give how many of N labels have each value, by the first in the order of characters that has it; no nulls."""
    counts = labels.drop_nulls().value_counts()
    numbers: dict[object, int] = {}
    shown: dict[object, str] = {}
    for text, count in sorted(counts.iter_rows()):
        key = _key(text)
        numbers[key] = numbers.get(key, 0) + count
        shown.setdefault(key, text)
    return {shown[key]: count for key, count in numbers.items()}


def label_index(known: Sequence[str]) -> dict[object, int]:
    """Give the number of each of some labels, as `codes_of` looks them up."""
    return {_key(label): code for code, label in enumerate(known)}


def codes_of(labels: polars.Series, index: Mapping[object, int]) -> tuple[np.ndarray, polars.Series]:
    """Give the numbers (N,) int64 of labels by a `label_index`, -1 for others and null; and those of the others."""
    pl = polars_module()
    if is_coded(labels):
        categories = labels.dtype.categories.to_list()  # type: ignore[attr-defined]
        by_number = np.array([*(index.get(_key(text), -1) for text in categories), -1])
        numbers = numbers_of_texts(labels)
        codes_found = by_number[numbers]
        others = labels.filter((codes_found < 0) & (numbers < len(categories)))
        return codes_found, as_texts(others)
    distinct = labels.drop_nulls().unique()
    codes = pl.Series([index.get(_key(text), -1) for text in distinct.to_list()], dtype=pl.Int64)
    found = labels.replace_strict(distinct, codes, default=-1, return_dtype=pl.Int64).fill_null(-1)
    unknown = distinct.filter(codes < 0)
    return found.to_numpy(), labels.filter(labels.is_in(unknown.implode())) if len(unknown) else unknown


def sort_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Sort different labels, by value where all of them are numbers, else by character."""
    every = sorted(labels)
    numbers = [number_in(text) for text in every]
    if any(number is None for number in numbers):
        return tuple(every)
    return tuple(text for _, text in sorted(zip(numbers, every, strict=True)))  # type: ignore[type-var]


def number_in(text: str) -> float | None:
    """Give the finite number that a text is; None for any other text."""
    if "_" in text:  # float() takes 1_2, which is more likely a code than 12
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _key(text: str) -> object:
    number = number_in(text)
    if number is not None and sum(map(str.isdigit, text)) <= _MOST_DIGITS:
        return number
    folded = text.lower()
    return folded if folded in ("true", "false") else text
