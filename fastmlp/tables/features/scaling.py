"""Standardisation of numbers, and the range of training targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.fields import Fields

__all__ = ["Range", "Scaling"]


@dataclass(frozen=True)
class Scaling:
    """Scales columns to mean 0 and standard deviation 1: (value - mean) / std.

    Attributes
    ----------
    mean, std : one number for each column, or one for all; std is 1 for a constant column.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, values: np.ndarray) -> Scaling | None:
        """Fit to values (N,) or (N, K), column by column; None if a mean or deviation is not finite."""
        columns = values.reshape(len(values), -1)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = columns.mean(axis=0, dtype=np.float64), columns.std(axis=0, dtype=np.float64)
        if not (np.isfinite(mean).all() and np.isfinite(std).all()):
            return None
        # the mean of equal numbers may be off by a rounding error, which would be taken for a deviation
        std[(std == 0) | (columns.min(axis=0) == columns.max(axis=0))] = 1.0
        return cls(tuple(mean.tolist()), tuple(std.tolist()))

    @classmethod
    def of_all(cls, values: np.ndarray) -> Scaling | None:
        """Fit one mean and one deviation to all values (N, K), such as pixels, which share a unit."""
        return cls.of(values.reshape(-1))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Scale values (N,) or (N, K); values far from the training data may overflow to infinity."""
        with np.errstate(over="ignore", invalid="ignore"):
            return (values - self._like(values, self.mean)) / self._like(values, self.std)

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Convert scaled values (N,) or (N, K) back to their unit."""
        return values * self._like(values, self.std) + self._like(values, self.mean)

    @staticmethod
    def _like(values: np.ndarray, numbers: tuple[float, ...]) -> np.ndarray:
        dtype = values.dtype if values.dtype.kind == "f" else np.float64
        return np.array(numbers, dtype).reshape(-1 if values.ndim > 1 else ())

    def to_dict(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, data: object) -> Scaling:
        fields = Fields(data, "A scaling", ("mean", "std"))
        mean, std = fields.numbers("mean"), fields.numbers("std", positive=True)
        if len(mean) != len(std):
            raise InputError(f"A scaling needs as many means as deviations, not {len(mean)} and {len(std)}.")
        return cls(mean, std)


@dataclass(frozen=True)
class Range:
    """The least and the largest training target of each column, to which predictions are clipped.

    Attributes
    ----------
    low, high : one number for each column.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, values: np.ndarray) -> Range:
        """Return the range of values (N,) or (N, K)."""
        columns = values.reshape(len(values), -1)
        return cls(tuple(columns.min(axis=0).tolist()), tuple(columns.max(axis=0).tolist()))

    def clip(self, values: np.ndarray) -> np.ndarray:
        """Clip values (N, K) to the range."""
        return np.clip(values, np.array(self.low), np.array(self.high))

    def to_dict(self) -> dict[str, Any]:
        return {"low": list(self.low), "high": list(self.high)}

    @classmethod
    def from_dict(cls, data: object) -> Range:
        fields = Fields(data, "A range", ("low", "high"))
        low, high = fields.numbers("low"), fields.numbers("high")
        if len(low) != len(high) or any(a > b for a, b in zip(low, high, strict=False)):
            raise InputError(f"A range needs a larger number for each of its least ones, not {low} and {high}.")
        return cls(low, high)
