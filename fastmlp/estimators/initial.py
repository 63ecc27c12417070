"""The state of an estimator at the beginning of a fit: weights, and curves without an entry."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fastmlp.estimators.fitted_weights import own_weights
from fastmlp.estimators.hooks import overridden
from fastmlp.estimators.parameters import hidden_activations
from fastmlp.forks import drawing
from fastmlp.interchange import as_numpy

__all__ = ["begin_curves", "draw", "initialize"]


def initialize(e: Any, sizes: Sequence[int], dtype: np.dtype) -> None:
    """Give the estimator new weights for layers of the given sizes (I, …, O), and curves without an entry."""
    for name in ("_best_coefs", "_best_intercepts"):
        vars(e).pop(name, None)
    e.n_iter_, e.t_, e.n_outputs_, e.n_layers_ = 0, 0, sizes[-1], len(sizes)
    e.out_activation_ = e._fastmlp_output_activation()
    pairs, names = list(pairwise(sizes)), _activations(e, len(sizes) - 1)
    if overridden(e, "_init_coef"):
        drawn = [e._init_coef(*pair, dtype) for pair in pairs]
    else:
        drawn = [draw(vars(e)["_random_state"], *pair, name, dtype) for pair, name in zip(pairs, names, strict=True)]
    e.coefs_, e.intercepts_ = [w for w, _ in drawn], [b for _, b in drawn]
    _replace("coefs_init", e.coefs_init, e.coefs_)
    _replace("intercepts_init", e.intercepts_init, e.intercepts_)
    if not overridden(e, "_init_coef"):  # whose arrays scikit-learn trains in place
        own_weights(e)
    if e.solver != "lbfgs":
        begin_curves(e, e.early_stopping, fresh=True)


def draw(
    random: np.random.RandomState, fan_in: int, fan_out: int, activation: str, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """Random weights (fan_in, fan_out) and biases (fan_out,).

    Uniform within sqrt(6 / (fan_in + fan_out)), or sqrt(2 / (fan_in + fan_out)) for the logistic function: Glorot &
    Bengio 2010. Drawn in float64, weights before biases, so that a seed means what it does in scikit-learn.
    """
    bound = np.sqrt((2.0 if activation in ("sigmoid", "logistic") else 6.0) / (fan_in + fan_out))
    with drawing(random):
        weights = random.uniform(-bound, bound, (fan_in, fan_out))
        biases = random.uniform(-bound, bound, fan_out)
    return weights.astype(dtype, copy=False), biases.astype(dtype, copy=False)


def begin_curves(e: Any, validates: bool, fresh: bool = False) -> None:
    """Curves for the stochastic solvers to go on with: without an entry if `fresh`, or if there are none yet.

    Those of validation are None as long as there is none.
    """
    known = {} if fresh else vars(e)
    e.t_, e.n_iter_ = vars(e).get("t_", 0), vars(e).get("n_iter_", 0)  # a model built by hand may lack them
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


def _replace(name: str, given: Any, drawn: list[np.ndarray]) -> None:
    """Put arrays of the user's, if there are any, in the place of those drawn, which a hook may have taken from him."""
    if given is None:
        return
    shapes, wanted = [np.shape(array) for array in given], [np.shape(array) for array in drawn]
    if shapes != wanted:
        raise ValueError(f"{name} has arrays of shapes {shapes}, but the network takes {wanted}.")
    for i, array in enumerate(given):
        drawn[i] = np.array(as_numpy(array), drawn[i].dtype)
        if not np.isfinite(drawn[i]).all():
            raise ValueError(f"{name} contains NaN or infinity.")
