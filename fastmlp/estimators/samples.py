"""Checked samples on their way from a user to the network."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_regressor
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, validate_data

from fastmlp.array_checks import cast
from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.hooks import overridden
from fastmlp.estimators.recorder import Recorder
from fastmlp.estimators.targets import Targets
from fastmlp.interchange import as_numpy, compressed_rows, enough_memory
from fastmlp.network import Data
from fastmlp.weights import usable_weights

__all__ = [
    "Given",
    "Samples",
    "are_checked",
    "check_arrays",
    "prepare_samples",
    "read_samples",
    "readable",
]

_REAL = (np.dtype(np.float64), np.dtype(np.float32))


class Given(NamedTuple):
    """Samples as a user gave them, checked."""

    X: Any  # array or CSR matrix (N, I)
    y: np.ndarray  # (N,) or (N, O)
    sample_weight: np.ndarray | None  # (N,)
    targets: Targets


class Samples(NamedTuple):
    """Samples as the network reads them, in the dtype of its training."""

    given: Given
    data: Data


def read_samples(estimator: Estimator, X: Any, y: Any, sample_weight: Any, incremental: bool, reset: bool) -> Given:
    """Check what a user gives to train on, by the class's own `_validate_input` if it has one, and learn the targets.

    incremental: for a partial fit; reset: whether X may have other features than before.
    """
    if not overridden(estimator, "_validate_input"):
        X, y, sample_weight = check_arrays(estimator, X, y, sample_weight, reset)
        estimator._fastmlp_learn_targets(y, incremental)
        return Given(X, y, sample_weight, estimator._fastmlp_encode(y))
    X, y = estimator._validate_input(X, y, incremental, reset)
    X, y = readable(X, "X"), np.asarray(as_numpy(y))
    check_consistent_length(X, y)
    if sample_weight is not None:
        sample_weight = _check_sample_weight(as_numpy(sample_weight), X)
    y, targets = estimator._fastmlp_encode_validated(y)
    return Given(X if issparse(X) else np.ascontiguousarray(X), y, sample_weight, targets)


@enough_memory()
def prepare_samples(estimator: Estimator, given: Given, dtype: np.dtype) -> Samples:
    """The samples for training in `dtype`, their targets in the form that goes with the output activation."""
    X, y, sample_weight, targets = given
    targets = estimator._fastmlp_match_output(targets)
    values = None if targets.values is None else np.ascontiguousarray(cast(targets.values, dtype, "y"))
    weights, name = sample_weight, "sample_weight"
    if targets.class_weight is not None:
        name = "class_weight" if weights is None else "class_weight times sample_weight"
        with np.errstate(over="ignore"):
            weights = targets.class_weight if weights is None else weights * targets.class_weight
    if weights is not None:
        weights = usable_weights(weights, dtype, name)
    dense = isinstance(X, np.ndarray)
    x = cast(X, dtype, "X") if dense else type(X)((cast(X.data, dtype, "X"), X.indices, X.indptr), shape=X.shape)
    return Samples(Given(X, y, sample_weight, targets), Data.of(x, dtype, targets.labels, values, weights))


@enough_memory()
def check_arrays(estimator: Estimator, X: Any, y: Any, sample_weight: Any, reset: bool) -> tuple[Any, np.ndarray, Any]:
    """X, y and sample_weight as scikit-learn checks them, with its messages."""
    sample_weight = as_numpy(sample_weight)
    if are_checked(estimator, X, y, reset):
        if reset:
            Recorder(estimator).begin_features(X.shape[1])
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        return np.ascontiguousarray(X), y, sample_weight
    X, y = readable(X, "X"), readable(y, "y")
    numeric = {"y_numeric": True} if is_regressor(estimator) else {}
    X, y = validate_data(
        estimator,
        X,
        y,
        accept_sparse="csr",
        multi_output=True,
        dtype=(np.float64, np.float32),
        reset=reset,
        **numeric,
    )
    if numeric and issparse(y) and y.shape[1] > 1:  # one column is refused later, as scikit-learn does
        y = y.toarray()
    if sample_weight is not None:
        sample_weight = _check_sample_weight(sample_weight, X)
    return X if issparse(X) else np.ascontiguousarray(X), y, sample_weight


def are_checked(estimator: Estimator, X: Any, y: Any, reset: bool = False) -> bool:
    """Whether scikit-learn's checks would leave these arrays as they are; they take longer than a step on one row.

    reset: whether X may have other features than before.
    """
    return (
        type(X) is np.ndarray
        and type(y) is np.ndarray
        and X.dtype in _REAL
        and X.ndim == 2
        and "feature_names_in_" not in vars(estimator)
        and (X.shape[1] > 0 if reset else X.shape[1] == vars(estimator).get("n_features_in_"))
        and (y.ndim == 1 or (y.ndim == 2 and y.shape[1] > 1))
        and len(y) == len(X) > 0
        and (y.dtype.kind in "biu" or (y.dtype in _REAL and bool(np.isfinite(y).all())))
        and bool(np.isfinite(X).all())
    )


def readable(array: Any, name: str) -> Any:
    """An array for scikit-learn to check: of NumPy if another library gives it away, or of checked compressed rows."""
    if issparse(array) and array.ndim == 2:
        return compressed_rows(array, name)
    return as_numpy(array)
