"""Samples larger than memory, as a user holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from fastmlp.checks import check_integer
from fastmlp.errors import InputError
from fastmlp.streams.reader import Convert, Reader
from fastmlp.streams.shuffling import Shuffle
from fastmlp.streams.source import Source

__all__ = ["Samples"]

_POOLS = 2  # see `fastmlp.streams.reader`
_REMEDIES = {
    "gradient_norms": "leave it out, or take MLP.gradients of some samples in a callback",
    "metrics": "give validation_data, on which they are taken, or leave it out",
    "shuffle": "give True, which shuffles Samples in blocks anyway",
}


@dataclass(frozen=True)
class Samples:
    """Samples in files, or in arrays that are read in slices: see `fastmlp.open_samples`.

    `MLP.fit` and the estimators' `fit` take them in place of arrays.

    Attributes
    ----------
    n_samples, n_features : int
        How many there are, and how many numbers each has.
    dtype : dtype
        Of the features as they are stored.
    """

    source: Source
    memory: int
    lanes: int
    readers: int

    @property
    def n_samples(self) -> int:
        return int(self.source.lengths.sum())

    @property
    def n_features(self) -> int:
        return self.source.n_features

    @property
    def dtype(self) -> np.dtype:
        return self.source.dtype

    def __len__(self) -> int:
        return self.n_samples

    def __repr__(self) -> str:
        size, blocks = self.n_samples * self.n_features * self.dtype.itemsize, len(self.source.lengths)
        return (
            f"Samples({self.source.name!r}, {self.n_samples:,} of {self.n_features} features, {self.dtype}, "
            f"{size / 1e6:,.1f} MB in {blocks} blocks)"
        )

    def check_fit(
        self, n_features: int, y: Any, sample_weight: Any, class_weight: Any, whole: Mapping[str, Any]
    ) -> None:
        """InputError unless a fit of so many features can read these samples; whole: what would need all at once."""
        if self.n_features != n_features:
            raise InputError(
                f"{self.source.name} has {self.n_features} features, but the network takes {n_features} inputs."
            )
        given = {"y": y, "sample_weight": sample_weight}
        for name in (name for name, value in given.items() if value is not None):
            raise InputError(f"{name} is given beside Samples, which have their own: name it in fastmlp.open_samples.")
        if isinstance(class_weight, str):
            raise InputError(
                f"class_weight={class_weight!r} counts the classes of all samples, but these are read bit by bit. Give "
                "a dict {class: weight}."
            )
        for name in (name for name, value in whole.items() if value):
            raise InputError(f"{name} is for samples in memory: {_REMEDIES[name]}.")

    def batches(
        self, batch_size: int, *, epochs: int = 1, seed: int | None = None, dtype: str = "float32"
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield batches in memory, for `partial_fit` of any estimator.

        Parameters
        ----------
        batch_size : int
            Samples of each batch but the last of an epoch, which may have fewer.
        epochs : int
            Passes over the samples.
        seed : int, optional
            Of the order, in two stages as in `fit`; by default the samples come as they are stored.
        dtype : {"float32", "float64"}
            Of the features, except for integers of one or two bytes, which stay what they are.

        Yields
        ------
        x : array (B, I)
            Features.
        y : array (B,) or (B, O)
            Targets as they are stored.
        sample_weight : array (B,)
            Weights, if the samples have some.
        """
        shuffle = self.shuffled(check_integer("batch_size", batch_size), np.dtype(dtype), seed)

        def convert(y: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, ...]:
            return (y,) if weights is None else (y, weights)

        reader = self.reader(shuffle, 0, epochs, 0, range(shuffle.lanes), np.dtype(dtype), convert)
        try:
            for window in reader:
                for begin in range(0, len(window.plan.order), shuffle.batch_size):
                    some = window.plan.order[begin : begin + shuffle.batch_size]
                    yield window.x[some], *(array[some] for array in window.outcomes)
        finally:
            reader.close()

    def shuffled(self, batch_size: int, real: np.dtype, seed: int | None) -> Shuffle:
        """The orders for batches of a size, in windows of as many as the memory allows.

        Raises
        ------
        InputError
            The memory does not suffice for a batch.
        """
        row = self.n_features * held_in(self.dtype, real).itemsize
        steps = self.memory // _POOLS // (batch_size * row)
        if steps < 1:
            raise InputError(
                f"memory={self.memory} has no room for two batches of {batch_size} samples of {row} bytes. Give "
                f"memory={_POOLS * batch_size * row}, better ten times that, or a smaller batch_size."
            )
        steps = min(steps, -(-self.n_samples // batch_size))
        return Shuffle(self.source.lengths, batch_size, steps, 1 if seed is None else self.lanes, seed)

    def reader(
        self,
        shuffle: Shuffle,
        epoch: int,
        epochs: int,
        window: int,
        lanes: range,
        real: np.dtype,
        convert: Convert,
    ) -> Reader:
        """Begin to read: from a window of an epoch on to the end of the last epoch, what these lanes contribute."""
        later = (shuffle.windows(number, 0, lanes) for number in range(epoch + 1, epochs))
        plans = chain(shuffle.windows(epoch, window, lanes), chain.from_iterable(later))
        dtype = held_in(self.dtype, real)
        return Reader(self.source, plans, shuffle.capacity(lanes), dtype, convert, min(self.readers, len(lanes)))


def held_in(dtype: np.dtype, real: np.dtype) -> np.dtype:
    """The dtype of features in memory: integers of one or two bytes stay so, others become the network's `real`."""
    return dtype.newbyteorder("=") if dtype.kind in "iu" and dtype.itemsize <= 2 else real
