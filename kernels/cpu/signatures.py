"""The types of the operations' parameters, as annotations that say both what a reader and what Numba must know.

All arrays are C-ordered. `real` is float32 or float64, one of them throughout a network.
"""

import inspect
from collections.abc import Callable

from fastmlp.kernels.cpu.window import Window, as_windows
from numba import types

__all__ = [
    *("Columns", "Indices", "Labels", "Matrix", "Parameters", "Samples", "Targets", "Vector", "Weights"),
    "numba_signature",
]


class Matrix:
    """(rows, columns) real."""


class Vector:
    """(n,) real."""


class Indices:
    """(n,) int64, which samples."""


class Samples:
    """(N, I) of any real dtype, read-only."""


class Labels:
    """(N,) int64, read-only."""


class Targets:
    """(N, O) real, read-only."""


class Weights:
    """(N,) real, read-only."""


class Columns:
    """(nnz,) int32, read-only."""


class Parameters:
    """(K,) float64."""


def numba_signature(operation: Callable, team: types.NamedTuple, samples: types.Type):
    """Numba's types of an operation: (result, (team, parameters, …)), arrays as windows.

    The team's scratch has the dtype of the network; samples is the type of the data array.
    """
    team, samples = as_windows(team), as_windows(samples)
    real = team.types[team.fields.index("scratch")].dtype
    kinds = {
        int: types.int64,
        float: types.float64,
        bool: types.boolean,
        Matrix: Window(real, 2),
        Vector: Window(real, 1),
        Indices: Window(types.int64, 1),
        Samples: samples,
        Labels: Window(types.int64, 1, readonly=True),
        Targets: Window(real, 2, readonly=True),
        Weights: Window(real, 1, readonly=True),
        Columns: Window(types.int32, 1, readonly=True),
        Parameters: Window(types.float64, 1),
    }
    parameters = list(inspect.signature(operation).parameters.values())[1:]
    result = types.float64 if inspect.signature(operation).return_annotation is float else types.none
    return result, (team, *(kinds[p.annotation] for p in parameters))
