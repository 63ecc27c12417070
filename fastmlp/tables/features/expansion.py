"""From the columns of a table to features: bins beside numbers, indicators or target means for categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.features.bins import Binned
from fastmlp.tables.features.categories import Indicators, TargetMeans
from fastmlp.tables.fields import Fields

__all__ = ["Expansion"]

Column = Binned | Indicators | TargetMeans
_KINDS: dict[str, type[Column]] = {kind.kind: kind for kind in (Binned, Indicators, TargetMeans)}


@dataclass(frozen=True)
class Expansion:
    """What becomes of each column; made by `fit` or `from_dict`.

    Attributes
    ----------
    columns : one for each column of the input.
    """

    columns: tuple[Column, ...]

    @classmethod
    def fit(
        cls, x: np.ndarray, targets: np.ndarray, categories: Sequence[int], *, bins: int, one_hot: int, seed: int
    ) -> tuple[Expansion, np.ndarray]:
        """Learn from training samples; the second result are their features (N, W) float32.

        Those of columns with target means are others than `transform` gives, see `TargetMeans.fit`.

        Parameters
        ----------
        x : (N, I): standardised numbers, and categories as their codes 0 .. K-1, -1 for an unknown one.
        targets : (N, O) to take means of: numbers, or indicators of classes.
        categories : K of each column, 0 for numbers.
        bins : bins beside a number, at most; below 2 none.
        one_hot : categories from which on means of the target take the place of indicators, if they are fewer.
        seed : of the folds.
        """
        columns: list[Column] = []
        fitted = {}
        for i, k in enumerate(categories):
            if k == 0:
                columns.append(Binned.fit(x[:, i], bins))
            elif k > max(one_hot, targets.shape[1]):
                column, fitted[i] = TargetMeans.fit(x[:, i], k, targets, seed)
                columns.append(column)
            else:
                columns.append(Indicators(k))
        features = cls(tuple(columns))
        return features, features._written(x, fitted)

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
        """Whether the features are the columns as they are."""
        return all(isinstance(column, Binned) and not column.edges for column in self.columns)

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Features (N, W) float32 of samples (N, I) that are prepared as those of `fit`."""
        return self._written(x, {})

    def _written(self, x: np.ndarray, ready: dict[int, np.ndarray]) -> np.ndarray:
        if x.shape[1] != len(self.columns):
            raise InputError(f"The samples have {x.shape[1]} columns; the features are made of {len(self.columns)}.")
        out = np.empty((len(x), self.width), np.float32)
        start = 0
        for i, column in enumerate(self.columns):
            stop = start + column.width
            if i in ready:
                out[:, start:stop] = ready[i]
            else:
                column.write(x[:, i], out[:, start:stop])
            start = stop
        return out

    def to_dict(self) -> dict[str, Any]:
        return {"columns": [column.to_dict() for column in self.columns]}

    @classmethod
    def from_dict(cls, data: object) -> Expansion:
        """Build what `to_dict` wrote; the dictionary may come from anyone.

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
