"""Cross-validation: parts that each hold out other samples."""

from __future__ import annotations

import warnings
from argparse import Namespace

import numpy as np
from sklearn.model_selection import StratifiedKFold

from fastmlp.cli.recipe import Parts, parted
from fastmlp.datasets import Dataset
from fastmlp.errors import InputError
from fastmlp.recipes import Recipe
from fastmlp.tables.preparation import Preparation
from fastmlp.tables.storage import Storage

__all__ = ["folded"]


def folded(
    arguments: Namespace, recipe: Recipe, dataset: Dataset, preparation: Preparation, storage: Storage
) -> list[Parts]:
    """Return as many parts as `arguments.folds`: each sample is held out in one, each class by shares in all of them.

    Raises
    ------
    InputError : more folds than samples, or than samples of every class.
    """
    number = arguments.folds
    classes = dataset.y if dataset.class_names else np.zeros(len(dataset.y), np.int64)  # numbers are all alike
    most = int(np.bincount(classes).max())
    if number > most:
        what = "samples in the largest class" if dataset.class_names else "samples"
        raise InputError(f"--folds {number} is given, but there are {most:,} {what}. Give at most as many folds.")
    splitter = StratifiedKFold(number, shuffle=True, random_state=arguments.seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # some folds do without it
        splits = list(splitter.split(classes, classes))
    return [parted(arguments, recipe, dataset, preparation, storage, split) for split in splits]
