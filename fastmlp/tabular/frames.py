"""Data frames and arrays as tables for the encoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmlp.datasets import Table

__all__ = ["NO_TARGET", "as_table", "is_frame"]

NO_TARGET = "\0target"  # of a table whose targets are known apart


def is_frame(data: Any) -> bool:
    """Whether the data are a frame of pandas, Polars or another library with the same protocol."""
    return hasattr(data, "__dataframe__")


def as_table(data: Any, target: str | None = None) -> Table:
    """A frame or an array (N, I) as a table; with a column of zeros of the name `target`, if one is given."""
    if is_frame(data):
        names, columns = [str(name) for name in data.columns], [data[name].to_numpy() for name in data.columns]
    else:
        names, columns = [f"x{i}" for i in range(data.shape[1])], list(data.T)
    texts = [tuple(map(_text, column.tolist())) for column in columns]
    if target is not None:
        names, texts = [*names, target], [*texts, ("0",) * len(data)]
    return Table(tuple(names), tuple(texts))


def _text(value: object) -> str:
    missing = value is None or str(value) in ("<NA>", "NaT", "nan")  # of any library
    return "" if missing else repr(float(value)) if isinstance(value, (bool, int, float, np.number)) else str(value)
