"""Fits of samples larger than memory: a few samples stand for all while everything is checked and set up."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier

from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.hooks import overridden
from fastmlp.estimators.samples import Given, prepare_samples
from fastmlp.streams.reader import Convert
from fastmlp.streams.samples import Samples

__all__ = ["converter", "stand_in"]

_TIMES = 3  # that each class is there: scikit-learn warns if more than half of the labels are unique


def stand_in(
    estimator: Estimator, samples: Samples, y: Any, sample_weight: Any, validates: bool, incremental: bool
) -> tuple[np.ndarray, np.ndarray]:
    """X (n, I) of zeros and targets y (n,) or (n, O), among which is every class of the samples.

    Raises
    ------
    ValueError
        The estimator has a parameter that needs all samples at once.
    """
    refusals = {
        "partial_fit is for samples in memory. Give it those that Samples.batches yields": incremental,
        "solver='lbfgs' needs all samples at once. Choose another solver": estimator.solver == "lbfgs",
        "early_stopping=True holds samples out, which a stream does not. Give X_val and y_val": estimator.early_stopping
        and not validates,
        f"{type(estimator).__name__} overrides _validate_input, which takes arrays. Prepare the samples when they are "
        "written": overridden(estimator, "_validate_input"),
    }
    for message in (message for message, applies in refusals.items() if applies):
        raise ValueError(f"{message}.")
    samples.check_fit(samples.n_features, y, sample_weight, getattr(estimator, "class_weight", None), {})
    source = samples.source
    if is_classifier(estimator) and source.y_like.ndim == 1:
        classes = np.unique(source.y_like)
        for block in range(len(source.lengths)):
            classes = np.union1d(classes, source.read_targets(block))
        y = np.repeat(classes, _TIMES)
    else:
        y = source.read_targets(0)
    return np.zeros((len(y), samples.n_features), np.result_type(samples.dtype, np.float32)), y


def converter(estimator: Estimator, dtype: np.dtype) -> Convert:
    """A function from targets and weights of some samples to labels, targets and weights as `Data` has them."""

    def convert(y: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, ...]:
        for name, array in (("y", y), ("sample_weight", weights)):
            if array is not None and array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ValueError(f"{name} contains NaN or infinity. Leave such samples out when the file is written.")
        if weights is not None and weights.min() < 0:
            raise ValueError(f"sample_weight has {weights.min():g}, but the weights of a stream may not be negative.")
        none_counts = weights is not None and not weights.any()
        given = Given(np.empty((len(y), 0)), y, None if none_counts else weights, estimator._fastmlp_encode(y))
        data = prepare_samples(estimator, given, dtype).data
        return data.labels, data.targets, np.zeros(len(y), dtype) if none_counts else data.weights

    return convert
