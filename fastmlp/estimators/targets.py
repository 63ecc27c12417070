"""What a y is for the network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Targets", "one_hot"]


class Targets(NamedTuple):
    """Targets of N samples: labels or values, and the weights of their classes."""

    labels: np.ndarray | None  # (N,) int64 class indices of more than two classes
    values: np.ndarray | None  # (N, O) otherwise: zeros and ones, or real numbers
    n_outputs: int
    class_weight: np.ndarray | None = None  # (N,): of each sample's class

    @property
    def array(self) -> np.ndarray:
        """Labels or values, whichever there are."""
        return self.labels if self.labels is not None else self.values  # type: ignore[return-value]


def one_hot(targets: Targets) -> np.ndarray:
    """Targets of a classifier as zeros and ones (N, O), of type bool."""
    if targets.labels is None:
        return np.asarray(targets.values, bool)
    return targets.labels[:, None] == np.arange(targets.n_outputs)
