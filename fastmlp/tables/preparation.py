"""The conversion of data to network inputs and of outputs to predictions, fitted in training and kept in the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp.errors import InputError, ModelFileError
from fastmlp.mlp import MLP
from fastmlp.tables.encoding.encoder import TableEncoder
from fastmlp.tables.features.expansion import Expansion
from fastmlp.tables.features.scaling import Range, Scaling
from fastmlp.tables.fields import Fields

__all__ = ["Preparation", "Reading"]

_KEY = "fastmlp.cli"


@dataclass(frozen=True)
class Reading:
    """The options with which the training table was read.

    Attributes
    ----------
    header, delimiter, skip_lines, encoding : as in `fastmlp.datasets.read_table`.
    width : number of columns of the training table.
    """

    header: bool
    delimiter: str | None
    skip_lines: int
    encoding: str | None
    width: int

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_dict(cls, data: object) -> Reading:
        fields = Fields(data, "The reading of a table", tuple(cls.__dataclass_fields__))
        delimiter, encoding = (
            None if fields.value(key) is None else fields.text(key) for key in ("delimiter", "encoding")
        )
        return cls(fields.flag("header"), delimiter, fields.count("skip_lines"), encoding, fields.count("width"))


_PARTS: dict[str, Any] = {
    "features": Scaling,
    "target": Scaling,
    "bounds": Range,
    "encoder": TableEncoder,
    "expansion": Expansion,
    "reading": Reading,
}


@dataclass(frozen=True)
class Preparation:
    """The fitted conversion of training data, applied again to the data of every prediction.

    Attributes
    ----------
    data : name of the data set.
    seed, test_fraction : of the split of a named data set; test_fraction is None for the loader's default split.
    class_names : C names; empty for regression.
    features, target : scalings of arrays; None for no scaling. The encoder of a table scales features itself.
    bounds : range to which predicted numbers are clipped; None for no bounds.
    encoder, reading : of a table; None for other data.
    expansion : from encoded or scaled columns to features; None where the columns are the features.
    """

    data: str
    class_names: tuple[str, ...]
    seed: int = 0
    test_fraction: float | None = None
    features: Scaling | None = None
    target: Scaling | None = None
    bounds: Range | None = None
    encoder: TableEncoder | None = None
    expansion: Expansion | None = None
    reading: Reading | None = None

    def inputs(self, x: np.ndarray) -> np.ndarray:
        """Convert features x (N, I), as loaded, to network inputs.

        Raises
        ------
        InputError : another number of features than in training.
        """
        if self.features is not None:
            if len(self.features.mean) not in (1, x.shape[1]):
                raise InputError(
                    f"The samples have {x.shape[1]} features, but the model was trained on {len(self.features.mean)}."
                )
            x = self.features.apply(x)
        return x if self.expansion is None else self.expansion.transform(x)

    def classes(self, out: np.ndarray) -> np.ndarray:
        """Convert outputs (N, C), or (N, 1) for two classes, to class indices (N,) int64."""
        return (out[:, 0] >= 0.5).astype(np.int64) if out.shape[1] == 1 else out.argmax(axis=1)

    def values(self, out: np.ndarray) -> np.ndarray:
        """Convert outputs (N, O) to float64 predictions (N, O) in the unit of the training targets."""
        values = out.astype(np.float64)
        values = values if self.target is None else self.target.undo(values)
        return values if self.bounds is None else self.bounds.clip(values)

    def labels(self, y: np.ndarray, class_names: tuple[str, ...]) -> np.ndarray:
        """Convert class indices y (N,) into `class_names` of other data to class indices (N,) of this model.

        Raises
        ------
        InputError : targets of the other task, or a class that the model does not have.
        """
        if bool(class_names) != bool(self.class_names):
            kinds = "numbers", "classes"
            raise InputError(
                f"The targets are {kinds[bool(class_names)]}, but the model predicts {kinds[bool(self.class_names)]}."
            )
        if not class_names:
            return y
        present = np.unique(y)
        unknown = [class_names[c] for c in present.tolist() if class_names[c] not in self.class_names]
        if unknown:
            known = ", ".join(map(repr, self.class_names))
            raise InputError(f"The targets hold the class {unknown[0]!r}; those of the model are {known}.")
        index = {name: i for i, name in enumerate(self.class_names)}
        return np.array([index.get(name, -1) for name in class_names], np.int64)[y]

    def to_dict(self) -> dict[str, Any]:
        """Return dicts, lists, strings and finite numbers, ready for JSON."""
        return {
            "data": self.data,
            "class_names": list(self.class_names),
            "seed": self.seed,
            "test_fraction": self.test_fraction,
            **{name: None if (part := getattr(self, name)) is None else part.to_dict() for name in _PARTS},
        }

    def keep_in(self, model: MLP) -> None:
        """Store the preparation in the model's metadata."""
        model.metadata[_KEY] = self.to_dict()

    @classmethod
    def of(cls, model: MLP) -> Preparation:
        """Return the preparation stored in a model; one that changes nothing if there is none.

        Raises
        ------
        ModelFileError : the stored preparation is damaged or does not fit the model.
        """
        outputs = model.sizes[-1]
        if _KEY not in model.metadata:
            # several outputs with binary cross entropy are several labels per sample, which count as numbers here
            classifies = (
                model.loss is not None and model.loss.classifies and (outputs == 1) == (model.loss.link == "sigmoid")
            )
            return cls("", tuple(map(str, range(max(outputs, 2)))) if classifies else ())
        try:
            preparation = cls._from_dict(model.metadata[_KEY])
            preparation._check(model)
        except InputError as error:
            raise ModelFileError(f"The preparation kept in the model is damaged: {error} Train it anew.") from error
        return preparation

    @classmethod
    def _from_dict(cls, data: object) -> Preparation:
        parts: dict[str, Any] = dict.fromkeys(("bounds", "expansion"))  # missing in models of earlier versions
        parts |= data if isinstance(data, dict) else {}
        fields = Fields(parts, "A preparation", ("data", "class_names", "seed", "test_fraction", *_PARTS))

        return cls(
            fields.text("data"),
            fields.texts("class_names"),
            int(fields.number("seed")),
            None if fields.value("test_fraction") is None else fields.number("test_fraction"),
            **{
                name: None if (value := fields.value(name)) is None else kind.from_dict(value)
                for name, kind in _PARTS.items()
            },
        )

    def _check(self, model: MLP) -> None:
        """Check that the numbers of features, classes and outputs agree with each other and with the model."""
        outputs, names = model.sizes[-1], len(self.class_names)
        fits = names == outputs or (names, outputs) == (2, 1) or (names == 0)
        given = model.sizes[0] if self.expansion is None else len(self.expansion.columns)
        fits &= self.expansion is None or self.expansion.width == model.sizes[0]
        fits &= self.features is None or len(self.features.mean) in (1, given)
        fits &= self.target is None or len(self.target.mean) in (1, outputs)
        fits &= self.bounds is None or len(self.bounds.low) in (1, outputs)
        fits &= (self.encoder is None) == (self.reading is None)
        if self.encoder is not None:
            fits &= self.features is None
            counts = self.encoder.category_counts
            fits &= not self.encoder.targets or self.encoder.class_names == self.class_names
            fits &= counts == ((0,) * given if self.expansion is None else self.expansion.category_counts)
        if not fits:
            raise InputError("its numbers of features, classes and outputs contradict each other.")
