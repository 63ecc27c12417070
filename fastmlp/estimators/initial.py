"""The weights with which a fit begins: new ones, or those of the call before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fastmlp.activations import Activation
from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.fitted_weights import layout_of, own_weights, prepare_training, put_weights
from fastmlp.estimators.hooks import overridden
from fastmlp.estimators.parameters import hidden_activations, hidden_sizes
from fastmlp.estimators.recorder import Recorder
from fastmlp.estimators.samples import Given
from fastmlp.estimators.targets import one_hot
from fastmlp.forks import drawing
from fastmlp.interchange import as_numpy

__all__ = ["draw", "initialize", "weights_to_train"]


def weights_to_train(estimator: Estimator, given: Given, fresh: bool) -> np.dtype:
    """Let the estimator have weights that fit the samples, new ones if `fresh`; the dtype to train in."""
    features, outputs = given.X.shape[1], given.targets.n_outputs
    if fresh:
        # nobody but a class's own `_initialize` looks at more than the number of outputs
        y: Any = np.empty((0, outputs))
        if overridden(estimator, "_initialize"):
            y = given.targets.values if given.targets.labels is None else one_hot(given.targets)
        dtype = given.X.dtype if estimator.dtype == "auto" else np.dtype(estimator.dtype)
        estimator._initialize(y, [features, *hidden_sizes(estimator), outputs], dtype)
    first, *_, last = layout_of(estimator).sizes
    if outputs != last:
        raise ValueError(f"y has {outputs} outputs, but {type(estimator).__name__} was fitted to {last}.")
    if features != first:
        raise ValueError(f"X has {features} features, but coefs_[0] takes {first}.")
    dtype = prepare_training(estimator)
    if estimator.solver == "lbfgs":
        dtype = np.dtype(np.float64)  # whatever X is: line searches need the digits
    if estimator.precision != "float32" and dtype != np.float32:
        raise ValueError(
            f"precision={estimator.precision!r} is for training in float32; solver={estimator.solver!r} with "
            f"dtype={estimator.dtype!r} and X of {given.X.dtype} trains in {dtype}. Give dtype='float32' and a solver "
            "other than 'lbfgs'."
        )
    return dtype


def initialize(estimator: Estimator, sizes: Sequence[int], dtype: np.dtype) -> None:
    """Give the estimator new weights for layers of the given sizes (I, …, O), and curves without an entry."""
    recorder = Recorder(estimator)
    recorder.begin_network(sizes)
    pairs, names = list(pairwise(sizes)), _activations(estimator, len(sizes) - 1)
    own = overridden(estimator, "_init_coef")
    if own:
        drawn = [estimator._init_coef(*pair, dtype) for pair in pairs]
    else:
        random = vars(estimator)["_random_state"]
        drawn = [draw(random, *pair, name, dtype) for pair, name in zip(pairs, names, strict=True)]
    weights, biases = [w for w, _ in drawn], [b for _, b in drawn]
    _replace("coefs_init", estimator.coefs_init, weights)
    _replace("intercepts_init", estimator.intercepts_init, biases)
    put_weights(estimator, weights, biases)
    if not own:  # whose arrays scikit-learn trains in place
        own_weights(estimator)
    if estimator.solver != "lbfgs":
        recorder.begin_curves(estimator.early_stopping, fresh=True)


def draw(
    random: np.random.RandomState, fan_in: int, fan_out: int, activation: str | Activation, dtype: np.dtype
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


def _activations(estimator: Estimator, layers: int) -> list[str | Activation]:
    """Of each layer; the output layer starts as the last hidden one does."""
    if isinstance(estimator.activation, (str, Activation)):
        return hidden_activations(estimator, layers)
    hidden = hidden_activations(estimator, layers - 1)
    return [*hidden, *hidden[-1:]] or ["identity"]


def _replace(name: str, given: Any, drawn: list[np.ndarray]) -> None:
    """Put arrays of the user's, if there are any, in the place of those drawn, which may be those of a hook."""
    if given is None:
        return
    shapes, wanted = [np.shape(array) for array in given], [np.shape(array) for array in drawn]
    if shapes != wanted:
        raise ValueError(f"{name} has arrays of shapes {shapes}, but the network takes {wanted}.")
    for i, array in enumerate(given):
        drawn[i] = np.array(as_numpy(array), drawn[i].dtype)
        if not np.isfinite(drawn[i]).all():
            raise ValueError(f"{name} contains NaN or infinity.")
