"""Flat buffers of parameters in which the engine computes, and the arrays whose values they have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import issparse

from fastmlp.interchange import as_numpy
from fastmlp.network import Layout

__all__ = ["Buffer", "values_of"]


@dataclass
class Buffer:
    """Flat parameters, and the sessions of an engine that work on them."""

    layout: Layout
    params: np.ndarray  # (P,)
    arrays: list[Any] = field(default_factory=list)  # whose values these are; empty: views of params
    sessions: dict = field(default_factory=dict)

    @property
    def views(self) -> list[np.ndarray]:
        """Of params: each weight matrix (I, O), then each bias (O,)."""
        return [*self.layout.weights(self.params), *self.layout.biases(self.params)]

    def read(self) -> None:
        """Bring the values of the arrays into the parameters."""
        for view, array in zip(self.views, self.arrays, strict=False):
            view[...] = values_of(array)

    def write(self) -> None:
        """Bring the parameters into the arrays."""
        for view, array in zip(self.views, self.arrays, strict=False):
            array[...] = view.reshape(array.shape)


def values_of(array: Any) -> Any:
    """A weight matrix as an array: pruned ones may be sparse."""
    return array.toarray() if issparse(array) else as_numpy(array)
