"""Bins, indicators and means of the target as nodes of an ONNX graph."""

from __future__ import annotations

import numpy as np

from fastmlp.exporting.onnx_nodes import Graph
from fastmlp.tables.features.bins import Binned
from fastmlp.tables.features.categories import Indicators, TargetMeans
from fastmlp.tables.features.expansion import Expansion

__all__ = ["add_expansion"]


def add_expansion(g: Graph, expansion: Expansion, x: str, dtype: type) -> str:
    """Add the features (N, W) of samples x (N, I), both of the dtype; the graph's is to be float64."""
    parts = []
    for columns, _, column in expansion.runs():
        values = g("Gather", x, g.constant(np.arange(columns.start, columns.stop)), axis=1)
        parts.append(values if column is None else g.cast(_added(g, column, values), dtype))
    return parts[0] if len(parts) == 1 else g("Concat", *parts, axis=1)


def _added(g: Graph, column: Binned | Indicators | TargetMeans, values: str) -> str:
    """The features (N, F) float64 of one column (N, 1)."""
    if isinstance(column, TargetMeans):
        # the code -1, of an unknown category, is the last row
        rows = g.constant(np.array([*column.means, column.unknown]))
        codes = g("Reshape", g.cast(values, np.int64), g.constant(np.array([-1])))
        return g("Gather", rows, codes, axis=0)
    values = g.cast(values, g.dtype)
    if isinstance(column, Binned):
        edges = np.array(column.edges)
        places = g("Div", g("Sub", values, g.constant(edges[None, :-1])), g.constant(np.diff(edges)[None]))
        return g("Concat", values, g("Min", g("Max", places, 0.0), 1.0), axis=1)
    if column.categories == 2:
        return g("Where", g("Less", values, 0.0), 0.0, g("Sub", g("Mul", values, 2.0), 1.0))
    return g.cast(g("Equal", values, g.constant(np.arange(float(column.categories))[None])), g.dtype)
