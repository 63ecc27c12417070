"""Encoding a target column as class indices or numbers, and decoding predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.dictionary_encoding import as_texts
from fastmlp.tables.encoding.columns import mean_and_std, numbers_from
from fastmlp.tables.fields import Fields
from fastmlp.tables.frames import polars_module
from fastmlp.tables.meaning.labels import codes_of, label_index, labels_of
from fastmlp.tables.meaning.notation import Notation
from fastmlp.tables.text import listed

if TYPE_CHECKING:
    import polars

__all__ = ["ClassTarget", "NumberTarget", "Target", "read_target", "stripped"]


@dataclass(frozen=True)
class ClassTarget:
    """Labels as indices 0 .. C-1 of the class names.

    Attributes
    ----------
    name : of the column.
    class_names : C labels, sorted by value where all are numbers, else by character.
    strip_label : characters to strip from the end of a text.
    """

    name: str
    class_names: tuple[str, ...]
    strip_label: str

    def encode(self, values: polars.Series) -> np.ndarray:
        """Convert N values, none of them missing, to class indices (N,) int64.

        Raises
        ------
        InputError : a label that is not a class name.
        """
        codes, unknown = codes_of(labels_of(values), label_index(self.class_names))
        if len(unknown):
            raise InputError(
                f"The target {self.name!r} holds the label {unknown.min()!r}, which is none of the classes "
                f"{listed(self.class_names)}. Correct it, see strip_label, or fit on rows that have every label."
            )
        return codes

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Convert class indices (N,) to class names (N,).

        Raises
        ------
        InputError : a value that is not a class index.
        """
        indices = np.asarray(y)
        if indices.dtype.kind not in "iu" or ((indices < 0) | (indices >= len(self.class_names))).any():
            raise InputError(
                f"Class indices of type {indices.dtype} cannot be named. Give whole numbers from 0 to "
                f"{len(self.class_names) - 1}."
            )
        return np.array(self.class_names)[indices]

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "classification", **vars(self), "class_names": list(self.class_names)}

    @classmethod
    def from_dict(cls, data: object) -> ClassTarget:
        fields = Fields(data, "A class target", ("kind", *cls.__dataclass_fields__))
        target = cls(fields.text("name"), fields.texts("class_names"), fields.text("strip_label"))
        if not target.class_names:
            raise InputError(f"The target {target.name!r} has no class names. Give at least one.")
        return target


@dataclass(frozen=True)
class NumberTarget:
    """Numbers, as `(value - mean) / std`.

    Attributes
    ----------
    name : of the column.
    mean, std : of the training rows; 0 and 1 for no scaling.
    strip_label : characters to strip from the end of a text.
    notation : of numbers in text.
    """

    name: str
    mean: float
    std: float
    strip_label: str
    notation: Notation

    def standardized(self, values: polars.Series) -> NumberTarget:
        """Return a copy that scales by the mean and deviation of N values."""
        mean, std = mean_and_std([self.name], numbers_from(values, self.notation)[None])
        return NumberTarget(self.name, float(mean[0]), float(std[0]), self.strip_label, self.notation)

    def encode(self, values: polars.Series) -> np.ndarray:
        """Convert N values, none of them missing, to scaled numbers (N,) float64.

        Raises
        ------
        InputError : a value that is not a finite number, or a number too large.
        """
        numbers = numbers_from(values, self.notation)
        odd = ~np.isfinite(numbers)
        if odd.any():
            value = values[int(np.flatnonzero(odd)[0])]
            raise InputError(f"The target {self.name!r} holds {value!r}, which is not a finite number. Correct it.")
        with np.errstate(over="ignore", invalid="ignore"):
            y = (numbers - self.mean) / self.std
        if not np.isfinite(y).all():
            raise InputError(
                f"The target {self.name!r} holds numbers up to {np.abs(numbers).max():g}, too large for a "
                f"mean of {self.mean:g} and a deviation of {self.std:g}. Correct them."
            )
        return y

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Convert scaled numbers of any shape to the unit of the table."""
        return np.asarray(y) * self.std + self.mean

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "regression", **vars(self), "notation": self.notation.to_dict()}

    @classmethod
    def from_dict(cls, data: object) -> NumberTarget:
        fields = Fields(data, "A number target", ("kind", *cls.__dataclass_fields__))
        return cls(
            fields.text("name"),
            fields.number("mean"),
            fields.number("std", positive=True),
            fields.text("strip_label"),
            Notation.from_dict(fields.value("notation")),
        )


Target = ClassTarget | NumberTarget


def stripped(values: polars.Series, strip_label: str) -> polars.Series:
    """Return N values; texts without these characters at their ends."""
    values = as_texts(values)
    is_text = strip_label and values.dtype == polars_module().String
    return values.str.strip_chars_end(strip_label) if is_text else values


def read_target(data: object) -> Target:
    """Build a target of either kind from the dictionary of its `to_dict`.

    Raises
    ------
    InputError : not such a dictionary.
    """
    kind = Fields(data, "A target", None).text("kind", ("classification", "regression"))
    return ClassTarget.from_dict(data) if kind == "classification" else NumberTarget.from_dict(data)
