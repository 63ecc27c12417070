"""The encoding of one column as one or more features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.dictionary_encoding import numbers_of_texts
from fastmlp.tables.fields import Fields
from fastmlp.tables.frames import polars_module
from fastmlp.tables.meaning.labels import label_counts, label_index, labels_of, sort_labels
from fastmlp.tables.meaning.missing import array_of
from fastmlp.tables.meaning.moments import moments_in, seconds_of
from fastmlp.tables.meaning.notation import Notation

if TYPE_CHECKING:
    import polars

__all__ = [
    *("FIRST_MONDAY", "PERIODS", "CategoryColumn", "Column", "MomentColumn", "NumberColumn"),
    *("mean_and_std", "numbers_from", "read_column"),
]

PERIODS = {"year": 365.2425 * 86400, "week": 7 * 86400.0, "day": 86400.0}  # in seconds
FIRST_MONDAY = 4 * 86400.0  # the first one of 1970


@dataclass(frozen=True)
class NumberColumn:
    """The feature `(value - shift) / scale`; with missing values in training, also one that is 1 where one is missing.

    Attributes
    ----------
    name : of the column.
    notation : of numbers in text.
    fill : takes the place of a missing value: the median of the training rows.
    shift, scale : mean and standard deviation of the training rows, or 0 and 1.
    has_missing : whether there is the second feature.
    low, high : the range of the training rows.
    """

    name: str
    notation: Notation
    fill: float
    shift: float
    scale: float
    has_missing: bool
    low: float
    high: float

    @property
    def feature_names(self) -> tuple[str, ...]:
        return (self.name, f"{self.name} is missing") if self.has_missing else (self.name,)

    def numbers(self, values: polars.Series) -> np.ndarray:
        """Convert N values to float64 (N,), NaN where one is missing or not a number."""
        return numbers_from(values, self.notation)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "number", **vars(self), "notation": self.notation.to_dict()}

    @classmethod
    def from_dict(cls, data: object) -> NumberColumn:
        fields = Fields(data, "A column of numbers", ("kind", *cls.__dataclass_fields__))
        return cls(
            fields.text("name"),
            Notation.from_dict(fields.value("notation")),
            fields.number("fill"),
            fields.number("shift"),
            fields.number("scale", positive=True),
            fields.flag("has_missing"),
            fields.number("low"),
            fields.number("high"),
        )


@dataclass(frozen=True)
class MomentColumn:
    """A date or time as seconds, encoded as in `NumberColumn`; and the sine and cosine of its phase in each period.

    Attributes
    ----------
    form : format of dates and times in text.
    periods : those of "year", "week" and "day" that the training rows span and differ in.
    """

    name: str
    form: str
    fill: float
    shift: float
    scale: float
    has_missing: bool
    periods: tuple[str, ...]

    @property
    def feature_names(self) -> tuple[str, ...]:
        names = [self.name, *[f"{self.name} is missing"] * self.has_missing]
        return (*names, *(f"{wave} of {period} of {self.name}" for period in self.periods for wave in ("sin", "cos")))

    @staticmethod
    def periods_in(seconds: np.ndarray, is_time: bool) -> tuple[str, ...]:
        """Return the periods that seconds (N,) without NaN span and differ in."""
        span = np.ptp(seconds)
        return tuple(
            name
            for name, period in PERIODS.items()
            if (span >= period or (is_time and name == "day")) and np.ptp((seconds - FIRST_MONDAY) % period) > 0
        )

    def numbers(self, values: polars.Series) -> np.ndarray:
        """Convert N values to float64 seconds (N,), NaN where one is missing or not a date or time."""
        if values.dtype.is_temporal():
            return array_of(seconds_of(values))
        if isinstance(values.dtype, (polars_module().String, polars_module().Enum)) and self.form:
            return numbers_of_texts(values, lambda texts: moments_in(texts, self.form))
        return np.full(len(values), np.nan)

    def waves(self, seconds: np.ndarray) -> np.ndarray:
        """Return the sines and cosines (2P, N) of P periods at N moments, seconds (N,)."""
        periods = np.array([PERIODS[name] for name in self.periods])[:, None]
        phases = 2 * np.pi * ((seconds - FIRST_MONDAY) % periods) / periods
        return np.stack([np.sin(phases), np.cos(phases)], axis=1).reshape(-1, len(seconds))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "moment", **vars(self), "periods": list(self.periods)}

    @classmethod
    def from_dict(cls, data: object) -> MomentColumn:
        fields = Fields(data, "A column of dates or times", ("kind", *cls.__dataclass_fields__))
        periods = fields.texts("periods")
        if not set(periods) <= PERIODS.keys():
            raise InputError(f"A column of dates: the periods {list(periods)!r:.100} are not among {list(PERIODS)}.")
        return cls(
            fields.text("name"),
            fields.text("form"),
            fields.number("fill"),
            fields.number("shift"),
            fields.number("scale", positive=True),
            fields.flag("has_missing"),
            periods,
        )


@dataclass(frozen=True)
class CategoryColumn:
    """One feature per category, 1 in its rows and 0 elsewhere; with missing values in training, they are the last one.

    A value not seen in training is zero in all features, so that no untrained weight is used. If missing values are not
    a category, they count as the category `fill`.

    Attributes
    ----------
    categories : labels, compared as in `fastmlp.tables.meaning.labels`.
    fill : index of the most frequent category.
    has_missing : whether missing values are the last category.
    coded : whether there is a single feature instead, the index of the category, -1 for a value not seen in training.
    """

    name: str
    categories: tuple[str, ...]
    fill: int
    has_missing: bool
    coded: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The K categories, including that of missing values."""
        return (*self.categories, "missing") if self.has_missing else self.categories

    @cached_property
    def index(self) -> dict[object, int]:
        """The lookup table of `codes_of`."""
        return label_index(self.categories)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return (self.name,) if self.coded else tuple(f"{self.name}={label}" for label in self.labels)

    @classmethod
    def fit(cls, values: polars.Series, coded: bool = False) -> CategoryColumn:
        """Fit to N values, null where they are missing."""
        counts = label_counts(labels_of(values))
        categories = sort_labels(counts)
        fill = max(range(len(categories)), key=lambda code: counts[categories[code]], default=0)
        return cls(values.name, categories, fill, values.null_count() > 0, coded)

    def to_dict(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"kind": "category", **fields, "categories": list(self.categories)}

    @classmethod
    def from_dict(cls, data: object) -> CategoryColumn:
        fields = Fields(data, "A column of categories", ("kind", *cls.__dataclass_fields__))
        column = cls(
            fields.text("name"),
            fields.texts("categories"),
            fields.count("fill"),
            fields.flag("has_missing"),
            fields.flag("coded"),
        )
        if not column.labels or column.fill >= max(1, len(column.categories)):
            raise InputError(f"The column of categories {column.name!r} lacks some. Give at least one.")
        return column


