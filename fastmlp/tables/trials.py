"""The choice between recipes by short training runs, measured on held-out samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from fastmlp.errors import DivergenceError
from fastmlp.mlp import MLP
from fastmlp.recipes import Recipe
from fastmlp.splits import split_rows

__all__ = ["best_recipe"]

_HELD_OUT = 0.2
_SHARE, _MOST_EPOCHS = 4, 20  # a quarter of the epochs ranks recipes as well as all of them


def best_recipe(
    recipes: Sequence[Recipe],
    x: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    train: Callable[[Recipe, np.ndarray, np.ndarray, np.ndarray | None], MLP],
    seed: int,
    weights: np.ndarray | None = None,
) -> Recipe:
    """Train a network by each recipe for a few epochs; return the recipe with the least loss on held-out samples.

    A fifth of the samples is held out, stratified by class. A run that diverges counts as infinite loss.

    Parameters
    ----------
    recipes : one or more; the first of equal ones is taken. A single recipe is returned without a trial.
    x, y : (N, I) network inputs and their targets.
    classes : (N,) int64 class indices of the samples.
    train : makes a network and trains it, called with recipe, inputs, targets and sample weights.
    seed : of the split.
    weights : (N,) sample weights; None for equal ones.

    Raises
    ------
    KeyboardInterrupt : a trial was interrupted.
    """
    if len(recipes) == 1:
        return recipes[0]
    rows, held_out = split_rows(len(x), _HELD_OUT, seed, classes)
    x_rows, y_rows, x_held_out, y_held_out = x[rows], y[rows], x[held_out], y[held_out]
    weights_rows, weights_held_out = (None, None) if weights is None else (weights[rows], weights[held_out])
    losses = []
    for recipe in recipes:
        try:
            shorter = replace(recipe, epochs=min(-(-recipe.epochs // _SHARE), _MOST_EPOCHS))
            model = train(shorter, x_rows, y_rows, weights_rows)
        except DivergenceError:
            losses.append(np.inf)
            continue
        if model.history is not None and model.history.stopped == "interrupt":
            raise KeyboardInterrupt  # fit ends normally on an interrupt and keeps the weights; a trial must not
        losses.append(model.evaluate(x_held_out, y_held_out, sample_weight=weights_held_out, metrics=[])["loss"])
    return recipes[int(np.argmin(losses))]
