"""What a source of samples larger than memory is: blocks of samples that lie together, read one at a time."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

__all__ = ["Block", "Columns", "Source"]

_ROWS = 1024  # of a piece whose columns are put side by side at a time, so that it stays in the cache


class Columns:
    """Features (n, I) that lie in columns, as tables do.

    Parameters
    ----------
    columns : list of arrays (n,)
        One for each feature.
    """

    def __init__(self, columns: list[np.ndarray]) -> None:
        self._columns = columns

    def copy(self, first: int, last: int, out: np.ndarray) -> None:
        """Write the rows from first to last to out (last - first, I)."""
        for begin in range(first, last, _ROWS):
            end = min(begin + _ROWS, last)
            rows = out[begin - first : end - first]
            for feature, column in enumerate(self._columns):
                rows[:, feature] = column[begin:end]


class Block(NamedTuple):
    """The samples of a block, as they were read."""

    x: np.ndarray | Columns  # (n, I)
    y: np.ndarray  # (n,) or (n, O)
    weights: np.ndarray | None  # (n,)

    def copy(self, first: int, last: int, out: np.ndarray) -> None:
        """Write the features of the samples from first to last to out (last - first, I), converted to its dtype."""
        with np.errstate(over="ignore"):  # the infinity is seen by whoever looks at `out`
            if isinstance(self.x, Columns):
                self.x.copy(first, last, out)
            else:
                out[...] = self.x[first:last]


class Source(Protocol):
    """Samples on disk. `read` may be called by several threads."""

    name: str  # of the file or folder
    lengths: np.ndarray  # (K,) int64: how many samples each block has
    n_features: int
    dtype: np.dtype  # of the features
    y_like: np.ndarray  # (0,) or (0, O): an empty array like the targets
    is_weighted: bool

    def read(self, block: int) -> Block:
        """The samples of a block; InputError, which says where, if they are none."""

    def read_targets(self, block: int) -> np.ndarray:
        """The targets of a block alone."""

    def place(self, block: int) -> str:
        """Where a block is, for messages."""

    def identity(self) -> str:
        """What a run that goes on from a checkpoint must find again: names, sizes and times of the files."""
