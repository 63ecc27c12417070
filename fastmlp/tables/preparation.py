"""From data to the arrays of a network and back: learned in training, kept in the model, repeated with every use."""

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
    """How a table is read.

    Attributes
    ----------
    header, delimiter, skip_lines, encoding : as for `fastmlp.datasets.read_table`.
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
    """What was done to the training data.

    Attributes
    ----------
    data : name of the data set.
    seed, test_fraction : how a named data set was split; None for what the loader does by itself.
    class_names : C names; empty for regression.
    features, target : scalings of arrays; None where they were left as they are. A table's encoder scales features
        by itself.
    bounds : what predicted numbers are kept within; None for no bounds.
    encoder, reading : None where the data were no table.
    expansion : what becomes of the columns that an encoder or a scaling gives; None where they are the features.
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
        """Features x (N, I), as loaders give them, for the network."""
        if self.features is not None:
            if len(self.features.mean) not in (1, x.shape[1]):
                raise InputError(
                    f"The samples have {x.shape[1]} features, but the model was trained on {len(self.features.mean)}."
                )
            x = self.features.apply(x)
        return x if self.expansion is None else self.expansion.transform(x)

    def classes(self, out: np.ndarray) -> np.ndarray:
        """Class indices (N,) of a network's outputs (N, C), or (N, 1) for two classes."""
        return (out[:, 0] >= 0.5).astype(np.int64) if out.shape[1] == 1 else out.argmax(axis=1)

    def values(self, out: np.ndarray) -> np.ndarray:
        """Numbers (N, O) in their own unit of a network's outputs (N, O)."""
        values = out.astype(np.float64)
        values = values if self.target is None else self.target.undo(values)
        return values if self.bounds is None else self.bounds.clip(values)

    def labels(self, y: np.ndarray, class_names: tuple[str, ...]) -> np.ndarray:
        """Class indices (N,) of this model, of indices (N,) into the names that other data have."""
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
        """Give dicts, lists, texts and finite numbers, ready for JSON."""
        return {
            "data": self.data,
            "class_names": list(self.class_names),
            "seed": self.seed,
            "test_fraction": self.test_fraction,
            **{name: None if (part := getattr(self, name)) is None else part.to_dict() for name in _PARTS},
        }

    def keep_in(self, model: MLP) -> None:
        """Make the preparation a part of the model."""
        model.metadata[_KEY] = self.to_dict()

    @classmethod
    def of(cls, model: MLP) -> Preparation:
        """The preparation kept in a model; one that changes nothing where the model was trained in another way.

        Raises
        ------
        ModelFileError : the notes in the model are damaged or do not fit it.
        """
        outputs = model.sizes[-1]
        if _KEY not in model.metadata:
            # several outputs under a binary cross entropy are several labels per sample, so numbers here
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
        parts: dict[str, Any] = dict.fromkeys(("bounds", "expansion"))  # earlier models lack them
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
        """Everything that is counted twice must be counted alike."""
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
