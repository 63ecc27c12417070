"""How one column of a table becomes one or more features."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastmlp.datasets.fields import Fields
from fastmlp.datasets.parsing import mean_and_std, parse_number, parse_numbers, sort_texts
from fastmlp.errors import InputError

__all__ = ["CategoricalColumn", "CodedColumn", "NumericColumn", "fit_column", "read_column"]

_MOST_FOUND_CATEGORIES = 1000


@dataclass(frozen=True)
class NumericColumn:
    """One feature, `(value - shift) / scale`, where a missing value counts as `fill`."""

    name: str
    fill: float
    shift: float
    scale: float

    @property
    def feature_names(self) -> tuple[str, ...]:
        return (self.name,)

    @classmethod
    def fit(cls, name: str, texts: Sequence[str], missing: Collection[str], standardize: bool) -> "NumericColumn":
        """Take mean and deviation from the N texts, those that are missing left out; fill with the mean.

        Raises
        ------
        InputError : a text that is neither missing nor a finite number, or numbers too large.
        """
        numbers = parse_numbers(name, texts, missing)
        mean, std = mean_and_std(name, numbers[~np.isnan(numbers)])
        return cls(name, mean, mean, std) if standardize else cls(name, mean, 0.0, 1.0)

    def encode(self, texts: Sequence[str], missing: Collection[str], out: np.ndarray) -> None:
        """Write the feature of N texts to `out` (N, 1).

        Raises
        ------
        InputError : a text that is neither missing nor a finite number, or a number too large.
        """
        numbers = parse_numbers(self.name, texts, missing)
        numbers[np.isnan(numbers)] = self.fill
        with np.errstate(over="ignore", invalid="ignore"):
            out[:, 0] = (numbers - self.shift) / self.scale
        if not np.isfinite(out).all():
            raise InputError(
                f"Column {self.name!r} holds numbers up to {np.abs(numbers).max():g}, too large beside a "
                f"mean of {self.shift:g} and a deviation of {self.scale:g}. Correct them."
            )

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "numeric",
            "name": self.name,
            "fill": self.fill,
            "shift": self.shift,
            "scale": self.scale,
        }

    @classmethod
    def from_dict(cls, data: object) -> "NumericColumn":
        fields = Fields(data, "A numeric column", ("kind", "name", "fill", "shift", "scale"))
        fields.text("kind", ("numeric",))
        return cls(
            fields.text("name"),
            fields.number("fill"),
            fields.number("shift"),
            fields.number("scale", positive=True),
        )


@dataclass(frozen=True)
class CategoricalColumn:
    """One feature per category, 1 in its rows and 0 elsewhere; a last one for missing values, if it has any.

    A category that was not seen when fitting gives zeros in all of them.
    """

    name: str
    categories: tuple[str, ...]
    has_missing: bool
    kind: ClassVar[str] = "categorical"

    @property
    def labels(self) -> tuple[str, ...]:
        """The K categories, the one of missing values included."""
        return (*self.categories, "missing") if self.has_missing else self.categories

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(f"{self.name}={label}" for label in self.labels)

    @classmethod
    def fit(cls, name: str, texts: Sequence[str], missing: Collection[str]) -> "CategoricalColumn":
        """Take the categories from N texts; missing values are a category if there are any."""
        present = set(texts).difference(missing)
        return cls(name, sort_texts(present), len(present) < len(set(texts)))

    def encode(self, texts: Sequence[str], missing: Collection[str], out: np.ndarray) -> None:
        """Write the features of N texts to `out` (N, I), which must hold zeros."""
        found = self.codes(texts, missing)
        rows = np.flatnonzero(found >= 0)
        out[rows, found[rows]] = 1.0

    def codes(self, texts: Sequence[str], missing: Collection[str]) -> np.ndarray:
        """Give the numbers (N,) int64 of the categories of N texts; -1 for one that was not seen when fitting."""
        codes = {category: code for code, category in enumerate(self.categories)}
        if self.has_missing:
            codes |= dict.fromkeys(missing, len(self.categories))
        found_codes = {text: codes.get(text, -1) for text in set(texts)}
        return np.fromiter(map(found_codes.__getitem__, texts), np.int64, len(texts))

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "categories": list(self.categories),
            "has_missing": self.has_missing,
        }

    @classmethod
    def from_dict(cls, data: object) -> "CategoricalColumn":
        fields = Fields(data, "A categorical column", ("kind", "name", "categories", "has_missing"))
        column = cls(fields.text("name"), fields.texts("categories"), fields.flag("has_missing"))
        if not column.labels:
            raise InputError(f"The categorical column {column.name!r} has no categories. Give at least one.")
        return column


@dataclass(frozen=True)
class CodedColumn(CategoricalColumn):
    """One feature: the number of the category, 0 .. K-1, or -1 for one that was not seen when fitting."""

    kind: ClassVar[str] = "coded"

    @property
    def feature_names(self) -> tuple[str, ...]:
        return (self.name,)

    def encode(self, texts: Sequence[str], missing: Collection[str], out: np.ndarray) -> None:
        """Write the feature of N texts to `out` (N, 1)."""
        out[:, 0] = self.codes(texts, missing)


def fit_column(
    name: str,
    texts: Sequence[str],
    missing: Collection[str],
    categorical: bool | None,
    standardize: bool,
    codes: bool = False,
) -> NumericColumn | CategoricalColumn:
    """Choose the kind of a column, and fit it to N texts.

    Parameters
    ----------
    name : of the column.
    texts : N texts.
    missing : the texts that stand for no value.
    categorical : whether the column is; None to make it so if a text that is present is not a number.
    standardize : whether a numeric column is.
    codes : whether a categorical column is one feature.

    Raises
    ------
    InputError : no value that is present, a value that is not a finite number in a numeric column, or too
        many categories in a column not named as categorical.
    """
    present = set(texts).difference(missing)
    if not present:
        raise InputError(
            f"Column {name!r} holds no value in {len(texts)} rows. List it in drop_columns, or check missing_values."
        )
    odd = min((text for text in present if parse_number(text) is None), default=None)
    if categorical or (categorical is None and odd is not None):
        if categorical is None and len(present) > _MOST_FOUND_CATEGORIES:
            raise InputError(
                f"Column {name!r} holds {odd!r}, which is not a number, and {len(present)} different values, "
                f"more than the {_MOST_FOUND_CATEGORIES} that are taken for categories unasked. List {odd!r} "
                "in missing_values, or the column in drop_columns or categorical."
            )
        return (CodedColumn if codes else CategoricalColumn).fit(name, texts, missing)
    return NumericColumn.fit(name, texts, missing, standardize)


def read_column(data: object) -> NumericColumn | CategoricalColumn:
    """Build the column of either kind that `to_dict` wrote.

    Raises
    ------
    InputError : not such a dictionary.
    """
    for kind in (CategoricalColumn, CodedColumn):
        if isinstance(data, dict) and data.get("kind") == kind.kind:
            return kind.from_dict(data)
    return NumericColumn.from_dict(data)
