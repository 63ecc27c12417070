"""What every loader gives."""

from dataclasses import dataclass

import numpy as np

from fastmlp.tables.encoding.encoder import TableEncoder
from fastmlp.tables.meaning.kind import Kind

__all__ = ["Dataset"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples to train on and, where there are any, samples to test with.

    Attributes
    ----------
    name : str
        What the data are called.
    x : array (N, I) float32 or float64
        A memory map where the file is one.
    y : array (N,) or (N, O)
        Class indices 0 .. C-1 (N,) int64, or float32 or float64 values to regress on.
    x_test, y_test : array or None
        As x and y, with another N; None where the data come without.
    class_names : tuple of str
        C names; empty for regression.
    feature_names : tuple of str
        I names.
    encoder : TableEncoder or None
        What made the arrays from a table, to be kept with the model; None for other data.
    kinds : tuple
        What was found in the columns of a table, the targets left out.
    width : int
        Number of columns of the table; 0 for other data.
    notes : tuple of str
        What was decided about the table and should be said.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray | None
    y_test: np.ndarray | None
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    encoder: TableEncoder | None = None
    kinds: tuple[Kind, ...] = ()
    width: int = 0
    notes: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """Either "classification" or "regression", by the type of `y`."""
        return "classification" if self.y.dtype.kind == "i" else "regression"
