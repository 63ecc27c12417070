"""A prediction with its buffers and compiled code found once: what is left of a call is a copy and the arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastmlp.backends.base import Backend
from fastmlp.network import Data, Network

__all__ = ["BoundPrediction"]

_KEPT = 64  # numbers of rows for which compiled code stays bound


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
        inputs, outputs, dtype, depth = int(net.fan_in[0]), int(net.fan_out[-1]), net.params.dtype, len(net.fan_out)
        self._x, flat = np.zeros((rows, inputs), dtype), np.zeros(rows * outputs, dtype)
        self._out, self._order = flat.reshape(rows, outputs), np.arange(rows)
        arguments = "predict", operations, net, Data.of(self._x, dtype)
        self._make_run = lambda n: backend.repeatable(*arguments, self._order[:n], depth, flat)
        self._runs: dict[int, Callable[[], Any]] = {rows: self._make_run(rows)}  # by the number of rows

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Outputs (n, O), a new array, for x (n, I) of any real dtype."""
        n = len(x)
        self._x[:n] = x
        run = self._runs.get(n)
        if run is None:
            if len(self._runs) == _KEPT:
                self._runs.clear()
            run = self._runs[n] = self._make_run(n)
        run()
        return self._out[:n].copy()
