"""The state of an estimator at the beginning of a fit: weights, and curves without an entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmlp.estimators.parameters import hidden_activations
from fastmlp.forks import drawing
from fastmlp.interchange import as_numpy
from fastmlp.network import Layout, aligned_zeros

__all__ = ["begin_curves", "initialize"]


def initialize(e: Any, sizes: Sequence[int], dtype: np.dtype, random: np.random.RandomState) -> None:
    """Give the estimator new weights for layers of the given sizes (I, …, O).

    Weights and biases are uniform within sqrt(6 / (I + O)), or sqrt(2 / (I + O)) for the logistic function: Glorot &
    Bengio 2010. Drawn in float64 layer by layer, weights before biases, so that a seed means what it does in
    scikit-learn.
    """
    layout = Layout.of(sizes)
    params = aligned_zeros(layout.n_params, dtype)
    weights, biases = layout.weights(params), layout.biases(params)
    for w, b, activation in zip(weights, biases, _activations(e, len(weights)), strict=True):
        bound = np.sqrt((2.0 if activation == "sigmoid" else 6.0) / sum(w.shape))
        with drawing(random):
            w[...] = random.uniform(-bound, bound, w.shape)
            b[...] = random.uniform(-bound, bound, b.shape)
    _replace("coefs_init", e.coefs_init, weights)
    _replace("intercepts_init", e.intercepts_init, biases)
    e._set_weights(layout, params)
    e.__dict__.pop("_optimizer", None)
    e.n_iter_, e.t_, e.n_layers_ = 0, 0, len(sizes)


def begin_curves(e: Any, validates: bool, fresh: bool) -> None:
    """Curves for the stochastic solvers to go on with: without an entry if `fresh`, or if there are none yet.

    Those of validation are None as long as there is none.
    """
    known = {} if fresh else vars(e)
    e.loss_curve_, e._no_improvement_count = known.get("loss_curve_", []), known.get("_no_improvement_count", 0)
    best = known.get("best_loss_")
    e.best_loss_ = None if e.early_stopping else np.inf if best is None else best
    beginnings = {"validation_scores_": [], "validation_loss_curve_": [], "best_validation_score_": -np.inf}
    for name, beginning in beginnings.items():
        setattr(e, name, beginning if validates and known.get(name) is None else known.get(name))
    if fresh:
        e.__dict__.pop("best_epoch_", None)


def _activations(e: Any, layers: int) -> list[str]:
    """Of each layer; the output layer starts as the last hidden one does."""
    if isinstance(e.activation, str):
        return hidden_activations(e, layers)
    hidden = hidden_activations(e, layers - 1)
    return [*hidden, *hidden[-1:]] or ["identity"]


def _replace(name: str, given: Any, views: Sequence[np.ndarray]) -> None:
    if given is None:
        return
    shapes, wanted = [np.shape(array) for array in given], [view.shape for view in views]
    if shapes != wanted:
        raise ValueError(f"{name} has arrays of shapes {shapes}, but the network takes {wanted}.")
    for array, view in zip(given, views, strict=True):
        view[...] = as_numpy(array)
        if not np.isfinite(view).all():
            raise ValueError(f"{name} contains NaN or infinity.")
