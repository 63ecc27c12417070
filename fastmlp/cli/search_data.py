"""The samples of a search: those that trials train on, and those that they are compared on."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace

from fastmlp.checkpoint import Checkpoint
from fastmlp.cli.folds import folded
from fastmlp.cli.recipe import Parts, prepared_parts
from fastmlp.cli.text import counted, one_line
from fastmlp.datasets import Dataset
from fastmlp.network import Data
from fastmlp.recipes import Recipe
from fastmlp.tables.features.scaling import Scaling
from fastmlp.tables.preparation import Preparation
from fastmlp.tables.storage import Storage

__all__ = ["identify", "samples_text", "search_parts"]

_HELD_OUT = 0.2
# What a training depends on besides its samples, settings and epochs; the former as the recipe completes them
_FROM_RECIPE = "activation", "bins", "one_hot", "clip"
_GIVEN = ("loss", "quantiles", "optimizer", "momentum", "schedule", "class_weight", "max_norm", "l1", "l2", "dtype")
_SPLIT = "seed", "folds", "validation_fraction"


def search_parts(
    arguments: Namespace, recipe: Recipe, dataset: Dataset, preparation: Preparation, storage: Storage
) -> list[Parts]:
    """Hold out a share of the training samples, or each sample once in so many folds; numbers get their scaling.

    Features are made anew for each part, so that they know nothing of what it holds out.
    """
    some = replace(dataset, x_test=None, y_test=None)  # they are for the network that is chosen in the end
    if arguments.folds is not None:
        parts = folded(arguments, recipe, some, preparation, storage)
    else:
        fraction = _HELD_OUT if arguments.validation_fraction is None else arguments.validation_fraction
        how = Namespace(seed=arguments.seed, validation_fraction=fraction)
        parts = [prepared_parts(how, recipe, some, preparation, storage)]
    if preparation.class_names or arguments.loss == "poisson":
        return parts
    return [part._replace(preparation=replace(part.preparation, target=Scaling.of(part.training.y))) for part in parts]


def samples_text(dataset: Dataset, parts: Sequence[Parts]) -> str:
    """Name the data set, and count the samples of its parts."""
    assert parts[0].validation is not None
    training, validation = len(parts[0].training.x), len(parts[0].validation[1])
    if len(parts) > 1:
        return f"{one_line(dataset.name)}: {counted(training + validation, 'training sample')} in {len(parts)} folds"
    return (
        f"{one_line(dataset.name)}: {counted(training, 'training sample')}, {counted(validation, 'validation sample')}"
    )


def identify(checkpoint: Checkpoint, arguments: Namespace, recipe: Recipe, dataset: Dataset, backend: str) -> None:
    """Say what must be equal in a search that goes on; its space, trials and epochs need not be."""
    given = {name.replace("_", " "): getattr(arguments, name) for name in (*_GIVEN, *_SPLIT)}
    checkpoint.settings = given | {name: getattr(recipe, name) for name in _FROM_RECIPE} | {"backend": backend}
    labels, targets = (dataset.y, None) if dataset.class_names else (None, dataset.y)
    checkpoint.data[""] = Data.of(dataset.x, dataset.x.dtype, labels, targets)
