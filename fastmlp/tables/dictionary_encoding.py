"""Texts that repeat, as numbers of the different ones: a byte or two each, in place of sixteen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.tables.frames import polars_module

if TYPE_CHECKING:
    import polars

__all__ = ["as_texts", "category_codes", "dictionary_encoded", "is_dictionary_encoded", "numbers_of_texts"]

_ROWS = 1 << 13  # from which on it pays
_LOOKED_AT = 1 << 10
_MOST = 1 << 12  # different texts


def dictionary_encoded(frame: Any) -> Any:
    """Give a DataFrame with columns of repeated texts as Enum; those of short or lazy frames stay as they are."""
    pl = polars_module()
    if not isinstance(frame, pl.DataFrame) or frame.height < _ROWS:
        return frame
    for name, kind in frame.schema.items():
        if kind == pl.String and frame[name].head(_LOOKED_AT).n_unique() <= _LOOKED_AT // 2:
            texts = frame[name]
            distinct = texts.unique().drop_nulls()
            if len(distinct) <= _MOST:
                frame = frame.with_columns(texts.cast(pl.Enum(distinct)))
    return frame


def is_dictionary_encoded(values: polars.Series) -> bool:
    """Whether N values are texts by their numbers."""
    return isinstance(values.dtype, polars_module().Enum)


def as_texts(values: polars.Series) -> polars.Series:
    """Give texts (N,) themselves, of texts by their numbers or not."""
    return values.cast(polars_module().String) if is_dictionary_encoded(values) else values


def category_codes(values: polars.Series) -> np.ndarray:
    """Give the number of each text (N,) among the K categories of its type, K for null."""
    pl = polars_module()
    missing = len(values.dtype.categories)  # type: ignore[attr-defined]
    return values.to_physical().cast(pl.Int32).fill_null(missing).to_numpy()


def numbers_of_texts(values: polars.Series, read: Callable[[polars.Series], polars.Series]) -> np.ndarray:
    """Give float64 (N,) of N texts, NaN for null: what `read` makes of texts, of each once where they are coded."""
    if not is_dictionary_encoded(values):
        return read(values).to_numpy()
    distinct = values.drop_nulls().unique()
    table = np.full(len(values.dtype.categories) + 1, np.nan)  # type: ignore[attr-defined]
    table[category_codes(distinct)] = read(as_texts(distinct)).to_numpy()
    return table[category_codes(values)]
