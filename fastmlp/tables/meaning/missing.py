"""Missing values: the texts and numbers that mark them, and columns with null or NaN in their place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from fastmlp.tables.dictionary_encoding import as_texts, is_dictionary_encoded
from fastmlp.tables.frames import polars_module
from fastmlp.tables.meaning.notation import Notation

if TYPE_CHECKING:
    import polars

__all__ = ["MISSING_VALUES", "POLICIES", "array_of", "matrix_of", "present"]

POLICIES = ("error", "drop", "impute")
MISSING_VALUES = (
    *("", "NA", "N/A", "n/a", "na", "#N/A", "#NA", "<NA>", "NaN", "nan", "-nan", "NULL", "Null", "null"),
    *("None", "none", "-", "--", "—", "?", ".", "NaT", "#NULL!", "#DIV/0!", "#VALUE!"),
)


def present(values: polars.Series, marks: Collection[str], notation: Notation | None = None) -> polars.Series:
    """Return N values of a table with null in place of missing ones: empty texts, NaN and the given marks.

    A mark that is a number is compared by value, so -999 also matches -999.00, and numbers in `notation` if given.
    """
    pl = polars_module()
    if isinstance(values.dtype, (pl.String, pl.Enum)):
        coded = _numbers_in(tuple(marks))
        if is_dictionary_encoded(values) and not coded and set(values.dtype.categories).isdisjoint(["", *marks]):  # type: ignore[attr-defined]
            return values
        is_mark = pl.first().is_in(["", *marks])
        values = as_texts(values) if coded else values
        frame = values.to_frame()
        if coded:
            numbers = values.cast(pl.Float64, strict=False) if notation is None else notation.read(values)
            frame = frame.with_columns(numbers.is_in(coded).fill_null(False).alias("\0coded"))
            is_mark |= pl.last()
        return frame.select(pl.when(~is_mark).then(pl.first())).to_series()
    if values.dtype.is_numeric():
        absent = pl.Series(np.isnan(array_of(values, marks)))
        return values.to_frame().select(pl.when(~absent).then(pl.first())).to_series()
    return values


def array_of(numbers: polars.Series, marks: Collection[str] = ()) -> np.ndarray:
    """Convert a column of numbers to float64 (N,), NaN for null and for numbers among the marks."""
    pl = polars_module()
    array: np.ndarray = (numbers if numbers.dtype == pl.Float64 else numbers.cast(pl.Float64)).to_numpy()
    coded = _numbers_in(tuple(marks))
    return np.where(np.isin(array, coded), np.nan, array) if coded else array


def matrix_of(columns: Sequence[polars.Series], marks: Collection[str] = ()) -> np.ndarray:
    """Convert K columns of numbers as `array_of` does, to a writable float64 array (K, N)."""
    pl = polars_module()
    frame = pl.DataFrame(columns)
    frame = frame if set(frame.dtypes) == {pl.Float64} else frame.cast(pl.Float64)
    matrix: np.ndarray = frame.to_numpy(order="fortran", writable=True).T
    coded = _numbers_in(tuple(marks))
    if coded:
        matrix[np.isin(matrix, coded)] = np.nan
    return matrix


@lru_cache(maxsize=8)
def _numbers_in(marks: tuple[str, ...]) -> list[float]:
    numbers = []
    for mark in marks:
        try:
            numbers.append(float(mark))
        except ValueError:
            continue
    return [number for number in numbers if number == number]
