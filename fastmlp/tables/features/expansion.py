"""From encoded columns to features: numbers with their bins, categories as indicators or target means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.features.bins import Binned
from fastmlp.tables.features.categories import Indicators, TargetMeans
from fastmlp.tables.fields import Fields
from fastmlp.tables.parallel import column_chunks, parallel_map
from fastmlp.tables.storage import Storage

__all__ = ["Expansion"]

Column = Binned | Indicators | TargetMeans
_ROWS = 1 << 14  # written at a time, so that they stay in the cache with their features
_KINDS: dict[str, type[Column]] = {kind.kind: kind for kind in (Binned, Indicators, TargetMeans)}


@dataclass(frozen=True)
class Expansion:
    """The features of each column; made by `fit` or `from_dict`.

    Attributes
    ----------
    columns : one for each input column.
    """

    columns: tuple[Column, ...]

    @classmethod
    def fit(
        cls,
        x: np.ndarray,
        targets: np.ndarray,
        categories: Sequence[int],
        *,
        bins: int,
        one_hot: int,
        seed: int,
        storage: Storage | None = None,
    ) -> tuple[Expansion, np.ndarray]:
        """Fit to training samples; the second result are their features (N, W) float32, or x itself if unchanged.

        Target means of training samples differ from those of `transform`, see `TargetMeans.fit`.

        Parameters
        ----------
        x : (N, I): standardised numbers, and category codes 0 .. K-1, or -1 for an unknown category.
        targets : (N, O) for target means: numbers, or indicators of classes.
        categories : K of each column, 0 for numbers.
        bins : most bins of a number; below 2, none.
        one_hot : most categories of a column that become indicators. A column with more, and with more than O
            categories, becomes target means.
        seed : of the folds.
        storage : memory limit and temporary files of the features; by default a third of the free memory, then disk.
        """

        def fitted(i: int) -> tuple[Column, np.ndarray | None]:
            k = categories[i]
            if k == 0:
                return Binned.fit(x[:, i], bins), None
            if k <= max(one_hot, targets.shape[1]):
                return Indicators(k), None
            column, features = TargetMeans.fit(x[:, i], k, targets, seed)
            return column, features.astype(np.float32)

        chunks = column_chunks(range(len(categories)), len(x))
        columns = [one for some in parallel_map(lambda chunk: list(map(fitted, chunk)), chunks) for one in some]
        features = cls(tuple(column for column, _ in columns))
        if features.changes_nothing:
            return features, x
        ready = {i: values for i, (_, values) in enumerate(columns) if values is not None}
        return features, features._written(x, ready, storage)

    @property
    def width(self) -> int:
        """Number of features W."""
        return sum(column.width for column in self.columns)

    @property
    def category_counts(self) -> tuple[int, ...]:
        """Number of categories K of each column, 0 for numbers."""
        return tuple(column.categories for column in self.columns)

    @property
    def changes_nothing(self) -> bool:
        """Whether the features are the unchanged columns."""
        return all(isinstance(column, Binned) and not column.edges for column in self.columns)

    def transform(self, x: np.ndarray, storage: Storage | None = None) -> np.ndarray:
        """Return features (N, W) float32 of samples (N, I) that are encoded as those of `fit`.

        Raises
        ------
        InputError : another number of columns than in `fit`.
        """
        return self._written(x, {}, storage)

    def _written(self, x: np.ndarray, ready: dict[int, np.ndarray], storage: Storage | None) -> np.ndarray:
        """Features of samples x (N, I); `ready` holds those (N, width) of some columns."""
        if x.shape[1] != len(self.columns):
            raise InputError(f"The samples have {x.shape[1]} columns; the features are made of {len(self.columns)}.")
        out = (storage or Storage()).array((len(x), self.width), np.float32)
        runs = self.runs()

        def write(start: int) -> None:
            rows = slice(start, start + _ROWS)
            for columns, features, column in runs:
                if column is None:
                    out[rows, features] = x[rows, columns]
                elif columns.start in ready:
                    out[rows, features] = ready[columns.start][rows]
                else:
                    column.write(x[rows, columns.start], out[rows, features])

        for _ in parallel_map(write, range(0, len(x), _ROWS)):
            pass
        return out

    def runs(self) -> list[tuple[slice, slice, Column | None]]:
        """Slices of columns and of their features: a column that is expanded, or adjacent columns that are copied."""
        runs: list[tuple[slice, slice, Column | None]] = []
        start = 0
        for i, column in enumerate(self.columns):
            stop = start + column.width
            is_plain = isinstance(column, Binned) and not column.edges
            if is_plain and runs and runs[-1][2] is None:
                columns, features, _ = runs[-1]
                runs[-1] = slice(columns.start, i + 1), slice(features.start, stop), None
            else:
                runs.append((slice(i, i + 1), slice(start, stop), None if is_plain else column))
            start = stop
        return runs

    def to_dict(self) -> dict[str, Any]:
        return {"columns": [column.to_dict() for column in self.columns]}

    @classmethod
    def from_dict(cls, data: object) -> Expansion:
        """Build an expansion from the dictionary of `to_dict`, which is not trusted.

        Raises
        ------
        InputError : not such a dictionary.
        """
        columns = []
        for item in Fields(data, "An expansion", ("columns",)).list("columns"):
            kind = item.get("kind") if isinstance(item, dict) else None
            if not isinstance(kind, str) or kind not in _KINDS:
                raise InputError(f"A column of features must be of the kinds {', '.join(_KINDS)}, not {kind!r:.100}.")
            columns.append(_KINDS[kind].from_dict(item))
        return cls(tuple(columns))
