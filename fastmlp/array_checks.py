"""Checks and conversions of the arrays that users give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastmlp.checks import check_integer, check_real
from fastmlp.errors import InputError
from fastmlp.interchange import as_numpy, compressed_rows, enough_memory
from fastmlp.losses import Loss
from fastmlp.network import Data
from fastmlp.weights import usable_weights

__all__ = ["cast", "check_data", "check_features", "check_outcomes", "check_parameter", "is_finite"]

_BLOCK = 1 << 24  # elements checked at a time, which bounds the memory for data of any size


def check_data(
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    loss: Loss,
    shape: tuple[int, int],
    dtype: np.dtype,
    name: str = "",
) -> Data:
    """Check and convert the data of `MLP.fit` for a network of shape (I, O) that computes in `dtype`.

    The loss determines the meaning of targets; `name` is the prefix of "x" and "y" in messages.

    Raises
    ------
    InputError : arrays of wrong shape or type, values that are not finite, or targets that do not fit the loss.
    """
    n_inputs, n_outputs = shape
    x = check_features(x, n_inputs, dtype, f"{name}x")
    n = x.shape[0]
    outcomes = check_outcomes(y, sample_weight, class_weight, loss, (n, n_outputs), dtype, name)
    return Data.of(x, dtype, *outcomes)


def check_outcomes(
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    loss: Loss,
    shape: tuple[int, int],
    dtype: np.dtype,
    name: str = "",
    some: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check and convert what goes with n samples for a network of O outputs, shape (n, O); see `check_data`.

    some: they are some of more samples, so all of them may have the weight 0.

    Returns
    -------
    labels : array (n,) int64, or (0,)
        Class indices.
    targets : array (n, O), or (0, O)
        Values, if there are no labels.
    weights : array (n,), or (0,)
        Empty if all samples weigh 1.
    """
    n, n_outputs = shape
    labels, targets = _check_targets(y, loss, n, n_outputs, dtype, f"{name}y")
    weights = _check_weights(sample_weight, n, dtype, f"{name}sample_weight", some)
    by_class = _check_class_weight(class_weight, labels, targets, loss)
    if by_class is not None:
        by_class = by_class * (weights if weights.size else 1)
        weights = _check_weights(by_class, n, dtype, "class_weight times sample_weight", some)
    return labels, targets, weights


def is_finite(array: np.ndarray) -> bool:
    """Whether all numbers of an array are finite; of small ones in a tenth of the time that `all` takes."""
    if array.size <= 4096:
        return 0 not in np.isfinite(array).tobytes()
    with np.errstate(over="ignore", invalid="ignore"):  # a sum is finite only if all its terms are, and is one pass
        return math.isfinite(np.add.reduce(array, axis=None)) or bool(np.isfinite(array).all())


@enough_memory()
def check_features(x: Any, n_features: int, dtype: np.dtype, name: str = "x", finite: bool = True) -> Any:
    """Return x as a C-ordered array (N, I) of finite reals in `dtype`, or a SciPy sparse matrix as CSR.

    A memory-mapped array in C order is not copied: it keeps its dtype, and each batch is converted when it is gathered.
    Compiled code supports neither float16 nor a foreign byte order, so such an array is converted as a whole.
    Without `finite` an array of that dtype may hold any numbers: whoever reads it next has to see whether they are.

    Raises
    ------
    InputError : another shape, a dtype that is not real, or values that are not finite.
    """
    if hasattr(x, "tocsr"):
        return _check_sparse(x, n_features, dtype, name)
    array = _as_real(x, name)
    readable = array.flags.c_contiguous and array.dtype.isnative and array.dtype not in (np.float16, np.longdouble)
    mapped = isinstance(x, np.memmap) and readable
    if array.ndim != 2:
        hint = " For one feature use x.reshape(-1, 1), for one sample x.reshape(1, -1)." if array.ndim == 1 else ""
        raise InputError(f"{name} has shape {array.shape}, but must have two dimensions (samples, features).{hint}")
    _check_shape(array.shape, n_features, name)
    if finite or array.dtype != dtype:
        _check_finite(array, name)
    if not mapped:
        array = np.ascontiguousarray(cast(array, dtype, name))
    return array.view(np.ndarray)


def _check_sparse(x: Any, n_features: int, dtype: np.dtype, name: str) -> Any:
    if x.ndim != 2:
        raise InputError(f"{name} has shape {x.shape}, but must have two dimensions (samples, features).")
    _check_shape(x.shape, n_features, name)
    rows = compressed_rows(x, name)
    values = _as_real(rows.data, f"{name}.data")
    _check_finite(values, f"{name}.data")
    parts = map(np.ascontiguousarray, (cast(values, dtype, name), rows.indices, rows.indptr))
    return type(rows)(tuple(parts), shape=x.shape)


def _check_shape(shape: tuple[int, ...], n_features: int, name: str) -> None:
    if shape[1] != n_features:
        raise InputError(f"{name} has {shape[1]} features (shape {shape}), but the network takes {n_features} inputs.")
    if shape[0] == 0:
        raise InputError(f"{name} has no samples (shape {shape}).")


