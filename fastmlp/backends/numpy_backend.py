"""The NumPy backend: the step interpreted by Python, its operations plain NumPy."""

from __future__ import annotations

import numpy as np

from fastmlp import step
from fastmlp.backends.base import Backend
from fastmlp.backends.numpy_ops import NumpyOps
from fastmlp.losses import Loss
from fastmlp.network import Network, aligned_zeros

__all__ = ["NumpyBackend"]


class NumpyBackend(Backend):
    """Always there, starts at once, and is the reference for the others."""

    name = "numpy"

    @classmethod
    def problem(cls) -> str | None:
        return None

    def describe(self) -> str:
        return f"NumPy {np.__version__}, products by its BLAS"

    def zeros(self, n: int, dtype: np.dtype | type) -> np.ndarray:
        return aligned_zeros(n, dtype)

    def asarray(self, host: np.ndarray) -> np.ndarray:
        return host

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return array

    def operations(self, net: Network, rows: int, n_threads: int | None, loss: Loss | None = None) -> NumpyOps:
        return NumpyOps(loss)

    def prepare(self, entry, operations, *arguments) -> None:
        """Nothing: the interpreter is always ready."""

    def run(self, entry, operations, *arguments):
        # A diverging run overflows on its way to infinity; the trainer reports that from the loss, once.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
            return getattr(step, entry)(operations, *arguments)
