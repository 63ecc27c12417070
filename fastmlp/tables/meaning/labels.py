"""Labels of categories and classes, compared by value: 1, 1.0 and the number 1 are the same."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.dictionary_encoding import as_texts, category_codes, is_dictionary_encoded
from fastmlp.tables.frames import polars_module

if TYPE_CHECKING:
    import polars

__all__ = ["alike", "code_of", "codes_of", "label_counts", "label_index", "labels_of", "sort_labels"]

_MOST_DIGITS = 15  # that float64 keeps
# Numbers as programs write them. 007 and 1E2 may be codes, so they are compared as texts.
_WHOLE = re.compile(r"([+-]?(?:0|[1-9][0-9]{0,14}))(?:[.,]0*)?")
_DECIMAL = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,14})[.][0-9]+")
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))


def labels_of(values: polars.Series) -> polars.Series:
    """Convert N values to texts as a CSV file would hold them; dictionary-encoded texts stay encoded.

    Raises
    ------
    InputError : values of a type that a CSV file cannot hold, such as lists.
    """
    pl = polars_module()
    kind = values.dtype
    if kind.is_nested() or kind in (pl.Duration, pl.Binary, pl.Object):
        raise InputError(f"Column {values.name!r} is of the type {kind}, which holds no labels. Convert it to text.")
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
    """Count each distinct label, without nulls.

    If all labels are whole numbers, 1 and 1.0 are the same label, written as whichever sorts first. If others, such as
    V27, show that the labels are codes, 250 and 250.0 are different ones.
    """
    counts = sorted(labels.drop_nulls().value_counts().iter_rows())
    if not all(_WHOLE.fullmatch(text) for text, _ in counts):
        return dict(counts)
    numbers: dict[object, int] = {}
    shown: dict[object, str] = {}
    for text, count in counts:
        key = _key(text)
        numbers[key] = numbers.get(key, 0) + count
        shown.setdefault(key, text)
    return {shown[key]: count for key, count in numbers.items()}


def alike(labels: Iterable[str]) -> list[list[str]]:
    """Return groups of labels that differ only by case, whitespace or invisible characters."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        seen = unicodedata.normalize("NFKC", label).translate(_INVISIBLE)
        groups.setdefault(" ".join(seen.casefold().split()), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def label_index(known: Sequence[str]) -> dict[object, int]:
    """Return the lookup table of `codes_of`, from a label's text, and from its value if unique, to its index."""
    keys = [_key(label) for label in known]
    counts = Counter(keys)
    by_value: dict[object, int] = {key: code for code, key in enumerate(keys) if counts[key] == 1}
    return by_value | {label: code for code, label in enumerate(known)}


def codes_of(labels: polars.Series, index: Mapping[object, int]) -> tuple[np.ndarray, polars.Series]:
    """Return the codes (N,) int64 of labels by a `label_index`, -1 for unknown labels and null; and the unknown labels.

    A label whose text is unknown gets the code of the known label with the same value, if there is exactly one.
    """
    pl = polars_module()
    if is_dictionary_encoded(labels):
        categories = labels.dtype.categories.to_list()  # type: ignore[attr-defined]
        by_number = np.array([*(code_of(text, index) for text in categories), -1])
        numbers = category_codes(labels)
        codes_found = by_number[numbers]
        others = labels.filter((codes_found < 0) & (numbers < len(categories)))
        return codes_found, as_texts(others)
    distinct = labels.drop_nulls().unique()
    codes = [code_of(text, index) for text in distinct.to_list()]
    numbers = pl.Series(codes, dtype=pl.Int64)
    found = labels.replace_strict(distinct, numbers, default=-1, return_dtype=pl.Int64).fill_null(-1)
    unknown = distinct.filter(numbers < 0)
    return found.to_numpy(), labels.filter(labels.is_in(unknown.implode())) if len(unknown) else unknown


def code_of(text: str, index: Mapping[object, int]) -> int:
    """Return the code of a text by a `label_index`, -1 for an unknown text."""
    return index[text] if text in index else index.get(_key(text), -1)


def sort_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Sort distinct labels: by value if all are numbers, else by character."""
    every = sorted(labels)
    numbers = [_number(text) for text in every]
    if any(number is None for number in numbers):
        return tuple(every)
    return tuple(text for _, text in sorted(zip(numbers, every, strict=True)))  # type: ignore[type-var]


def _number(text: str) -> float | None:
    """The finite number that a text represents; None for any other text."""
    if "_" in text:  # float() accepts 1_2, which is more likely a code than 12
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _key(text: str) -> object:
    whole = _WHOLE.fullmatch(text)
    if whole:
        return float(whole[1])
    if _DECIMAL.fullmatch(text):
        return float(text)
    folded = text.lower()
    return folded if folded in ("true", "false") else text
