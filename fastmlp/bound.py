"""A prediction with its buffers and compiled code found once: what is left of a call is the arithmetic.

Compiled code is bound to arrays, so a few samples are copied into one that is always the same. Many are read where they
lie: to bind the code to them takes less than copying them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastmlp.backends.base import Backend
from fastmlp.network import Data, Network

__all__ = ["BoundPrediction"]

_KEPT = 64  # numbers of rows for which compiled code stays bound
_COPIED = 1 << 18  # bytes of samples, up to which they are copied: that takes less than 10 µs


class BoundPrediction:
    """Outputs of the last layer of a network for up to `rows` samples, for one thread at a time.

    Parameters
    ----------
    backend : Backend
        One whose memory is the host's.
    net, operations
        The network, whose parameters are read at each call, and what the backend runs on it.
    rows : int
        Samples of a call at most.
    """

    def __init__(self, backend: Backend, net: Network, operations: Any, rows: int) -> None:
        inputs, self._outputs, self._dtype = int(net.fan_in[0]), int(net.fan_out[-1]), net.params.dtype
        self._order = np.arange(rows)
        few = min(rows, max(1, _COPIED // (inputs * self._dtype.itemsize)))
        self._x, self._out = (np.zeros((few, columns), self._dtype) for columns in (inputs, self._outputs))

        def bound_to(x: np.ndarray, out: np.ndarray) -> Callable[[], float]:
            samples, order = Data.of(x, self._dtype), self._order[: len(out)]
            return backend.repeatable("predict", operations, net, samples, order, len(net.fan_out), out.reshape(-1))

        self._bound_to = bound_to
        self._runs = {few: bound_to(self._x, self._out)}  # by the number of rows

    def predict(self, x: np.ndarray) -> tuple[np.ndarray, bool]:
        """Outputs (n, O), a new array, for x (n, I) of any real dtype; and whether x is finite."""
        n = len(x)
        if n > len(self._x):
            out = np.empty((n, self._outputs), self._dtype)
            return out, self._bound_to(np.ascontiguousarray(x, self._dtype), out)() == 0
        self._x[:n] = x
        run = self._runs.get(n)
        if run is None:
            if len(self._runs) == _KEPT:
                self._runs.clear()
            run = self._runs[n] = self._bound_to(self._x, self._out[:n])
        finite = run() == 0
        return self._out[:n].copy(), finite
