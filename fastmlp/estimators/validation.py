"""Validation during a fit: on which samples, and what is measured on them after each epoch."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.metrics._scorer import _BaseScorer
from sklearn.model_selection import train_test_split

from fastmlp.engine import Engine
from fastmlp.estimators.buffer import Buffer
from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.hooks import overridden
from fastmlp.estimators.samples import Given, Samples, check_arrays, prepare_samples
from fastmlp.forks import drawing
from fastmlp.losses import apply_link
from fastmlp.weights import check_total

__all__ = ["Validation", "check_metric", "hold_out", "read_validation"]


def check_metric(estimator: Estimator) -> None:
    """ValueError unless scikit-learn knows the early-stopping metric."""
    if estimator.early_stopping_metric not in ("score", "loss"):
        check_scoring(estimator, scoring=estimator.early_stopping_metric)


def read_validation(
    estimator: Estimator, given: tuple[Any, Any, Any], trained_on: Samples, dtype: np.dtype
) -> Samples | None:
    """Validation data (X, y, sample_weight) of the user's own, checked; None if there are none."""
    if given[0] is None:
        if any(array is not None for array in given):
            name = "sample_weight_val" if given[1] is None else "y_val"
            raise ValueError(f"{name} is given without X_val. Give both, or neither.")
        return None
    if given[1] is None:
        raise ValueError("X_val is given without y_val. Give both, or neither.")
    if overridden(estimator, "_validate_input"):
        raise ValueError(
            f"{type(estimator).__name__} overrides _validate_input, which knows nothing of X_val and might give it "
            "other features than X. Leave X_val out, or prepare X and X_val before fit."
        )
    arrays = check_arrays(estimator, *given, reset=False)
    if estimator.early_stopping and arrays[0].shape[0] < 2:
        raise ValueError("The validation set is too small: X_val must have at least 2 samples.")
    estimator._fastmlp_check_validation_targets(arrays[1])
    targets, wanted = estimator._fastmlp_encode(arrays[1], trained_on.given.targets), trained_on.given.targets.n_outputs
    if targets.n_outputs != wanted:
        raise ValueError(f"y_val has {targets.n_outputs} columns, but y has {wanted}.")
    return prepare_samples(estimator, Given(*arrays, targets), dtype)


def hold_out(estimator: Estimator, samples: Samples, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the samples to train on, and of those to validate on.

    The same draws as scikit-learn's, which stratifies by a target of one column only.
    """
    everything = np.arange(samples.data.n_samples)
    values = samples.given.targets.values
    by_class = values.astype(bool) if is_classifier(estimator) and values is not None and values.shape[1] == 1 else None
    with drawing(random):
        train, held_out = train_test_split(
            everything, random_state=random, test_size=estimator.validation_fraction, stratify=by_class
        )
    if len(held_out) < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    return train, held_out


@dataclass
class Validation:
    """Measures loss and score of the weights in training on some samples.

    Raises
    ------
    ValueError
        The sample weights cancel, or the metric cannot score such predictions.
    """

    estimator: Estimator
    buffer: Buffer
    engine: Engine
    samples: Samples
    rows: np.ndarray  # (n,) int64: those of the samples to measure on

    def __post_init__(self) -> None:
        rows, (given, data), metric = self.rows, self.samples, self.estimator.early_stopping_metric
        self.metric, self.truth = metric, given.targets.array[rows]  # class indices (n,), or values (n, O)
        self.weights = None if given.sample_weight is None else given.sample_weight[rows]
        # of the score, and of the loss with its weights of classes
        for weights in (self.weights, data.weights[rows] if data.weights.size else None):
            if weights is not None:
                check_total(weights, "sample_weight of the validation samples")
        self.scorer: Any = None
        if metric not in ("score", "loss"):
            self._use_scorer()

    def _use_scorer(self) -> None:
        self.scorer = check_scoring(self.estimator, scoring=self.metric)
        # a function of (estimator, X, y) gets just those
        takes_weights = isinstance(self.scorer, _BaseScorer) or "sample_weight" in signature(self.scorer).parameters
        self.weighted = {"sample_weight": self.weights} if takes_weights and self.weights is not None else {}
        given = self.samples.given
        self.X, self.y = given.X[self.rows], given.y[self.rows]
        if not is_classifier(self.estimator) and given.y.size < given.targets.array.size:
            self._check_scorer(given.targets.n_outputs)

    def _check_scorer(self, quantiles: int) -> None:
        """ValueError now, not after an epoch, if a scorer cannot take several quantiles of one y."""
        try:
            self._scored()
        except Exception as error:
            raise ValueError(
                f"early_stopping_metric={self.metric!r} cannot score {quantiles} quantiles of one y: {error}. Choose "
                "'loss', 'score' (the mean of their R²) or a function of (estimator, X, y) for predictions "
                f"(N, {quantiles})."
            ) from error

    def measure(self) -> dict[str, float]:
        """Loss, without penalties, and score of the present weights."""
        engine, data = self.engine, self.samples.data
        z = engine.raw_together(data, self.rows)
        loss = engine.data_loss(z, data, self.rows)
        if self.scorer is not None:
            score = self._scored()
        elif self.metric == "loss":
            score = -loss
        else:
            predicted = apply_link(engine.loss.link, z) if engine.loss else z
            score = self.estimator._fastmlp_score_predicted(self.truth, predicted, self.weights)
        return {"val_loss": loss, "val_score": score}

    def _scored(self) -> float:
        self.buffer.write()
        fitted: Any = copy.copy(self.estimator)  # without the names of features, which rows of an array lack
        fitted.__dict__.pop("feature_names_in_", None)
        return float(self.scorer(fitted, self.X, self.y, **self.weighted))
