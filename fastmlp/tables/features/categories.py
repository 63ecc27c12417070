"""Categories as features: indicators, or means of the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.fields import Fields

__all__ = ["Indicators", "TargetMeans", "class_targets"]

_FOLDS = 5


def class_targets(y: np.ndarray, classes: int) -> np.ndarray:
    """Convert class indices y (N,) to the targets of `TargetMeans`: bool (N, C), or (N, 1) for two classes."""
    return y[:, None] == (np.arange(classes) if classes > 2 else 1)


@dataclass(frozen=True)
class Indicators:
    """A column of K categories as K features, 1 in the rows of the category and 0 elsewhere.

    Two categories are one feature, -1 or 1.

    Attributes
    ----------
    categories : K.
    """

    categories: int
    kind: ClassVar[str] = "indicators"

    @property
    def width(self) -> int:
        """Number of features."""
        return 1 if self.categories == 2 else self.categories

    def write(self, codes: np.ndarray, out: np.ndarray) -> None:
        """Write the features of codes (N,) to out (N, width); all are 0 for the code -1, an unknown category."""
        if self.categories == 2:
            out[:, 0] = np.where(codes < 0, 0, 2 * codes - 1)
        else:
            out[...] = codes[:, None] == np.arange(self.categories)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "categories": self.categories}

    @classmethod
    def from_dict(cls, data: object) -> Indicators:
        number = Fields(data, "A column of indicators", ("kind", "categories")).number("categories")
        if not (1 <= number < 2**31 and number.is_integer()):
            raise InputError(f"A column of indicators cannot have {number:g} categories.")
        return cls(int(number))


@dataclass(frozen=True)
class TargetMeans:
    """A column of K categories as O features: the standardised mean of each target in the rows of the category.

    The mean m_k of a category is shrunk towards the mean m of all rows: λ m_k + (1 - λ) m with
    λ = n_k v / (n_k v + v_k), where v is the variance of the target over all rows and v_k that over the n_k rows of the
    category.

    Attributes
    ----------
    means : K rows of O numbers.
    unknown : O numbers for a category that is not in the training rows.

    Source: D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes in classification and
    prediction problems", SIGKDD Explorations 3(1), 2001.
    """

    means: tuple[tuple[float, ...], ...]
    unknown: tuple[float, ...]
    kind: ClassVar[str] = "target means"

    @classmethod
    def fit(cls, codes: np.ndarray, categories: int, targets: np.ndarray, seed: int) -> tuple[TargetMeans, np.ndarray]:
        """Fit to category codes (N,) and targets (N, O); the second result are the features (N, O) of these rows.

        The features of each of five folds are means over the other folds: a mean that included the row's own target
        would leak it.
        """
        codes = codes.astype(np.int64)
        folds = (np.random.RandomState(seed).permutation(len(codes)) % _FOLDS).astype(np.int8)
        others = (np.flatnonzero(folds != fold) for fold in range(_FOLDS))
        parts = (some if len(some) else slice(None) for some in others)  # a single sample has no others
        features = np.stack([_means(codes[some], categories, targets[some]) for some in parts])[folds, codes]
        shift, scale = features.mean(axis=0), features.std(axis=0)
        scale[scale == 0] = 1.0
        means = (_means(codes, categories, targets) - shift) / scale
        features -= shift
        features /= scale
        return cls(tuple(map(tuple, means[:-1].tolist())), tuple(means[-1].tolist())), features

    @property
    def categories(self) -> int:
        return len(self.means)

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.unknown)

    def write(self, codes: np.ndarray, out: np.ndarray) -> None:
        """Write the features of codes (N,) to out (N, width)."""
        out[...] = np.array([*self.means, self.unknown])[codes.astype(np.int64)]

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "means": [list(row) for row in self.means], "unknown": list(self.unknown)}

    @classmethod
    def from_dict(cls, data: object) -> TargetMeans:
        fields = Fields(data, "A column of target means", ("kind", "means", "unknown"))
        unknown = fields.numbers("unknown")
        rows = (Fields({"row": row}, "Means of a category", ("row",)) for row in fields.list("means"))
        means = tuple(row.numbers("row") for row in rows)
        if not unknown or any(len(row) != len(unknown) for row in means):
            raise InputError(f"Target means need {len(unknown)} numbers for each category, as for an unknown one.")
        return cls(means, unknown)


def _means(codes: np.ndarray, categories: int, targets: np.ndarray) -> np.ndarray:
    """Means (K + 1, O) of the targets by category, shrunk towards those of all rows, which are the last row."""
    overall, variance = targets.mean(axis=0), targets.var(axis=0)
    known = codes >= 0
    if not known.all():
        codes, targets = codes[known], targets[known]
    centred = targets - overall
    counts = np.bincount(codes, minlength=categories)[:, None]
    n = np.maximum(counts, 1)
    mean, square = (
        np.stack([np.bincount(codes, column, minlength=categories) for column in values.T], axis=1) / n
        for values in (centred, centred**2)
    )
    within, total = np.maximum(square - mean**2, 0), n * variance
    share = np.divide(total, total + within, out=np.ones_like(mean), where=total + within > 0)
    return overall + np.vstack([share * mean, np.zeros_like(overall)])
