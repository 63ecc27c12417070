"""Predictions with buffers and compiled code that are found once, for services that predict row by row."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np

from fastmlp.array_checks import check_features
from fastmlp.engine import Engine, predictions
from fastmlp.errors import InputError
from fastmlp.losses import Loss, apply_link
from fastmlp.network import Data

__all__ = ["Predictor"]


class Predictor:
    """A function of samples (n, I), n up to `rows`: what `MLP.predict` gives for them.

    Several threads may call it at once: each call has buffers of its own. It goes on with the network's parameters as
    they are at the time of the call.

    Parameters
    ----------
    engine : Engine
        The network and where it is computed.
    loss : Loss or None
        Whose link is applied to the last layer.
    rows : int
        Samples that a call may have at most.
    batch_invariant : bool
        Whether a row's digits are the same whatever rows go with it: then rows pass one by one.
    """

    def __init__(self, engine: Engine, loss: Loss | None, rows: int, batch_invariant: bool = False) -> None:
        engine, self._link = engine.with_link(loss)
        self._engine, self._loss = replace(engine, sessions={}), loss
        self._rows, self._at_once = rows, 1 if batch_invariant else rows
        self._inputs, self._dtype = engine.layout.sizes[0], engine.params.dtype
        self._one_column = engine.layout.sizes[-1] == 1
        self._free = deque([self._engine.bound(rows, self._at_once)[1]] if engine.on_host else [])
        self._raw = self._raw_bound if engine.on_host else self._raw_on_device

    def __call__(self, x: Any) -> np.ndarray:
        """Class indices (n,), labels 0 and 1 ((n,) or (n, O)), or values, for x (n, I)."""
        out = predictions(self._loss, self.proba(x))
        return out[:, 0] if self._one_column and out.ndim == 2 else out

    def proba(self, x: Any) -> np.ndarray:
        """What the network predicts, (n, O): probabilities of the classes, rates, or values."""
        out, finite = self.outputs(self._checked(x))
        if not finite:
            check_features(x, self._inputs, self._dtype)  # which says where it is not
        return out

    def outputs(self, x: np.ndarray) -> tuple[np.ndarray, bool]:
        """What `proba` gives for x (n, I) of any real dtype, which is not looked at; and whether x is finite."""
        out, finite = self._raw(x)
        return out if self._link is None else apply_link(self._link, out), finite

    def _raw_bound(self, x: np.ndarray) -> tuple[np.ndarray, bool]:
        try:
            bound = self._free.pop()
        except IndexError:  # all are in use by other threads
            bound = self._engine.bound(self._rows, self._at_once)[1]
        answer = bound.predict(x)
        self._free.append(bound)
        return answer

    def _raw_on_device(self, x: np.ndarray) -> tuple[np.ndarray, bool]:
        try:
            return self._engine.raw_and_check(Data.of(np.ascontiguousarray(x, self._dtype), self._dtype))
        finally:
            self._engine.forget_samples()

    def _checked(self, x: Any) -> np.ndarray:
        """Samples (n, I), looked at only if kernels cannot take them as they are; these see whether they are finite."""
        as_it_is = type(x) is np.ndarray and x.dtype == self._dtype and x.ndim == 2 and x.shape[1] == self._inputs
        if not as_it_is or not len(x):
            x = check_features(x, self._inputs, self._dtype)
            x = x.toarray() if hasattr(x, "toarray") else x
        if len(x) > self._rows:
            raise InputError(f"x has {len(x)} rows, but this predictor takes {self._rows} at most. Make one for more.")
        return x
