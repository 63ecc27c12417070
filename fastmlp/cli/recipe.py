"""The recipe for the data, with the options that override it, and the samples prepared by it."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np

from fastmlp.datasets import Dataset
from fastmlp.recipes import Recipe, candidates
from fastmlp.splits import split_rows
from fastmlp.tables.features.categories import class_targets
from fastmlp.tables.features.expansion import Expansion
from fastmlp.tables.features.scaling import Range
from fastmlp.tables.preparation import Preparation
from fastmlp.tables.storage import Storage

__all__ = ["Parts", "chosen_recipes", "parted", "prepared_parts"]

_ROWS = 1 << 16  # copied at a time


class Parts(NamedTuple):
    """Prepared samples; targets are class indices (N,), or numbers (N,) or (N, O) in their original unit."""

    training: Dataset  # with the test samples, if there are any
    validation: tuple[np.ndarray, np.ndarray] | None
    preparation: Preparation


def chosen_recipes(arguments: Namespace, dataset: Dataset) -> list[Recipe]:
    """Return the candidate recipes of the trial for the data, with the values that options set."""
    given = {field.name: value for field in fields(Recipe) if (value := getattr(arguments, field.name)) is not None}
    recipes = [replace(recipe, **given) for recipe in candidates(dataset.task, *dataset.x.shape)]
    # candidates differ in the decay, which only adamw has; and the trial would copy the rows of a memory map
    settled = arguments.decay is not None or arguments.optimizer != "adamw" or isinstance(dataset.x, np.memmap)
    return recipes[:1] if settled else recipes


def prepared_parts(
    arguments: Namespace, recipe: Recipe, dataset: Dataset, preparation: Preparation, storage: Storage
) -> Parts:
    """Hold out validation samples, and fit the feature expansion and the range of predictions to the others."""
    fraction = arguments.validation_fraction
    if fraction is None:
        fraction = 0.0 if arguments.patience is None else 0.1
    split = _validation_rows(dataset, fraction, arguments.seed) if fraction else None
    return parted(arguments, recipe, dataset, preparation, storage, split)


def parted(
    arguments: Namespace,
    recipe: Recipe,
    dataset: Dataset,
    preparation: Preparation,
    storage: Storage,
    split: tuple[Any, Any] | None,
) -> Parts:
    """As `prepared_parts`, with the training and validation rows of `split`; None holds out nothing."""
    x, y, held_out = dataset.x, dataset.y, None
    if split is not None:
        rows, validation = split
        held_out, x, y = (_picked(x, validation, storage), y[validation]), _picked(x, rows, storage), y[rows]
    if not preparation.class_names and recipe.clip:
        preparation = replace(preparation, bounds=Range.of(y))
    x_test = dataset.x_test
    if preparation.encoder is not None or not isinstance(x, np.memmap):
        counts = preparation.encoder.category_counts if preparation.encoder else [0] * x.shape[1]
        how = {"bins": recipe.bins, "one_hot": recipe.one_hot, "seed": arguments.seed}
        classes = len(dataset.class_names)
        targets = class_targets(y, classes) if classes else y.reshape(len(y), -1)
        features, expanded = Expansion.fit(x, targets, counts, **how, storage=storage)
        if not features.changes_nothing:
            preparation, x = replace(preparation, expansion=features), expanded
            x_test = None if x_test is None else features.transform(x_test, storage)
            held_out = held_out and (features.transform(held_out[0], storage), held_out[1])
    return Parts(replace(dataset, x=x, y=y, x_test=x_test), held_out, preparation)


def _validation_rows(dataset: Dataset, fraction: float, seed: int) -> tuple[Any, Any]:
    """Training and validation rows; of a memory-mapped file the last ones are for validation, to avoid a copy."""
    x, y = dataset.x, dataset.y
    rows, validation = split_rows(len(x), fraction, seed, y if dataset.class_names else None)
    if not isinstance(x, np.memmap):
        return rows, validation
    if dataset.encoder is None:
        return slice(len(rows)), slice(len(rows), None)
    return np.sort(rows), np.sort(validation)


def _picked(x: np.ndarray, rows: Any, storage: Storage) -> np.ndarray:
    """Some rows of x; those of a memory map are copied to new storage."""
    if not isinstance(x, np.memmap) or isinstance(rows, slice):
        return x[rows]
    out = storage.array((len(rows), x.shape[1]), x.dtype)
    for start in range(0, len(rows), _ROWS):
        some = slice(start, start + _ROWS)
        out[some] = x[rows[some]]
    return out