@enough_memory()
def _check_targets(
    y: Any, loss: Loss, n_samples: int, n_outputs: int, dtype: np.dtype, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return (labels, targets), one of them empty: class indices (N,) int64, or values (N, O) in `dtype`."""
    array = _as_array(y, name)
    if array.dtype.kind in "US":
        raise InputError(
            f"{name} holds text labels. Give class indices 0 … {max(n_outputs - 1, 1)}, e.g. "
            "np.unique(labels, return_inverse=True)[1]."
        )
    array = _as_real(array, name)
    if array.ndim == 2 and array.shape[1] == 1 and n_outputs > 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or len(array) != n_samples:
        raise InputError(f"{name} has shape {array.shape}, but x has {n_samples} samples: one target per sample.")
    _check_finite(array, name)
    no_labels, no_targets = np.zeros(0, np.int64), np.zeros((0, n_outputs), dtype)
    if loss.classifies and n_outputs > 1 and array.ndim == 1:
        labels = array.astype(np.int64)
        if not np.array_equal(labels, array) or labels.min() < 0 or labels.max() >= n_outputs:
            raise InputError(
                f"{name} holds labels from {array.min():g} to {array.max():g}, but the network has {n_outputs} "
                f"outputs: labels must be whole numbers from 0 to {n_outputs - 1}."
            )
        return labels, no_targets
    targets = array.reshape(n_samples, -1)
    if loss.name == "quantile" and targets.shape[1] == 1:
        targets = np.broadcast_to(targets, (n_samples, n_outputs))  # several quantiles of one target
    if targets.shape[1] != n_outputs:
        raise InputError(f"{name} has shape {array.shape}, but the network has {n_outputs} outputs.")
    low, high = float(targets.min()), float(targets.max())
    if loss.classifies and (low < 0 or high > 1):
        raise InputError(f"{name} ranges from {low:g} to {high:g}, but {loss.name} takes probabilities in [0, 1].")
    if loss.name == "poisson" and low < 0:
        raise InputError(f"{name} has the negative value {low:g}, but the poisson loss takes counts of 0 or more.")
    return no_labels, np.ascontiguousarray(cast(targets, dtype, name))


@enough_memory()
def check_parameter(name: str, value: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return weights or biases in `dtype`; InputError unless they are finite and have the given shape."""
    array = _as_real(value, name)
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}, but the layer takes {shape}.")
    _check_finite(array, name)
    return cast(array, dtype, name)


@enough_memory()
def _check_weights(weights: Any, n_samples: int, dtype: np.dtype, name: str, some: bool) -> np.ndarray:
    """Return sample weights (N,) in `dtype`; an empty array for None."""
    if weights is None:
        return np.zeros(0, dtype)
    array = _as_real(weights, name)
    if array.shape != (n_samples,):
        raise InputError(f"{name} has shape {array.shape}, but must have shape ({n_samples},): one per sample.")
    _check_finite(array, name)
    if some and not array.any():
        return np.zeros(n_samples, dtype)
    if array.min() < 0 or not array.any():
        raise InputError(f"{name} ranges from {array.min():g} to {array.max():g}: none may be negative, not all zero.")
    return usable_weights(array, dtype, name)


def _check_class_weight(
    class_weight: str | Mapping[int, float] | None, labels: np.ndarray, targets: np.ndarray, loss: Loss
) -> np.ndarray | None:
    """Return the weight (N,) of each sample's class, from a dict or "balanced", N / (C count); None for None."""
    if class_weight is None:
        return None
    if not loss.classifies:
        raise InputError(f"class_weight is given, but the loss {loss.name!r} has no classes. Use sample_weight.")
    if not labels.size:
        if targets.shape[1] > 1 and loss.name == "binary_cross_entropy":
            raise InputError("class_weight is not defined for several labels per sample. Use sample_weight.")
        labels = targets.argmax(axis=1) if targets.shape[1] > 1 else (targets[:, 0] >= 0.5).astype(np.int64)
    n_classes = max(targets.shape[1], 2)
    if isinstance(class_weight, str) and class_weight == "balanced":
        counts = np.bincount(labels, minlength=n_classes)
        # a class that does not occur gets weight 0, which is never used
        table = np.divide(len(labels), (counts > 0).sum() * counts, out=np.zeros(n_classes), where=counts > 0)
    elif isinstance(class_weight, Mapping):
        table = np.ones(n_classes)
        for label, weight in class_weight.items():
            index = check_integer("class_weight key", label, 0, n_classes - 1)
            table[index] = check_real(f"class_weight[{label}]", weight)
    else:
        raise InputError(f"class_weight={class_weight!r} must be None, 'balanced' or a dict {{class: weight}}.")
    return table[labels]


def _as_array(values: Any, name: str) -> np.ndarray:
    try:
        values = as_numpy(values)
        array = values if isinstance(values, np.ndarray) else np.asarray(values)
        return array.astype(np.float64) if array.dtype == object else array
    except (TypeError, ValueError, OverflowError, RuntimeError, BufferError) as error:
        raise InputError(f"{name} cannot be read as an array of numbers: {str(error).rstrip('.')}.") from None


def _as_real(values: Any, name: str) -> np.ndarray:
    array = _as_array(values, name)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} has dtype {array.dtype}, but must hold real numbers (float, integer or boolean).")
    return array


def _check_finite(array: np.ndarray, name: str) -> None:
    if array.dtype.kind != "f" or array.size == 0:
        return
    rows = max(1, _BLOCK // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        block = array[start : start + rows]
        if not is_finite(block):
            where = tuple(np.argwhere(~np.isfinite(block))[0] + [start, *[0] * (array.ndim - 1)])
            kind = "NaN" if np.isnan(array[where]) else "infinity"
            raise InputError(
                f"{name} contains {kind}, first at index {tuple(map(int, where))}. Remove or impute such samples first."
            )


def cast(array: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """Convert an array to `dtype`; InputError if values are beyond its range."""
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):
        result = array.astype(dtype, copy=False)
    if array.dtype.kind == "f" and array.dtype.itemsize > dtype.itemsize and not np.isfinite(result).all():
        raise InputError(f"{name} has values beyond the range of {dtype}. Scale the data or use dtype='float64'.")
    return result
