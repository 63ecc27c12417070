"""A prediction with its buffers and compiled code found once: what is left of a call is a copy and the arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.network import Data

if TYPE_CHECKING:
    from fastmlp.engine import Engine

__all__ = ["BoundPrediction"]


class BoundPrediction:
    """Outputs of an engine's last layer for up to `rows` samples, for one thread at a time.

    Parameters
    ----------
    engine : on a backend whose memory is the host's. Its parameters are read at each call.
    rows : samples of a call at most.
    at_once : samples that go through the network together.
    """

    def __init__(self, engine: Engine, rows: int, at_once: int) -> None:
        inputs, outputs, dtype = engine.layout.sizes[0], engine.layout.sizes[-1], engine.params.dtype
        self.net = engine.network(engine.params, at_once)
        operations = engine.backend.operations(self.net, at_once, engine.n_threads, engine.formulas())
        self._x, flat = np.zeros((rows, inputs), dtype), np.zeros(rows * outputs, dtype)
        self._out, self._order, depth = flat.reshape(rows, outputs), np.arange(rows), len(engine.layout.sizes) - 1
        arguments = "predict", operations, self.net, Data.of(self._x, dtype)
        self._make_run = lambda n: engine.backend.repeatable(*arguments, self._order[:n], depth, flat)
        self._runs: dict[int, Callable[[], Any]] = {rows: self._make_run(rows)}  # by the number of rows

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Outputs (n, O), a new array, for x (n, I) of any real dtype."""
        n = len(x)
        self._x[:n] = x
        run = self._runs.get(n)
        if run is None:
            run = self._runs[n] = self._make_run(n)
        run()
        return self._out[:n].copy()
