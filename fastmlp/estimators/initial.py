"""The state of an estimator at the beginning of a fit: weights, and curves without an entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

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
    factor = 2.0 if e.activation == "logistic" else 6.0
    for w, b in zip(weights, biases, strict=True):
        bound = np.sqrt(factor / sum(w.shape))
        w[...] = random.uniform(-bound, bound, w.shape)
        b[...] = random.uniform(-bound, bound, b.shape)
    _replace("coefs_init", e.coefs_init, weights)
    _replace("intercepts_init", e.intercepts_init, biases)
    e._set_weights(layout, params)
    e.__dict__.pop("_optimizer", None)
    e.n_iter_, e.t_, e.n_layers_ = 0, 0, len(sizes)


def begin_curves(e: Any, validates: bool) -> None:
    """Curves without an entry, for the stochastic solvers; those of validation are None if there is none."""
    e.loss_curve_, e._no_improvement_count = [], 0
    e.best_loss_ = None if e.early_stopping else np.inf
    e.validation_scores_ = [] if validates else None
    e.validation_loss_curve_ = [] if validates else None
    e.best_validation_score_ = -np.inf if validates else None


def _replace(name: str, given: Any, views: Sequence[np.ndarray]) -> None:
    if given is None:
        return
    shapes, wanted = [np.shape(array) for array in given], [view.shape for view in views]
    if shapes != wanted:
        raise ValueError(f"{name} has arrays of shapes {shapes}, but the network takes {wanted}.")
    for array, view in zip(given, views, strict=True):
        view[...] = array
        if not np.isfinite(view).all():
            raise ValueError(f"{name} contains NaN or infinity.")
