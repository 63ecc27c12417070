"""Predictions of a few rows by what the call before has set up: what is left of them is the arithmetic."""

from __future__ import annotations

from operator import attrgetter, is_
from typing import Any, NamedTuple

import numpy as np

from fastmlp.activations import Activation
from fastmlp.engine import Engine
from fastmlp.estimators.cache import cache_of
from fastmlp.estimators.estimator import Estimator
from fastmlp.losses import Loss
from fastmlp.predictor import Predictor

__all__ = ["keep_predictor", "outputs_of_few"]

_parameters = attrgetter("activation", "out_activation_", "backend", "precision", "n_threads")
_FITTED = "n_features_in_", "n_layers_", "feature_names_in_"


class _Kept(NamedTuple):
    """A predictor and what it was made of: it serves as long as these are the same objects."""

    predictor: Predictor
    shape: tuple[int, int]  # of X
    dtype: np.dtype  # of X and the weights
    facts: tuple[Any, ...]
    weights: list[np.ndarray]


def outputs_of_few(estimator: Estimator, X: Any) -> np.ndarray | None:
    """Outputs (n, O) for X (n, I); None if the call before was not of this kind, or X is not finite."""
    kept = cache_of(estimator).few_rows
    if (
        kept is None
        or type(X) is not np.ndarray
        or X.shape != kept.shape
        or X.dtype != kept.dtype
        or not _are_same(_weights(estimator), kept.weights)
        or not _are_same(_facts(estimator), kept.facts)
    ):
        return None
    out, finite = kept.predictor.outputs(X)
    return out if finite else None


def keep_predictor(estimator: Estimator, engine: Engine, output: Loss, X: np.ndarray) -> Predictor:
    """A predictor for as many rows as X (n, I) has, kept for the next call.

    Parameters
    ----------
    estimator : Estimator
        A fitted one, whose weights the engine has.
    output : Loss
        Whose link is applied to the last layer.
    """
    key = len(X), output.link, *engine.activations, engine.backend, engine.n_threads
    known, predictor = engine.sessions.get("predictor", (None, None))
    if known != key:
        predictor = Predictor(engine, output, len(X))
        engine.sessions["predictor"] = key, predictor
    cache, weights = cache_of(estimator), _weights(estimator)
    # only if it reads the estimator's own weights, and nothing that it depends on can be changed in place
    if (
        X.dtype == engine.params.dtype
        and cache.buffer is not None
        and cache.buffer.params is engine.params
        and _are_same(weights, cache.views)
        and isinstance(estimator.activation, (str, Activation))
        and X.shape[1] == vars(estimator).get("n_features_in_")
        and "feature_names_in_" not in vars(estimator)  # of which a warning would say that X lacks them
    ):
        cache.few_rows = _Kept(predictor, X.shape, X.dtype, _facts(estimator), weights)
    return predictor


def _weights(estimator: Estimator) -> list[Any]:
    return [*estimator.coefs_, *estimator.intercepts_]


def _facts(estimator: Estimator) -> tuple[Any, ...]:
    """What a prediction depends on besides X and the weights."""
    return *_parameters(estimator), *map(vars(estimator).get, _FITTED)


def _are_same(these: Any, those: Any) -> bool:
    return len(these) == len(those) and all(map(is_, these, those))
