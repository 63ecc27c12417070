"""Samples in arrays that are read in slices: memory maps, `.npy` files, HDF5 datasets, Zarr and Dask arrays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from fastmlp.errors import InputError
from fastmlp.interchange import as_numpy
from fastmlp.streams.source import Block

__all__ = ["ArraySource", "Part"]

_BYTES = (
    1 << 18
)  # of a block, at least. Smaller ones mix better, but then what is done for each takes longer than reading


class Part(NamedTuple):
    """Arrays of the same samples, of any type that has a shape and a dtype and can be sliced."""

    name: str
    x: Any  # (n, I), or (n, …) for features of any shape
    y: Any  # (n,) or (n, O)
    weights: Any = None  # (n,)
    stamp: str = ""  # size and time of its file


class ArraySource:
    """Samples in parts, each three arrays; a block is some of the rows of a part.

    Where an array is stored in chunks, a block has whole ones, since a chunk can only be decoded as a whole.

    Raises
    ------
    InputError
        Arrays of other lengths or widths than those that go with them, or of no real numbers.
    """

    def __init__(self, name: str, parts: Sequence[Part]) -> None:
        self.name, self._parts = name, parts
        first = parts[0]
        self.n_features = int(np.prod(first.x.shape[1:], dtype=np.int64))
        self.dtype = np.result_type(*(part.x.dtype for part in parts))
        self.is_weighted = first.weights is not None
        self.y_like = np.empty((0, *first.y.shape[1:]), first.y.dtype)
        blocks: list[tuple[int, int, int]] = []  # part, first and last row
        for number, part in enumerate(parts):
            self._check(part)
            n = int(part.x.shape[0])
            cuts = [*range(0, n, _rows_of_block(part.x)), n]
            blocks += [(number, begin, end) for begin, end in pairwise(cuts)]
        self._blocks = blocks
        self.lengths = np.array([end - begin for _, begin, end in blocks], np.int64)

    def _check(self, part: Part) -> None:
        first = self._parts[0]
        for what, array in (("x", part.x), ("y", part.y), ("the weights", part.weights)):
            if array is not None and (not len(array.shape) or array.shape[0] != part.x.shape[0]):
                raise InputError(
                    f"{part.name}: {what} has shape {tuple(array.shape)} beside x of {tuple(part.x.shape)}. All need "
                    "as many samples."
                )
        if len(part.x.shape) < 2 or np.dtype(part.x.dtype).kind not in "biuf":
            raise InputError(
                f"{part.name}: x has shape {tuple(part.x.shape)} and dtype {part.x.dtype}, but must have real numbers "
                "in two dimensions (samples, features), or more."
            )
        for what, one, other in (("x", part.x, first.x), ("y", part.y, first.y)):
            if one.shape[1:] != other.shape[1:]:
                raise InputError(
                    f"{part.name}: a sample of {what} has shape {tuple(one.shape[1:])}, but in {first.name} it has "
                    f"{tuple(other.shape[1:])}. All parts need the same."
                )

    def read(self, block: int) -> Block:
        number, begin, end = self._blocks[block]
        _, x, y, weights, _ = self._parts[number]
        try:
            rows = [None if array is None else np.asarray(as_numpy(array[begin:end])) for array in (x, y, weights)]
        except InputError as error:  # a masked array
            raise InputError(f"{self.place(block)}: {error}") from None
        assert rows[0] is not None and rows[1] is not None
        return Block(rows[0].reshape(end - begin, -1), rows[1], rows[2])

    def read_targets(self, block: int) -> np.ndarray:
        number, begin, end = self._blocks[block]
        return np.asarray(as_numpy(self._parts[number].y[begin:end]))

    def place(self, block: int) -> str:
        number, begin, end = self._blocks[block]
        return f"samples {begin:,} to {end - 1:,} of {self._parts[number].name}"

    def identity(self) -> str:
        return " ".join(f"{part.name} {tuple(part.x.shape)} {part.stamp}" for part in self._parts)


def _rows_of_block(x: Any) -> int:
    """How many rows a block of an array has: 256 KiB of them, and whole chunks or shards."""
    row = max(1, int(np.prod(x.shape[1:], dtype=np.int64)) * np.dtype(x.dtype).itemsize)
    chunks = getattr(x, "shards", None) or getattr(x, "chunks", None) or (1,)
    chunk = max(chunks[0]) if isinstance(chunks[0], tuple) else int(chunks[0])  # Dask lists the length of every chunk
    return chunk * max(1, _BYTES // (row * chunk))
