"""Recipes: networks and training options for tables, by task and number of samples.

How they were chosen, and how they compare with other choices, is in docs/architecture.md and benchmarks/ACCURACY.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["Recipe", "candidates", "tabular"]

_DECAYED = 5_000  # samples above which the decay falls as 1/n, as the weight of a prior relative to the data
_SMALL = 2_000  # samples below which smaller batches, with more and noisier updates, do better
_EPOCHS = 40
_SEEN = 400_000  # samples over all epochs, within the limits of the number of epochs
_LEAST_EPOCHS = 10
_MOST_BINS = 16
_ROWS_PER_BIN = 100
_LEAST_BINS = 4
_LEAST_TO_HOLD_OUT, _MOST_TO_HOLD_OUT = 50, 10_000  # a trial with fewer samples is unreliable, with more too slow
_MOST_NUMBERS = 1 << 25  # in all bins of all samples: as float32 they take 128 MiB


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of a network and its training.

    Attributes
    ----------
    hidden : sequence of int
        Widths of the hidden layers.
    activation : str
        Of the hidden layers.
    dropout : float
        Probability that a hidden output is dropped in training.
    lr : float
        Learning rate of AdamW at the peak of a one-cycle schedule.
    decay : float
        Weight decay of AdamW.
    batch_size : int
        Samples of an update.
    epochs : int
        Passes over the samples.
    bins : int
        Most quantile bins of a number; 0 for none.
    one_hot : int
        Most categories of a column that become indicators; a column with more becomes means of the target.
    clip : bool
        Whether predicted numbers are clipped to the range of the training targets.
    """

    hidden: Sequence[int]
    activation: str
    dropout: float
    lr: float
    decay: float
    batch_size: int
    epochs: int
    bins: int
    one_hot: int
    clip: bool


def tabular(task: str, n: int, columns: int) -> Recipe:
    """Return the recipe for a table.

    Parameters
    ----------
    task : {"classification", "regression"}
        The task.
    n, columns : int
        Numbers of training samples and of their columns.
    """
    bins = min(_MOST_BINS, n // _ROWS_PER_BIN, _MOST_NUMBERS // (n * columns))
    share = min(1.0, _DECAYED / n)
    shared: dict[str, Any] = {
        "hidden": (128, 128),
        "dropout": 0.0,
        "batch_size": 16 if n < _SMALL else 64,
        "epochs": min(_EPOCHS, max(_LEAST_EPOCHS, -(-_SEEN // n))),
        "one_hot": 9,
    }
    if task == "classification":
        return Recipe(**shared, activation="relu", lr=0.01, decay=1.0 * share, bins=0, clip=False)
    bins = bins if bins >= _LEAST_BINS else 0
    return Recipe(**shared, activation="silu", lr=0.005, decay=0.5 * share, bins=bins, clip=True)


def candidates(task: str, n: int, columns: int) -> list[Recipe]:
    """Return the recipes among which a trial (`fastmlp.tables.trials`) chooses: `tabular`, and for classes two more.

    If classes overlap, more decay is better. If they are well separated, less is, and below 2,000 samples also a larger
    network and more epochs. All recipes use the same features. Parameters as in `tabular`.
    """
    recipe = tabular(task, n, columns)
    if task != "classification" or not _LEAST_TO_HOLD_OUT <= n <= _MOST_TO_HOLD_OUT:
        return [recipe]
    stronger, weaker = (replace(recipe, decay=factor * recipe.decay) for factor in (3.0, 0.3))
    if n < _SMALL:
        weaker = replace(weaker, hidden=(256, 128), epochs=2 * recipe.epochs)
    return [recipe, stronger, weaker]
