"""The recipe, of some that differ, whose network predicts held-out samples best."""

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
_SHARE, _MOST_EPOCHS = 4, 20  # a quarter of the epochs ranks recipes as all of them would


def best_recipe(
    recipes: Sequence[Recipe],
    x: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    train: Callable[[Recipe, np.ndarray, np.ndarray, np.ndarray | None], MLP],
    seed: int,
    weights: np.ndarray | None = None,
) -> Recipe:
    """Train a network by each recipe, for a few epochs; take the recipe with the least loss on a fifth of the samples.

    Parameters
    ----------
    recipes : one or more, in the order in which they are preferred where losses are equal; one alone is not tried.
    x, y : (N, I) samples and their targets as the network takes them.
    classes : (N,) int64 of the samples; each has its share of the held-out ones.
    train : makes a network and trains it by a recipe on samples, targets and weights.
    seed : of the split.
    weights : (N,) of the samples; None for equal ones.
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
            raise KeyboardInterrupt  # which fit takes for a wish to keep what was learned so far
        losses.append(model.evaluate(x_held_out, y_held_out, sample_weight=weights_held_out, metrics=[])["loss"])
    return recipes[int(np.argmin(losses))]