Column = NumberColumn | MomentColumn | CategoryColumn


def numbers_from(values: polars.Series, notation: Notation) -> np.ndarray:
    """Convert N values of any dtype to float64 (N,), NaN where one is missing or not a number in the notation."""
    pl = polars_module()
    if (values.dtype.is_numeric() or values.dtype == pl.Boolean) and notation.allows_bare:
        return array_of(values)
    if isinstance(values.dtype, (pl.String, pl.Enum)):
        return numbers_of_texts(values, notation.read)
    return np.full(len(values), np.nan)


def mean_and_std(names: Sequence[str], numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means and standard deviations (K,) of K columns (K, N); the deviation of a constant column is 1.

    Raises
    ------
    InputError : numbers whose squares overflow.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean = numbers.mean(axis=1)
        std = numbers.std(axis=1, mean=mean[:, None])
    large = ~(np.isfinite(mean) & np.isfinite(std))
    if large.any():
        position = int(np.flatnonzero(large)[0])
        raise InputError(
            f"Column {names[position]!r} holds numbers up to {np.abs(numbers[position]).max():g}, too large for a mean "
            "and a standard deviation. Scale them down, or list the column in drop_columns."
        )
    # The mean of equal numbers may be off by a rounding error, which would be taken for a deviation.
    std[(std == 0) | (numbers.min(axis=1) == numbers.max(axis=1))] = 1.0
    return mean, std


def read_column(data: object) -> Column:
    """Build a column of any kind from the dictionary of its `to_dict`.

    Raises
    ------
    InputError : not such a dictionary.
    """
    kind = Fields(data, "A column of a table", None).text("kind", ("number", "moment", "category"))
    if kind == "number":
        return NumberColumn.from_dict(data)
    return MomentColumn.from_dict(data) if kind == "moment" else CategoryColumn.from_dict(data)
