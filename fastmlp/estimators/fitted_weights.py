"""`coefs_` and `intercepts_`, and the flat buffers in which the engine computes.

A fit leaves `coefs_` and `intercepts_` as views of one flat buffer, so that nothing is copied. Users also assign arrays
of their own, or those of another model, and rely on scikit-learn's training them in place. Such arrays stay: they are
read into a scratch buffer before it is used, and written from it when it has been trained.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from operator import is_
from typing import Any

import numpy as np
from scipy.sparse import issparse

from fastmlp.estimators.kept import kept_of
from fastmlp.interchange import as_numpy
from fastmlp.network import Layout, aligned_zeros

__all__ = [
    "Buffer",
    "arithmetic",
    "buffer_of",
    "fitted_arrays",
    "layout_of",
    "own_weights",
    "prepare_training",
    "scratch_buffer",
    "show",
    "show_copy",
    "shows_buffer",
]


@dataclass
class Buffer:
    """Flat parameters, and the sessions of an engine that work on them."""

    layout: Layout
    params: np.ndarray  # (P,)
    arrays: list[Any] = field(default_factory=list)  # whose values these are; empty: views of params
    sessions: dict = field(default_factory=dict)

    @property
    def views(self) -> list[np.ndarray]:
        """Of params: each weight matrix (I, O), then each bias (O,)."""
        return [*self.layout.weights(self.params), *self.layout.biases(self.params)]

    def read(self) -> None:
        """Bring the values of the arrays into the parameters."""
        for view, array in zip(self.views, self.arrays, strict=False):
            view[...] = _values(array)

    def write(self) -> None:
        """Bring the parameters into the arrays."""
        for view, array in zip(self.views, self.arrays, strict=False):
            array[...] = view.reshape(array.shape)


def _shown(e: Any, arrays: Sequence[Any]) -> Buffer | None:
    """The buffer whose views these arrays are, if they are."""
    kept = kept_of(e)
    return kept.shown if len(arrays) == len(kept.views) and all(map(is_, arrays, kept.views)) else None


def shows_buffer(e: Any) -> bool:
    """Whether `coefs_` and `intercepts_` are the views that a fit has left."""
    return _shown(e, fitted_arrays(e)) is not None


def fitted_arrays(e: Any) -> list[Any]:
    """The weight matrices, then the biases, of the layers that `n_layers_` counts: it may have been cut short."""
    layers = vars(e).get("n_layers_", len(e.coefs_) + 1) - 1
    if not 1 <= layers <= min(len(e.coefs_), len(e.intercepts_)):
        raise ValueError(
            f"n_layers_={layers + 1} asks for {layers} layers of weights, but there are {len(e.coefs_)} arrays in "
            f"coefs_ and {len(e.intercepts_)} in intercepts_."
        )
    return [*e.coefs_[:layers], *e.intercepts_[:layers]]


def layout_of(e: Any) -> Layout:
    """Where the weights of a fitted estimator, ours or scikit-learn's, would lie in one buffer."""
    arrays = fitted_arrays(e)
    if shown := _shown(e, arrays):
        return shown.layout
    weights = [np.shape(array) for array in arrays]
    weights, biases = weights[: len(weights) // 2], weights[len(weights) // 2 :]
    fits = all(len(w) == 2 for w in weights) and all(w[1] == v[0] for w, v in pairwise(weights))
    if not (fits and all(_is_bias(b, w[1]) for w, b in zip(weights, biases, strict=True))):
        raise ValueError(f"coefs_ and intercepts_ do not fit together: their shapes are {weights} and {biases}.")
    return Layout.of([weights[0][0], *(w[1] for w in weights)])


def _is_bias(shape: tuple[int, ...], n: int) -> bool:
    """Whether an array of that shape can be added to rows of n outputs."""
    return shape in ((), (1,), (n,), (1, 1), (1, n))


def arithmetic(*arrays: Any) -> np.dtype:
    """float32 if that is the common type of these, else float64."""
    types = [np.asarray(as_numpy(array)).dtype if isinstance(array, list) else array.dtype for array in arrays]
    return np.dtype(np.float32 if np.result_type(*types) == np.float32 else np.float64)


def buffer_of(e: Any, dtype: np.dtype, training: bool = False) -> Buffer:
    """The fitted weights in `dtype`, one of float32 and float64, as they are now."""
    arrays = fitted_arrays(e)
    shown = _shown(e, arrays)
    if shown and shown.params.dtype == dtype:
        return shown
    buffers = kept_of(e).training if training else kept_of(e).scratch
    buffer = buffers.get(dtype)
    if buffer is None or buffer.layout != layout_of(e):
        buffer = buffers[dtype] = scratch_buffer(e, dtype)
    buffer.arrays = arrays
    buffer.read()
    return buffer


def scratch_buffer(e: Any, dtype: np.dtype) -> Buffer:
    """A new buffer with the fitted weights as they are now."""
    layout = layout_of(e)
    buffer = Buffer(layout, aligned_zeros(layout.n_params, dtype), fitted_arrays(e))
    buffer.read()
    return buffer


def bring_back(e: Any, buffer: Buffer) -> None:
    """Read into a buffer in training what a callback has done to `coefs_` and `intercepts_`: edits, or other arrays."""
    arrays = fitted_arrays(e)
    if not buffer.arrays and _shown(e, arrays) is buffer:
        return  # the views themselves
    prepare_training(e)
    if layout_of(e) != buffer.layout:
        raise ValueError(f"A callback has set coefs_ of the sizes {layout_of(e).sizes}, not {buffer.layout.sizes}.")
    buffer.arrays = fitted_arrays(e)
    buffer.read()


def show(e: Any, buffer: Buffer) -> None:
    """Let `coefs_` and `intercepts_` be views of the buffer, in the lists that are there."""
    views, given = buffer.views, fitted_arrays(e)
    views = [v.reshape(np.shape(a)) if v.size == np.size(a) else v for v, a in zip(views, given, strict=True)]
    layers = len(views) // 2
    e.coefs_[:layers], e.intercepts_[:layers] = views[:layers], views[layers:]
    buffer.arrays = []
    kept = kept_of(e)
    kept.shown, kept.views, kept.scratch, kept.training = buffer, views, {}, {}


def show_copy(e: Any, buffer: Buffer) -> None:
    """Let `coefs_` and `intercepts_` be new lists of new arrays, with what the buffer has."""
    params = aligned_zeros(buffer.layout.n_params, buffer.params.dtype)
    params[...] = buffer.params
    e.coefs_, e.intercepts_ = list(e.coefs_), list(e.intercepts_)
    show(e, Buffer(buffer.layout, params))


def own_weights(e: Any) -> None:
    """Let `coefs_` and `intercepts_` be arrays, in lists, that no other estimator has; of one buffer if they can be."""
    best = vars(e).get("_best_coefs") is e.coefs_
    e.coefs_, e.intercepts_ = copy.deepcopy((list(e.coefs_), list(e.intercepts_)))
    if best:
        e._best_coefs, e._best_intercepts = e.coefs_, e.intercepts_
    arrays = [*e.coefs_, *e.intercepts_]
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        if all(isinstance(array, np.ndarray) and array.dtype == dtype for array in arrays):
            with suppress(ValueError):  # shapes that do not fit are for whoever predicts to refuse
                _refuse_shared(arrays)
                show(e, buffer_of(e, dtype))


def prepare_training(e: Any) -> np.dtype:
    """Make `coefs_` and `intercepts_` arrays that training can write to; the dtype to train in.

    Those that it cannot write to (lists, read-only arrays, integers, one number for all outputs) are replaced.

    Raises
    ------
    ValueError
        Arrays do not fit together, `n_layers_` leaves some out, or two share memory.
    """
    layout, arrays = layout_of(e), fitted_arrays(e)
    if shown := _shown(e, arrays):
        return shown.params.dtype
    layers = len(layout.sizes) - 1
    if (len(e.coefs_), len(e.intercepts_)) != (layers, layers):
        raise ValueError(
            f"n_layers_={layers + 1} reads {layers} of the {len(e.coefs_)} layers in coefs_, but all of them are "
            f"trained. Set n_layers_ to {len(e.coefs_) + 1}."
        )
    e.coefs_, e.intercepts_ = _as_list(e.coefs_), _as_list(e.intercepts_)
    _refuse_shared(arrays)
    for i, (n_in, n_out) in enumerate(pairwise(layout.sizes)):
        e.coefs_[i] = _writable(e.coefs_[i], (n_in, n_out))
        e.intercepts_[i] = _writable(e.intercepts_[i], (n_out,))
    return arithmetic(*fitted_arrays(e))


def _writable(array: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The array itself, or a copy of that shape."""
    real = isinstance(array, np.ndarray) and array.dtype in (np.float32, np.float64)
    if real and array.flags.writeable and array.size == np.prod(shape):
        return array
    return np.array(np.broadcast_to(_values(array), shape), arithmetic(array))


def _values(array: Any) -> Any:
    """A weight matrix as an array: pruned ones may be sparse."""
    return array.toarray() if issparse(array) else as_numpy(array)


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
