"""The NumPy backend: the step interpreted by Python, its operations plain NumPy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import fastmlp.step as step
from fastmlp.backends.base import Backend, Reduction
from fastmlp.backends.numpy_ops import NumpyOps
from fastmlp.backends.threads import blas_limited
from fastmlp.formulas.by_code import BUILT_IN, Formulas
from fastmlp.network import Network, aligned_zeros

__all__ = ["NumpyBackend"]


class _Limited(NamedTuple):
    """NumPy's operations, and the threads that its BLAS may have for them."""

    ops: NumpyOps
    n_threads: int | None


class NumpyBackend(Backend):
    """Always there, starts at once, and is the reference for the others."""

    name = "numpy"
    checks_samples = True
    chunk = 4096  # each operation is a call and a pass over memory: few and large ones are best

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

    def operations(
        self,
        net: Network,
        rows: int,
        n_threads: int | None,
        formulas: Formulas = BUILT_IN,
        all_reduce: Reduction | None = None,
    ) -> _Limited:
        return _Limited(NumpyOps(formulas, all_reduce), n_threads)

    def prepare(self, operations, *arguments) -> None:
        """Nothing: the interpreter is always ready."""

    def run(self, entry, operations, *arguments):
        # A diverging run overflows on its way to infinity; the trainer reports that from the loss, once.
        quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore")
        with quiet, blas_limited(operations.n_threads):
            return getattr(step, entry)(operations.ops, *arguments)
