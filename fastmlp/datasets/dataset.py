"""`Dataset`, the result of every loader."""

from dataclasses import dataclass

import numpy as np

from fastmlp.tables.encoding.encoder import TableEncoder
from fastmlp.tables.meaning.kind import Kind

__all__ = ["Dataset"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training samples and, for some sets, test samples.

    Attributes
    ----------
    name : str
        Name of the data set.
    x : array (N, I) float32 or float64
        A memory map if x comes from a .npy file or exceeds the memory limit.
    y : array (N,) or (N, O)
        Class indices 0 .. C-1 (N,) int64, or float32 or float64 targets of a regression.
    x_test, y_test : array or None
        As x and y, with another N; None without test samples.
    class_names : tuple of str
        C names; empty for regression.
    feature_names : tuple of str
        I names.
    encoder : TableEncoder or None
        The encoder of a table, to be kept with the model; None for other data.
    kinds : tuple
        Inferred kinds of the columns of a table, without the targets.
    width : int
        Number of columns of the table; 0 for other data.
    notes : tuple of str
        Messages for the user about how the table was read.
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
        """The task, "classification" or "regression", by the dtype of `y`."""
        return "classification" if self.y.dtype.kind == "i" else "regression"
