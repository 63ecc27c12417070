"""The types of the operations' parameters, as annotations for readers and for Numba.

All arrays are C-ordered. `real` is float32 or float64, one of them throughout a network.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import numpy as np
from numba import types

from fastmlp.kernels.cpu.team.slim_arrays import SlimArray, as_slim

__all__ = [
    *("Columns", "Indices", "Labels", "Matrix", "Parameters", "Samples", "Targets", "Vector", "Weights"),
    "numba_signature",
]


class Layout(NamedTuple):
    """Dimensions and element type of an array; without an element type it has the network's real type."""

    dimensions: int
    element: types.Type | None = None
    readonly: bool = False


Matrix = Annotated[np.ndarray, Layout(2)]
"""(rows, columns) real."""

Vector = Annotated[np.ndarray, Layout(1)]
"""(n,) real."""

Indices = Annotated[np.ndarray, Layout(1, types.int64)]
"""(n,) int64, which samples."""

Samples = Annotated[np.ndarray, "samples"]
"""(N, I) of any real dtype, read-only."""

Labels = Annotated[np.ndarray, Layout(1, types.int64, readonly=True)]
"""(N,) int64, read-only."""

Targets = Annotated[np.ndarray, Layout(2, readonly=True)]
"""(N, O) real, read-only."""

Weights = Annotated[np.ndarray, Layout(1, readonly=True)]
"""(N,) real, read-only."""

Columns = Annotated[np.ndarray, Layout(1, types.int32, readonly=True)]
"""(nnz,) int32, read-only."""

Parameters = Annotated[np.ndarray, Layout(1, types.float64)]
"""(K,) float64."""

_NUMBERS = {int: types.int64, float: types.float64, bool: types.boolean}


def numba_signature(operation: Callable, team: types.NamedTuple, samples: types.Type):
    """Numba's types of an operation: (result, (team, parameters, …)), with slim arrays.

    The team's scratch has the dtype of the network; samples is the type of the data array.
    """
    real = team.types[team.fields.index("scratch")].dtype

    def slim_array(layout: Layout) -> types.Type:
        return SlimArray(layout.element or real, layout.dimensions, layout.readonly)

    def kind(annotation: Any) -> types.Type:
        if annotation is Samples:
            return as_slim(samples)
        return _NUMBERS.get(annotation) or slim_array(*annotation.__metadata__)

    signature = inspect.signature(operation)
    parameters = list(signature.parameters.values())[1:]
    result = types.float64 if signature.return_annotation is float else types.none
    return result, (as_slim(team), *(kind(p.annotation) for p in parameters))
