"""Functions in Python that compiled code calls."""

from __future__ import annotations

from ctypes import CFUNCTYPE, POINTER, c_double, c_float, c_int64, c_void_p, cast
from math import nan

import numpy as np

from fastmlp.backends.base import Reduction

__all__ = ["HostFunction"]

_C_TYPE = CFUNCTYPE(c_double, c_int64, c_int64, c_void_p, c_double)
_REAL = {np.dtype(np.float32): c_float, np.dtype(np.float64): c_double}


class HostFunction:
    """An `all_reduce` of host arrays as a C function of (shard, rows, address of the gradient, loss).

    An exception cannot pass through compiled code: `raise_failure` raises it afterwards. Until then the function gives
    NaN and does nothing.

    Attributes
    ----------
    address : int
        Where it lies, as long as this object lives. It takes the interpreter's lock.
    """

    def __init__(self, function: Reduction, length: int, real: np.dtype) -> None:
        pointer, arrays = POINTER(_REAL[real]), dict[int, np.ndarray]()
        self._failure: BaseException | None = None

        def on_address(shard: int, rows: int, address: int, loss: float) -> float:
            gradient = arrays.get(address)
            if gradient is None:  # NumPy takes longer to make one than a small network's step takes
                gradient = arrays[address] = np.ctypeslib.as_array(cast(address, pointer), (length,))
            if self._failure is None:
                try:
                    return function(shard, rows, gradient, loss)
                except BaseException as error:
                    self._failure = error
            return nan

        self._kept = _C_TYPE(on_address)
        self.address = cast(self._kept, c_void_p).value or 0

    def raise_failure(self) -> None:
        """Raise what the function raised since the last time."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
