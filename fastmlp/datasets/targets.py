"""How the target column of a table becomes what a network is trained to give, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from fastmlp.datasets.fields import Fields
from fastmlp.datasets.parsing import mean_and_std, parse_number, parse_numbers, sort_texts
from fastmlp.errors import InputError

__all__ = ["ClassTarget", "NumberTarget", "choose_task", "read_target"]

_MOST_INTEGER_CLASSES = 20


@dataclass(frozen=True)
class ClassTarget:
    """Labels as indices 0 .. C-1 of the class names.

    Attributes
    ----------
    name : of the column.
    class_names : C labels, sorted by value where all are numbers, else by character.
    strip_label : characters to drop at the end of a text.
    """

    name: str
    class_names: tuple[str, ...]
    strip_label: str

    @classmethod
    def fit(cls, name: str, texts: Sequence[str], strip_label: str) -> "ClassTarget":
        """Take the classes from N texts.

        Raises
        ------
        InputError : one number written in two ways, which would be two classes.
        """
        names = sort_texts(text.rstrip(strip_label) for text in texts)
        for one, other in pairwise(names):
            if (number := parse_number(one)) is not None and number == parse_number(other):
                raise InputError(
                    f"The target {name!r} holds the labels {one!r} and {other!r}, the same number. Write it "
                    "in one way, or pass task='regression'."
                )
        return cls(name, names, strip_label)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Give the class indices (N,) int64 of N texts.

        Raises
        ------
        InputError : a label that is not a class name.
        """
        labels = [text.rstrip(self.strip_label) for text in texts]
        codes = {label: code for code, label in enumerate(self.class_names)}
        unknown = sorted(set(labels).difference(codes))
        if unknown:
            raise InputError(
                f"The target {self.name!r} holds the label {unknown[0]!r}, which is none of the classes "
                f"{', '.join(map(repr, self.class_names))}. Correct it, see strip_label, or fit on rows that "
                "have every label."
            )
        return np.fromiter(map(codes.__getitem__, labels), np.int64, len(labels))

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Give the class names (N,) of class indices (N,).

        Raises
        ------
        InputError : what is not a class index.
        """
        indices = np.asarray(y)
        if indices.dtype.kind not in "iu" or ((indices < 0) | (indices >= len(self.class_names))).any():
            raise InputError(
                f"Class indices of type {indices.dtype} cannot be named. Give whole numbers from 0 to "
                f"{len(self.class_names) - 1}."
            )
        return np.array(self.class_names)[indices]

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "classification",
            "name": self.name,
            "class_names": list(self.class_names),
            "strip_label": self.strip_label,
        }

    @classmethod
    def from_dict(cls, data: object) -> "ClassTarget":
        fields = Fields(data, "A class target", ("kind", "name", "class_names", "strip_label"))
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
    mean, std : 0 and 1 for numbers as they are.
    strip_label : characters to drop at the end of a text.
    """

    name: str
    mean: float
    std: float
    strip_label: str

    @classmethod
    def fit(cls, name: str, texts: Sequence[str], strip_label: str, standardize: bool) -> "NumberTarget":
        """Take mean and deviation from N texts, or leave the numbers as they are.

        Raises
        ------
        InputError : a text that is not a finite number, or numbers too large.
        """
        target = cls(name, 0.0, 1.0, strip_label)
        numbers = target.encode(texts)
        return cls(name, *mean_and_std(name, numbers), strip_label) if standardize else target

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Give the numbers (N,) float64 of N texts.

        Raises
        ------
        InputError : a text that is not a finite number, or a number too large.
        """
        numbers = parse_numbers(self.name, [text.rstrip(self.strip_label) for text in texts], ())
        with np.errstate(over="ignore", invalid="ignore"):
            y = (numbers - self.mean) / self.std
        if not np.isfinite(y).all():
            raise InputError(
                f"The target {self.name!r} holds numbers up to {np.abs(numbers).max():g}, too large beside a "
                f"mean of {self.mean:g} and a deviation of {self.std:g}. Correct them."
            )
        return y

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Give the numbers in the table's own unit, in the shape of `y`."""
        return np.asarray(y) * self.std + self.mean

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "regression",
            "name": self.name,
            "mean": self.mean,
            "std": self.std,
            "strip_label": self.strip_label,
        }

    @classmethod
    def from_dict(cls, data: object) -> "NumberTarget":
        fields = Fields(data, "A number target", ("kind", "name", "mean", "std", "strip_label"))
        fields.text("kind", ("regression",))
        return cls(
            fields.text("name"),
            fields.number("mean"),
            fields.number("std", positive=True),
            fields.text("strip_label"),
        )


def choose_task(texts: Sequence[str]) -> str:
    """Choose "classification" for texts that are not numbers, and for at most 20 different whole numbers."""
    numbers = {parse_number(text) for text in set(texts)}
    few_integers = len(numbers) <= _MOST_INTEGER_CLASSES and all(
        number is not None and number.is_integer() for number in numbers
    )
    return "classification" if None in numbers or few_integers else "regression"


def read_target(data: object) -> ClassTarget | NumberTarget:
    """Build the target of either kind that `to_dict` wrote.

    Raises
    ------
    InputError : not such a dictionary.
    """
    if isinstance(data, dict) and data.get("kind") == "classification":
        return ClassTarget.from_dict(data)
    return NumberTarget.from_dict(data)
