"""Columns of a table as inputs of an ONNX graph, and the features that they become."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fastmlp.exporting.onnx_model import OnnxModel
from fastmlp.tables.encoding.columns import FIRST_MONDAY, PERIODS, CategoryColumn, Column, MomentColumn, NumberColumn
from fastmlp.tables.encoding.encoder import TableEncoder
from fastmlp.tables.exporting.spellings import codes_by_text, number_of

__all__ = ["add_columns"]


def add_columns(g: OnnxModel, encoder: TableEncoder) -> str:
    """Add an input (N, 1) for each column; the features (N, I) float32.

    The graph's dtype is to be float64: of numbers with many digits float32 would lose what varies.
    """
    marks = encoder.missing_values
    inputs = [g.add_input(column.name, _dtype(column), 1, _meaning(column)) for column in encoder.columns]
    features = [
        _category(g, column, x, marks)
        if isinstance(column, CategoryColumn)
        else _number(g, column, x, marks if isinstance(column, NumberColumn) else ())
        for column, x in zip(encoder.columns, inputs, strict=True)
    ]
    return g("Concat", *features, axis=1)


def _dtype(column: Column) -> type:
    return object if isinstance(column, CategoryColumn) else np.float64


def _meaning(column: Column) -> str:
    if isinstance(column, CategoryColumn):
        return f"one of the texts {', '.join(map(repr, column.categories))}; an empty text is a missing value"
    if isinstance(column, MomentColumn):
        return "seconds since 1970-01-01; NaN is a missing value"
    unit = f" in {column.notation.unit}" if column.notation.unit else ""
    return f"a number{unit}; NaN is a missing value"


def _number(g: OnnxModel, column: NumberColumn | MomentColumn, x: str, marks: Sequence[str]) -> str:
    """The features (N, F) of numbers or moments."""
    absent = g("IsNaN", x)
    for mark in marks:
        number = number_of(mark)
        if not math.isnan(number):
            absent = g("Or", absent, g("Equal", x, number))
    filled = g("Where", absent, column.fill, x)
    features = [g("Div", g("Sub", filled, column.shift), column.scale)]
    if column.has_missing:
        features.append(g.cast(absent, g.dtype))
    for period in column.periods if isinstance(column, MomentColumn) else ():
        turns = g("Div", g("Sub", filled, FIRST_MONDAY), PERIODS[period])
        phase = g("Mul", g("Sub", turns, g("Floor", turns)), 2 * math.pi)
        phase = g.cast(phase, np.float32)  # onnxruntime has no float64 Cos
        features += [g.cast(g(wave, phase), g.dtype) for wave in ("Sin", "Cos")]
    return g.cast(features[0] if len(features) == 1 else g("Concat", *features, axis=1), np.float32)


def _category(g: OnnxModel, column: CategoryColumn, x: str, marks: Sequence[str]) -> str:
    """The number of the category (N, 1), or ones and zeros (N, K)."""
    codes = codes_by_text(column, marks)
    code = g("LabelEncoder", x, keys_strings=list(codes), values_int64s=list(codes.values()), default_int64=-1)
    if column.coded:
        return g.cast(code, np.float32)
    return g.cast(g("Equal", code, g.constant(np.arange(len(column.labels))[None])), np.float32)
