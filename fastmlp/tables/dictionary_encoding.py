"""Dictionary encoding of repeated texts: a Polars Enum takes one or two bytes a value, in place of sixteen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.tables.frames import polars_module

if TYPE_CHECKING:
    import polars

__all__ = ["as_texts", "category_codes", "dictionary_encoded", "is_dictionary_encoded", "numbers_of_texts"]

_ROWS = 1 << 13  # at least; encoding fewer does not pay
_SAMPLED = 1 << 10  # first rows, of which at most half may be different texts
_MOST = 1 << 12  # different texts


def dictionary_encoded(frame: Any) -> Any:
    """Convert columns of repeated texts to Enum; a lazy frame or one of few rows is returned unchanged."""
    pl = polars_module()
    if not isinstance(frame, pl.DataFrame) or frame.height < _ROWS:
        return frame
    for name, kind in frame.schema.items():
        if kind == pl.String and frame[name].head(_SAMPLED).n_unique() <= _SAMPLED // 2:
            texts = frame[name]
            distinct = texts.unique().drop_nulls()
            if len(distinct) <= _MOST:
                frame = frame.with_columns(texts.cast(pl.Enum(distinct)))
    return frame


def is_dictionary_encoded(values: polars.Series) -> bool:
    """Whether the values are dictionary-encoded texts."""
    return isinstance(values.dtype, polars_module().Enum)


def as_texts(values: polars.Series) -> polars.Series:
    """Return texts (N,) as String, dictionary-encoded or not."""
    return values.cast(polars_module().String) if is_dictionary_encoded(values) else values


def category_codes(values: polars.Series) -> np.ndarray:
    """Return the index (N,) int32 of each encoded text among the K categories of its dtype; K for null."""
    pl = polars_module()
    missing = len(values.dtype.categories)  # type: ignore[attr-defined]
    return values.to_physical().cast(pl.Int32).fill_null(missing).to_numpy()


def numbers_of_texts(values: polars.Series, read: Callable[[polars.Series], polars.Series]) -> np.ndarray:
    """Convert N texts to float64 (N,) by `read`, NaN for null; each distinct text once if they are encoded."""
    if not is_dictionary_encoded(values):
        return read(values).to_numpy()
    distinct = values.drop_nulls().unique()
    table = np.full(len(values.dtype.categories) + 1, np.nan)  # type: ignore[attr-defined]
    table[category_codes(distinct)] = read(as_texts(distinct)).to_numpy()
    return table[category_codes(values)]
