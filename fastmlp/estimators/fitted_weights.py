"""`coefs_` and `intercepts_`, and the flat buffers in which the engine computes.

A fit leaves `coefs_` and `intercepts_` as views of one flat buffer, so that nothing is copied. Users also assign arrays
of their own, or those of another model, and rely on scikit-learn's training them in place. Such arrays stay: they are
read into a scratch buffer before it is used, and written from it when it has been trained.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations, pairwise
from operator import is_
from typing import Any

import numpy as np

from fastmlp.estimators.buffer import Buffer, values_of
from fastmlp.estimators.cache import cache_of
from fastmlp.estimators.estimator import Weighted
from fastmlp.interchange import as_numpy
from fastmlp.network import Layout, aligned_zeros

__all__ = [
    "NOT_FINITE",
    "arithmetic",
    "buffer_of",
    "check_finite",
    "fitted_arrays",
    "layout_of",
    "leave_best",
    "own_weights",
    "prepare_training",
    "put_weights",
    "read_back",
    "scratch_buffer",
    "show",
    "shows_buffer",
]


# scikit-learn's message
NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


def _viewed_buffer(estimator: Weighted, arrays: Sequence[Any]) -> Buffer | None:
    """The buffer whose views these arrays are, if they are."""
    cache = cache_of(estimator)
    return cache.buffer if len(arrays) == len(cache.views) and all(map(is_, arrays, cache.views)) else None


def shows_buffer(estimator: Weighted) -> bool:
    """Whether `coefs_` and `intercepts_` are the views that a fit has left."""
    return _viewed_buffer(estimator, fitted_arrays(estimator)) is not None


def fitted_arrays(estimator: Weighted) -> list[Any]:
    """The weight matrices, then the biases, of the layers that `n_layers_` counts: it may have been cut short."""
    layers = vars(estimator).get("n_layers_", len(estimator.coefs_) + 1) - 1
    if not 1 <= layers <= min(len(estimator.coefs_), len(estimator.intercepts_)):
        raise ValueError(
            f"n_layers_={layers + 1} asks for {layers} layers of weights, but there are {len(estimator.coefs_)} arrays "
            f"in coefs_ and {len(estimator.intercepts_)} in intercepts_."
        )
    return [*estimator.coefs_[:layers], *estimator.intercepts_[:layers]]


def layout_of(estimator: Weighted) -> Layout:
    """Where the weights of a fitted estimator, ours or scikit-learn's, would lie in one buffer."""
    arrays = fitted_arrays(estimator)
    if buffer := _viewed_buffer(estimator, arrays):
        return buffer.layout
    weights = [np.shape(array) for array in arrays]
    weights, biases = weights[: len(weights) // 2], weights[len(weights) // 2 :]
    fits = all(len(w) == 2 for w in weights) and all(w[1] == v[0] for w, v in pairwise(weights))
    if not (fits and all(_is_bias(b, w[1]) for w, b in zip(weights, biases, strict=True))):
        raise ValueError(f"coefs_ and intercepts_ do not fit together: their shapes are {weights} and {biases}.")
    return Layout.of([weights[0][0], *(w[1] for w in weights)])


def _is_bias(shape: tuple[int, ...], n: int) -> bool:
    """Whether an array of that shape can be added to rows of n outputs."""
    return shape in ((), (1,), (n,), (1, 1), (1, n))


def check_finite(estimator: Weighted) -> None:
    """ValueError if weights or biases are not finite."""
    if not all(np.isfinite(array).all() for array in (*estimator.coefs_, *estimator.intercepts_)):
        raise ValueError(NOT_FINITE)


def arithmetic(*arrays: Any) -> np.dtype:
    """float32 if that is the common type of these, else float64."""
    types = [np.asarray(as_numpy(array)).dtype if isinstance(array, list) else array.dtype for array in arrays]
    return np.dtype(np.float32 if np.result_type(*types) == np.float32 else np.float64)


def buffer_of(estimator: Weighted, dtype: np.dtype, training: bool = False) -> Buffer:
    """The fitted weights in `dtype`, one of float32 and float64, as they are now."""
    arrays = fitted_arrays(estimator)
    shown = _viewed_buffer(estimator, arrays)
    if shown and shown.params.dtype == dtype:
        return shown
    buffers = cache_of(estimator).training_buffers if training else cache_of(estimator).prediction_buffers
    buffer = buffers.get(dtype)
    if buffer is None or buffer.layout != layout_of(estimator):
        buffer = buffers[dtype] = scratch_buffer(estimator, dtype)
    buffer.arrays = arrays
    buffer.read()
    return buffer


def scratch_buffer(estimator: Weighted, dtype: np.dtype) -> Buffer:
    """A new buffer with the fitted weights as they are now."""
    layout = layout_of(estimator)
    buffer = Buffer(layout, aligned_zeros(layout.n_params, dtype), fitted_arrays(estimator))
    buffer.read()
    return buffer


def read_back(estimator: Weighted, buffer: Buffer) -> None:
    """Read into a buffer in training what a callback has done to `coefs_` and `intercepts_`: edits, or other arrays."""
    arrays = fitted_arrays(estimator)
    if not buffer.arrays and _viewed_buffer(estimator, arrays) is buffer:
        return  # the views themselves
    prepare_training(estimator)
    if layout_of(estimator) != buffer.layout:
        raise ValueError(
            f"A callback has set coefs_ of the sizes {layout_of(estimator).sizes}, not {buffer.layout.sizes}."
        )
    buffer.arrays = fitted_arrays(estimator)
    buffer.read()


def show(estimator: Weighted, buffer: Buffer) -> None:
    """Let `coefs_` and `intercepts_` be views of the buffer, in the lists that are there."""
    views, given = buffer.views, fitted_arrays(estimator)
    views = [v.reshape(np.shape(a)) if v.size == np.size(a) else v for v, a in zip(views, given, strict=True)]
    layers = len(views) // 2
    estimator.coefs_[:layers], estimator.intercepts_[:layers] = views[:layers], views[layers:]
    buffer.arrays = []
    cache = cache_of(estimator)
    cache.buffer, cache.views, cache.prediction_buffers, cache.training_buffers = buffer, views, {}, {}
    cache.few_rows = None  # which has the weights before these


def leave_best(estimator: Weighted, buffer: Buffer, last: np.ndarray | None) -> None:
    """Leave the best weights of a fit with early stopping; last (P,): those of its last epoch, None if none was best.

    The buffer has the best ones. As in scikit-learn they become new arrays, and the arrays that were trained have the
    last ones. Without any, those of the fit before remain: a warm start may find no better ones.
    """
    if last is not None:
        params = aligned_zeros(buffer.layout.n_params, buffer.params.dtype)
        params[...] = buffer.params
        estimator.coefs_, estimator.intercepts_ = list(estimator.coefs_), list(estimator.intercepts_)
        show(estimator, Buffer(buffer.layout, params))
        buffer.params[...] = last
        estimator._best_coefs, estimator._best_intercepts = estimator.coefs_, estimator.intercepts_
    elif hasattr(estimator, "_best_coefs"):
        estimator.coefs_, estimator.intercepts_ = estimator._best_coefs, estimator._best_intercepts


def put_weights(estimator: Weighted, weights: list[np.ndarray], biases: list[np.ndarray]) -> None:
    """Let the estimator have these arrays, and no best ones of a fit before."""
    for name in ("_best_coefs", "_best_intercepts"):
        vars(estimator).pop(name, None)
    estimator.coefs_, estimator.intercepts_ = weights, biases


def own_weights(estimator: Weighted) -> None:
    """Let `coefs_` and `intercepts_` be arrays, in lists, that no other estimator has; of one buffer if they can be."""
    best = vars(estimator).get("_best_coefs") is estimator.coefs_
    estimator.coefs_, estimator.intercepts_ = copy.deepcopy((list(estimator.coefs_), list(estimator.intercepts_)))
    if best:
        estimator._best_coefs, estimator._best_intercepts = estimator.coefs_, estimator.intercepts_
    arrays = [*estimator.coefs_, *estimator.intercepts_]
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        if all(isinstance(array, np.ndarray) and array.dtype == dtype for array in arrays):
            with suppress(ValueError):  # shapes that do not fit are for whoever predicts to refuse
                _refuse_shared(arrays)
                show(estimator, buffer_of(estimator, dtype))


def prepare_training(estimator: Weighted) -> np.dtype:
    """Make `coefs_` and `intercepts_` arrays that training can write to; the dtype to train in.

    Those that it cannot write to (lists, read-only arrays, integers, one number for all outputs) are replaced.

    Raises
    ------
    ValueError
        Arrays do not fit together, `n_layers_` leaves some out, or two share memory.
    """
    layout, arrays = layout_of(estimator), fitted_arrays(estimator)
    if buffer := _viewed_buffer(estimator, arrays):
        return buffer.params.dtype
    layers = len(layout.sizes) - 1
    if (len(estimator.coefs_), len(estimator.intercepts_)) != (layers, layers):
        raise ValueError(
            f"n_layers_={layers + 1} reads {layers} of the {len(estimator.coefs_)} layers in coefs_, but all of them "
            f"are trained. Set n_layers_ to {len(estimator.coefs_) + 1}."
        )
    estimator.coefs_, estimator.intercepts_ = _as_list(estimator.coefs_), _as_list(estimator.intercepts_)
    _refuse_shared(arrays)
    for i, (n_in, n_out) in enumerate(pairwise(layout.sizes)):
        estimator.coefs_[i] = _writable(estimator.coefs_[i], (n_in, n_out))
        estimator.intercepts_[i] = _writable(estimator.intercepts_[i], (n_out,))
    return arithmetic(*fitted_arrays(estimator))


def _writable(array: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The array itself, or a copy of that shape."""
    real = isinstance(array, np.ndarray) and array.dtype in (np.float32, np.float64)
    if real and array.flags.writeable and array.size == np.prod(shape):
        return array
    return np.array(np.broadcast_to(values_of(array), shape), arithmetic(array))


def _as_list(arrays: Any) -> list[Any]:
    return arrays if isinstance(arrays, list) else list(arrays)


def _refuse_shared(arrays: Sequence[Any]) -> None:
    """ValueError if one of these would be trained with another: each is trained by itself here."""
    layers = len(arrays) // 2
    names = [f"{name}[{i}]" for name in ("coefs_", "intercepts_") for i in range(layers)]
    known = [(name, array) for name, array in zip(names, arrays, strict=True) if isinstance(array, np.ndarray)]
    for (one, first), (other, second) in combinations(known, 2):
        if np.may_share_memory(first, second) and np.shares_memory(first, second):
            raise ValueError(
                f"{one} and {other} share memory. scikit-learn would add the updates of both to it; here each array is "
                f"trained by itself. Assign a copy: {other.split('[')[0]}[…] = array.copy()."
            )
