"""Validation during a fit: which samples are held out, and what is measured on them after each epoch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.metrics._scorer import _BaseScorer
from sklearn.model_selection import train_test_split

from fastmlp.engine import Engine
from fastmlp.estimators.fitted_weights import Buffer
from fastmlp.estimators.targets import Samples
from fastmlp.forks import drawing
from fastmlp.losses import apply_link
from fastmlp.weights import check_total

__all__ = ["check_metric", "hold_out", "validation_measure"]


def check_metric(e: Any) -> None:
    """ValueError unless scikit-learn knows the early-stopping metric."""
    if e.early_stopping_metric not in ("score", "loss"):
        check_scoring(e, scoring=e.early_stopping_metric)


def hold_out(e: Any, given: Samples, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the samples to train on and of those to validate on: all and none without early stopping.

    The same draws as scikit-learn's, which stratifies by a target of one column only.
    """
    everything = np.arange(given.data.n_samples)
    if not e.early_stopping:
        return everything, everything[:0]
    values = given.targets.values
    by_class = values.astype(bool) if is_classifier(e) and values is not None and values.shape[1] == 1 else None
    with drawing(random):
        train, held = train_test_split(
            everything, random_state=random, test_size=e.validation_fraction, stratify=by_class
        )
    if len(held) < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    return train, held


def validation_measure(
    e: Any, buffer: Buffer, engine: Engine, held: Samples, samples: np.ndarray | None
) -> Callable[[], dict[str, float]] | None:
    """A function that gives the loss and the score of the present weights on those samples of `held`; None: on all.

    No function if there are no samples.
    """
    samples = np.arange(held.data.n_samples) if samples is None else samples
    if not len(samples):
        return None
    metric = e.early_stopping_metric
    truth, weights = held.truth(samples), held.weights(samples)
    # of the score, and of the loss with its weights of classes
    for given in (weights, held.data.weights[samples] if held.data.weights.size else None):
        if given is not None:
            check_total(given, "sample_weight of the validation samples")
    named = metric in ("score", "loss")
    scorer: Any = None if named else check_scoring(e, scoring=metric)
    # a function of (estimator, X, y) gets just those
    takes_weights = isinstance(scorer, _BaseScorer) or (scorer and "sample_weight" in signature(scorer).parameters)
    weighted = {"sample_weight": weights} if takes_weights and weights is not None else {}
    X, y = (None, None) if named else (held.X[samples], held.y[samples])

    def score() -> float:
        buffer.write()
        fitted = copy.copy(e)  # without the names of features, which rows of an array lack
        fitted.__dict__.pop("feature_names_in_", None)
        return float(scorer(fitted, X, y, **weighted))

    if scorer is not None and not is_classifier(e) and held.y.size < held.targets.array.size:
        _check_scorer(metric, score, held.targets.n_outputs)

    def measure() -> dict[str, float]:
        z = engine.raw(held.data, samples=samples)
        row = {"val_loss": engine.data_loss(z, held.data, samples)}
        if scorer is not None:
            row["val_score"] = score()
        elif metric == "loss":
            row["val_score"] = -row["val_loss"]
        else:
            predicted = apply_link(engine.loss.link, z) if engine.loss else z
            row["val_score"] = e._fastmlp_score_predicted(truth, predicted, weights)
        return row

    return measure


def _check_scorer(metric: Any, score: Callable[[], float], quantiles: int) -> None:
    """ValueError now, not after an epoch, if a scorer cannot take several quantiles of one y."""
    try:
        score()
    except Exception as error:
        raise ValueError(
            f"early_stopping_metric={metric!r} cannot score {quantiles} quantiles of one y: {error}. Choose 'loss', "
            f"'score' (the mean of their R²) or a function of (estimator, X, y) for predictions (N, {quantiles})."
        ) from error
